"""The gains table as rows: what each phase, technique and rung claims, what it gave here, and how sure that is.

Pure: the road (what was planned), the ladder's states (what was kept), the runs (scores) and a way to compare two
predictors come in, a list of plain dictionaries goes out. Scores are fractions, gains and claims are points.

A row's `train_seconds` are what it cost *beyond its reference*: the training of the predictor or of its members, each
recipe once, less what the reference is made of as well. So test-time augmentation costs no training, and an ensemble
costs its new members. `pretrain_seconds` likewise: pretrained weights and synthetic faces that several members share
count once, and not at all where the reference needs them too. A phase costs the sum of its rungs, kept or not.

Scores are means over the first `seeds` of params.yaml; the baseline is trained with three seeds or more, and the
standard deviation of its accuracy over them stands beside every row that has one seed only.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from statistics import stdev
from typing import TYPE_CHECKING, Any

from fer_core.errors import DataError
from fer_core.evaluation.multiple import holm
from fer_core.evaluation.power import detectable_gain
from fer_core.evaluation.votes import vote_rows

if TYPE_CHECKING:  # scipy is slow to import, and showing the table does not need it
    from fer_core.evaluation.paired import Comparison, Interval

BASELINE = "train/baseline"
CLIP_BASELINE = "clips/baseline"
WHOLE = "train/member-current"  # the ladder's recipe, trained as it is: leave-one-out is measured against it
NOT_APPLICABLE = "not applicable"
HARMFUL = "harmful"
UNCERTAIN = "not distinguishable from 0"
BELOW = "below the claim"
ABOVE = "above the claim"
COMPATIBLE = "compatible with the claim"
HELPS = "above 0, nothing was claimed"
REFERENCE = "reference"  # of the baseline, which nothing is compared with

Row = dict[str, Any]
Compare = Callable[[str, str], "Comparison"]
Score = Callable[[str, str], "Interval"]


def verdict(low: float, high: float, claimed_low: float | None, claimed_high: float | None) -> str:
    """Judge a gain's interval [low, high] against the claimed range, all in points; the first match counts.

    A claim without an upper end ("80 and more") cannot be exceeded. A bound that equals a threshold is not beyond it.

    Example:
        >>> verdict(1.0, 4.0, 5.0, 10.0), verdict(1.0, 6.0, 5.0, 10.0), verdict(0.0, 6.0, 5.0, 10.0)
        ('below the claim', 'compatible with the claim', 'not distinguishable from 0')
    """
    if high < 0:
        return HARMFUL
    if low <= 0:
        return UNCERTAIN
    if claimed_low is None:
        return HELPS
    if high < claimed_low:
        return BELOW
    if claimed_high is not None and low > claimed_high:
        return ABOVE
    return COMPATIBLE


def gain_rows(
    road: Mapping[str, Any],
    states: Mapping[str, Mapping[str, Any]],
    runs: Mapping[str, Mapping[str, Any]],
    compare: Compare,
    score: Score,
) -> list[Row]:
    """Return the rows: baseline, phases, techniques alone, rungs, leave-one-out, ways to vote, the clip track.

    Args:
        road: plans/road.yaml.
        states: rung -> its state.yaml.
        runs: metrics/runs.json.
        compare: (candidate, reference) -> Comparison on the test pictures.
        score: (predictor, metric) -> the score with its interval.

    Raises DataError when a rung has no state or the baseline was not trained.
    """
    if runs.get(BASELINE, {}).get("state") != "done":
        raise DataError(f"{BASELINE} has no predictions; every gain is measured against it.")
    rungs = rungs_of(road)
    for name in rungs:
        if name not in states:
            raise DataError(f"The rung {name} has no state; its select stage has not run.")
    table = Table(runs, compare, score)
    ladder = [_rung(table, name, plan, states[name]) for name, plan in rungs.items()]
    # the library's members are not made of the baseline: it stands among the votes, beside its best member
    apart = ("temporal", "library")
    stills = {name: plan for name, plan in road["techniques"].items() if plan.get("kind") not in apart}
    alone = [_alone(table, name, plan) for name, plan in stills.items()]
    baseline = table.row("baseline", "Baseline", "ladder", None, BASELINE, None, None)
    phases = _phases(table, road, rungs, states, ladder)
    more = [*_without(table, road), *vote_rows(table, road), *_clips(table, road)]
    return _corrected([baseline, *phases, *alone, *ladder, *more])


def _corrected(rows: list[Row]) -> list[Row]:
    """Fill in p corrected for the table's many tests (Holm 1979), each pair of predictors counted once."""
    pairs = {(row["predictor"], row["reference"]): row["p_value"] for row in rows if row["p_value"] is not None}
    corrected = dict(zip(pairs, holm(list(pairs.values())), strict=True))
    for row in rows:
        row["p_adjusted"] = corrected.get((row["predictor"], row["reference"]))
    return rows


def rungs_of(road: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the techniques that stand on the ladder, in its order: those that have a candidate."""
    return {name: plan for name, plan in road["techniques"].items() if plan.get("candidate")}


def standing(road: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the predictor that stands after the last rung."""
    rungs = list(rungs_of(road))
    return str(states[rungs[-1]]["current"]) if rungs else BASELINE


class Table:
    """Makes rows: knows the runs and how to compare them."""

    def __init__(self, runs: Mapping[str, Mapping[str, Any]], compare: Compare, score: Score) -> None:
        self.runs, self.compare, self.score = runs, compare, score

    def row(
        self,
        technique: str,
        title: str,
        view: str,
        phase: int | str | None,
        predictor: str | None,
        reference: str | None,
        claimed: Iterable[float | None] | None,
        reason: str | None = None,
        **extra: Any,
    ) -> Row:
        """Fill one row; a `reason`, or a predictor that was not made, makes it "not applicable"."""
        low, high = claimed or (None, None)
        row: Row = dict.fromkeys(_SCORES + _GAINS + _COSTS)
        row |= {
            "technique": technique,
            "title": title + self._weak(predictor),
            "view": view,
            "phase": phase,
            "claimed_low": low,
            "claimed_high": high,
            "predictor": predictor,
            "reference": reference,
            "kept": None,
            "alarms": [],
        }
        run = self.runs.get(predictor or "", {})
        if reason is None and run.get("state") != "done":
            reason = run.get("reason") or "its predictor was not made"
        row |= {"applicable": reason is None, "reason": reason}
        row["verdict"] = NOT_APPLICABLE if reason else REFERENCE
        if reason is None and predictor is not None:
            row |= self._scores(predictor) | self._costs(predictor, reference)
            if reference is not None:
                row |= self._gains(predictor, reference)
                row["verdict"] = verdict(row["gain_low"], row["gain_high"], low, high)
        row |= extra
        seconds = (row["train_seconds"] or 0.0) + (row["pretrain_seconds"] or 0.0)
        if row["gain"] is not None and seconds > 0:
            row["gain_per_minute"] = 60 * row["gain"] / seconds
        return {key: row[key] for key in KEYS}

    def _scores(self, predictor: str) -> Row:
        run = self.runs[predictor]
        found: Row = {}
        for metric in ("accuracy", "uar", "macro_f1", "uar_common", "macro_f1_common"):
            value = self.score(predictor, metric)
            ends = {metric: value.value, f"{metric}_low": value.low, f"{metric}_high": value.high}
            found |= {key: number if math.isfinite(number) else None for key, number in ends.items()}
        test = run["test"]
        found |= {key: test.get(key) for key in ("classes_present", "classes_common", *_CALIBRATION)}
        found |= {"n_test": test["n"], "temperature": run.get("temperature")} | self._luck(predictor)
        found |= {f"{metric}_validation": run["validation"][metric] for metric in ("accuracy", "macro_f1")}
        return found | {"au_f1": test.get("au_f1"), "alarms": list(run["alarms"])}

    def _gains(self, predictor: str, reference: str) -> Row:
        found = self.compare(predictor, reference)
        gains = {"": found.accuracy, "uar_": found.uar, "macro_f1_": found.macro_f1}
        count = self.runs[predictor]["test"]["n"]
        discordant = (found.only_candidate + found.only_reference) / count
        detectable = detectable_gain(count, discordant)
        row: Row = {"p_value": found.p_value, "discordant": discordant}
        row["detectable"] = detectable if math.isfinite(detectable) else None
        for name, gain in gains.items():
            row |= {f"{name}gain": gain.value, f"{name}gain_low": gain.low, f"{name}gain_high": gain.high}
        return row

    def _costs(self, predictor: str, reference: str | None) -> Row:
        known = self._trained(reference) if reference else {}
        trained = self._trained(predictor)
        seconds = sum(run.get("train_seconds") or 0.0 for key, run in trained.items() if key not in known)
        made = _before(known.values())
        before = sum(cost for what, cost in _before(trained.values()).items() if what not in made)
        run = self.runs[predictor]
        row: Row = {"train_seconds": seconds, "pretrain_seconds": before}
        row |= {key: run.get(key) for key in ("epochs", "parameters", "converged", "milliseconds_per_face")}
        if row["milliseconds_per_face"] is None:  # of a stack: all its members look at a face
            each = [member.get("milliseconds_per_face") for member in trained.values()]
            row["milliseconds_per_face"] = None if None in each else sum(each)
        return row

    def _luck(self, predictor: str) -> Row:
        """Return how many seeds a predictor has, and the standard deviation of accuracy over seeds, in points.

        The baseline's where the predictor has one seed; none for clips, which are other data.
        """
        own = [100 * run["test"]["accuracy"] for run in self._seeds(predictor)]
        clip = predictor.startswith(CLIP_BASELINE.partition("/")[0])
        shared = [] if clip else [100 * run["test"]["accuracy"] for run in self._seeds(BASELINE)]
        for values, whose in ((own, "own"), (shared, "baseline")):
            if len(values) > 1:
                return {"seeds": len(own), "seed_sd": stdev(values), "seed_sd_of": whose}
        return {"seeds": len(own), "seed_sd": None, "seed_sd_of": None}

    def _seeds(self, predictor: str) -> list[Mapping[str, Any]]:
        found = [self.runs[name] for name in seeds_of(self.runs, predictor)]
        return [run for run in found if run.get("test")]

    def _weak(self, predictor: str | None) -> str:
        """Say so where a predictor learned AUs that are prototypes of the emotion, not annotations."""
        weak = predictor is not None and any(run.get("weak_aus") for run in self._trained(predictor).values())
        return " (weak AU labels)" if weak else ""

    def _trained(self, predictor: str) -> dict[str, Mapping[str, Any]]:
        """Return the training runs that a predictor is made of, by fingerprint: equal recipes are trained once."""
        run = self.runs.get(predictor, {})
        if not run.get("members"):
            return {run.get("fingerprint") or predictor: run}
        found: dict[str, Mapping[str, Any]] = {}
        for member in run["members"]:
            found |= self._trained(member)
        return found


def seeds_of(runs: Iterable[str], predictor: str, count: int | None = None) -> list[str]:
    """Return the predictors that are `predictor` trained with its seeds, itself first; at most `count`."""
    prefix = f"{predictor}/seed-"
    others = sorted((name for name in runs if name.startswith(prefix)), key=lambda name: int(name[len(prefix) :]))
    return [predictor, *others][:count]


def _before(runs: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the seconds of all that was pretrained or synthesised for some runs, by what it was."""
    found: dict[str, float] = {}
    for run in runs:
        found |= run.get("before") or {}
    return found


def _without(table: Table, road: Mapping[str, Any]) -> list[Row]:
    """What each kept technique adds to the final recipe: all of it against all but that one."""
    rows = []
    for name, plan in road["techniques"].items():
        if (run := table.runs.get(f"without/{name}")) is not None:
            reason = run.get("reason") if run.get("state") != "done" else None
            reference = f"without/{name}"
            rows.append(
                table.row(
                    name, plan["title"], "without", plan.get("phase"), WHOLE, reference, plan.get("claimed"), reason
                )
            )
    return rows


def _clips(table: Table, road: Mapping[str, Any]) -> list[Row]:
    """The clip track: its own baseline, which every temporal model is measured against, on the same clips."""
    plans = {name: plan for name, plan in road["techniques"].items() if plan.get("kind") == "temporal"}
    if not plans:
        return []
    temporal = str((road.get("baseline") or {}).get("temporal", "mean"))
    words = "stills of the clip, trained on clips and averaged" if temporal == "mean" else temporal
    title = f"The clip track's baseline: {words}"
    first = table.row("clips", title, "clip", None, CLIP_BASELINE, None, None)
    return [first, *(_alone(table, name, plan, "clip") for name, plan in plans.items())]


def _alone(table: Table, name: str, plan: Mapping[str, Any], view: str = "alone") -> Row:
    """A technique alone on the baseline."""
    return table.row(
        name,
        plan["title"],
        view,
        plan.get("phase"),
        plan.get("alone"),
        plan.get("reference_alone") or BASELINE,
        plan.get("claimed"),
        reason=None if plan.get("applicable", True) else plan.get("reason") or NOT_APPLICABLE,
    )


def _rung(table: Table, name: str, plan: Mapping[str, Any], state: Mapping[str, Any]) -> Row:
    """A technique on top of the rungs that were kept before it."""
    row = table.row(
        name,
        plan["title"],
        "ladder",
        plan.get("phase"),
        state.get("candidate"),
        state["reference"],
        plan.get("claimed"),
        reason=None if state["applicable"] else state.get("reason") or NOT_APPLICABLE,
    )
    return row | {"kept": bool(state["kept"]) if row["applicable"] else None}


def _phases(
    table: Table,
    road: Mapping[str, Any],
    rungs: Mapping[str, Mapping[str, Any]],
    states: Mapping[str, Mapping[str, Any]],
    ladder: list[Row],
) -> list[Row]:
    """One row per phase: what stands after its last rung, against what stood before its first."""
    rows, reference = [], BASELINE
    for key, phase in road["phases"].items():
        names = [name for name, plan in rungs.items() if str(plan.get("phase")) == str(key)]
        parts = [row for row in ladder if str(row["phase"]) == str(key)]
        if not names and phase["claimed"] is None:
            continue  # nobody promised anything for it
        current = str(states[names[-1]]["current"]) if names else reference
        reason = None
        if not any(part["applicable"] for part in parts):
            reasons = list(dict.fromkeys(str(part["reason"]) for part in parts))
            reason = "; ".join(reasons) or "none of its techniques is on this road"
        costs: Row = {}
        if reason is None:
            for cost in ("train_seconds", "pretrain_seconds"):
                costs[cost] = sum(part[cost] or 0.0 for part in parts)
        title = str(phase["title"])
        name = f"phase {key}"
        number = int(key) if str(key).isdigit() else str(key)  # JSON and YAML write the number of a phase as text
        row = table.row(name, title, "phase", number, current, reference, phase["claimed"], reason, **costs)
        rows.append(row)
        reference = current
    return rows


_CALIBRATION = ("nll", "nll_scaled", "ece", "ece_scaled")
_SCORES = ["accuracy", "uar", "macro_f1", "uar_common", "macro_f1_common"]
_SCORES += [f"{metric}_{end}" for metric in _SCORES for end in ("low", "high")]
_SCORES += ["n_test", "classes_present", "classes_common", *_CALIBRATION, "temperature", "au_f1"]
_SCORES += ["accuracy_validation", "macro_f1_validation", "seeds", "seed_sd", "seed_sd_of"]
_GAINS = [f"{metric}gain{end}" for metric in ("", "uar_", "macro_f1_") for end in ("", "_low", "_high")]
_GAINS += ["p_value", "p_adjusted", "discordant", "detectable", "gain_per_minute"]
_COSTS = ["train_seconds", "pretrain_seconds", "epochs", "parameters", "converged", "milliseconds_per_face"]
_FIRST = ["technique", "view", "phase", "accuracy", "uar", "macro_f1", "gain", "gain_low", "gain_high"]
_FIRST += ["claimed_low", "claimed_high", "reference", "p_value", "verdict", "kept", "train_seconds", "n_test"]
_FIRST += ["applicable", "reason", "title", "predictor", "alarms"]
KEYS = tuple(dict.fromkeys(_FIRST + _SCORES + _GAINS + _COSTS))
