"""The gains table in words: the headline, the cells that the terminal and the Markdown share, and reports/gains.md."""

import math
from collections.abc import Mapping, Sequence
from statistics import median, stdev
from typing import Any

from fer_core.evaluation.gains import BASELINE, Compare, Row, Score
from fer_core.evaluation.metrics import COMMON
from fer_core.evaluation.power import detectable_gain

VIEWS = {
    "phase": "Phases",
    "alone": "Each technique alone, on the baseline",
    "ladder": "The ladder: each technique on top of those kept before it",
    "without": "Leave-one-out: what each technique adds to the ladder's recipe",
    "vote": "How members and views vote, against the best member and one view",
    "clip": "The clip track: models of several frames, on clips of their own",
}
_OWN_REFERENCE = ("vote", "clip", "without")  # views that the stills' baseline is no reference of
_MISSING = "–"


def summarise(
    rows: Sequence[Row], final: str, compare: Compare, score: Score, ceiling: Mapping[str, float] | None = None
) -> dict[str, float | int | None]:
    """Return the few numbers that `dvc metrics show` and `dvc exp show` have as columns.

    `final` is the predictor that stands after the last rung, `ceiling` the best `accuracy` and `macro_f1` (fractions)
    that any predictor could reach on these data, where that is known. Scores are fractions, gains points, with 6
    digits: a percentage is then rounded once. `gap_closed` is the share of the way from the baseline's accuracy to
    the ceiling's that `final` has gone: null where there is no ceiling, or none above the baseline.
    """
    found: dict[str, float | int | None] = {}
    for name, predictor in (("baseline", BASELINE), ("final", final)):
        for metric in ("accuracy", "uar", "macro_f1"):
            found[f"{name}_{metric}"] = score(predictor, metric).value
    gain = compare(final, BASELINE).accuracy
    found |= {"final_gain": gain.value, "final_gain_low": gain.low, "final_gain_high": gain.high}
    found |= {f"ceiling_{metric}": (ceiling or {}).get(metric) for metric in ("accuracy", "macro_f1")}
    found["gap_closed"] = _share_of_gap(found, gain.value)
    accuracy = found["baseline_accuracy"]
    for row in rows:
        if row["view"] == "phase":  # a phase without an applicable technique leaves the accuracy where it was
            accuracy = row["accuracy"] if row["applicable"] else accuracy
            found[f"phase_{row['phase']}_accuracy"] = accuracy
    ladder = [row for row in rows if row["view"] == "ladder"]
    found["rungs_kept"] = sum(row["kept"] is True for row in ladder)
    # a way to vote repeats its members' alarms
    found["alarmed"] = len({row["predictor"] for row in rows if row["alarms"] and row["view"] != "vote"})
    baseline = next(row for row in rows if row["predictor"] == BASELINE)
    found["n_test"] = baseline["n_test"]
    found |= {"baseline_seeds": baseline["seeds"], "baseline_seed_sd": baseline["seed_sd"]}
    compared = [row for row in rows if row["view"] in ("alone", "ladder") and row["discordant"] is not None]
    if compared:
        typical = median(row["discordant"] for row in compared)
        least = detectable_gain(baseline["n_test"], typical)
        found |= {"discordant": typical, "detectable_gain": least if math.isfinite(least) else None}
    else:
        found |= {"discordant": None, "detectable_gain": None}
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in found.items()}


def headline(summary: Mapping[str, Any], road: Mapping[str, Any]) -> str:
    """Return the one line that everybody reads.

    Example:
        >>> headline(
        ...     {"baseline_accuracy": 0.431, "final_accuracy": 0.55, "final_gain": 11.9, "final_gain_low": 9.1,
        ...      "final_gain_high": 14.6},
        ...     {"phases": {1: {"from": 55, "to": 65, "claimed": [10, 10]}, 2: {"to": 80, "claimed": [5, None]}}},
        ... )
        'baseline 43.1 % -> final 55.0 %: +11.9 points [9.1, 14.6]; the roadmap claims 55 -> 80+'
    """
    phases = [phase for phase in road["phases"].values() if phase["claimed"]]
    claimed = f"{phases[0]['from']} -> {phases[-1]['to']}{'+' if phases[-1]['claimed'][1] is None else ''}"
    return (
        f"baseline {percent(summary['baseline_accuracy'])} % -> final {percent(summary['final_accuracy'])} %: "
        f"{summary['final_gain']:+.1f} points [{summary['final_gain_low']:.1f}, {summary['final_gain_high']:.1f}]; "
        f"the roadmap claims {claimed}"
    )


def gap_sentence(summary: Mapping[str, Any]) -> str | None:
    """Return how much of the gap from the baseline to the ceiling the ladder closes; None without a ceiling.

    The interval is the gain's, divided by the gap: it takes the width of the gap as measured.

    Example:
        >>> gap_sentence({"baseline_accuracy": 0.4, "ceiling_accuracy": 0.9, "gap_closed": 0.1, "final_gain_low": 1.0,
        ...               "final_gain_high": 9.0})
        'The ladder closes 10.0 % [2.0, 18.0] of the gap from the baseline (40.0 %) to the ceiling (90.0 %).'
    """
    baseline, ceiling = summary["baseline_accuracy"], summary.get("ceiling_accuracy")
    if ceiling is None:
        return None
    ends = f"the baseline ({percent(baseline)} %) to the ceiling ({percent(ceiling)} %)"
    if summary["gap_closed"] is None:
        return f"There is no gap to close from {ends}."
    low, high = (_share_of_gap(summary, summary[f"final_gain_{end}"]) for end in ("low", "high"))
    closed = f"{percent(summary['gap_closed'])} % [{percent(low)}, {percent(high)}]"
    return f"The ladder closes {closed} of the gap from {ends}."


def limits_sentence(summary: Mapping[str, Any]) -> str | None:
    """Return in one line what the table cannot tell; None where nothing was compared.

    Example:
        >>> limits_sentence({"detectable_gain": 4.84, "n_test": 909, "baseline_seeds": 3, "baseline_seed_sd": 1.41})
        'Minimum detectable gain on 909 test pictures: 4.8 points; the luck of a seed: ±1.4 (baseline, 3 seeds).'
    """
    least, spread = summary.get("detectable_gain"), summary.get("baseline_seed_sd")
    if least is None:
        return None
    luck = f"±{spread:.1f} (baseline, {summary['baseline_seeds']} seeds)" if spread is not None else "not known"
    pictures = summary["n_test"]
    return f"Minimum detectable gain on {pictures} test pictures: {least:.1f} points; the luck of a seed: {luck}."


def _share_of_gap(summary: Mapping[str, Any], gain: float) -> float | None:
    """Return a gain in points as a share of the gap from the baseline's accuracy to the ceiling's."""
    ceiling = summary["ceiling_accuracy"]
    gap = 0.0 if ceiling is None else ceiling - summary["baseline_accuracy"]
    return gain / 100 / gap if gap > 0 else None


def percent(fraction: float | None) -> str:
    """Return a fraction as a percentage with one digit, without its sign."""
    return _MISSING if fraction is None else f"{100 * fraction:.1f}"


def gain_text(row: Row) -> str:
    """Return the gain and its interval in points, as in "+3.2 [0.4, 6.1]"."""
    if row["gain"] is None:
        return _MISSING
    return f"{row['gain']:+.1f} [{row['gain_low']:.1f}, {row['gain_high']:.1f}]"


def seeds_text(row: Row) -> str:
    """Return how many seeds a row has and the standard deviation over seeds in points; the baseline's is marked.

    Example:
        >>> seeds_text({"seeds": 3, "seed_sd": 1.44, "seed_sd_of": "own"})
        '3, ±1.4'
        >>> seeds_text({"seeds": 1, "seed_sd": 1.44, "seed_sd_of": "baseline"})
        '1, ±1.4 (baseline)'
    """
    if row["seeds"] is None:
        return _MISSING
    spread = "" if row["seed_sd"] is None else f", ±{row['seed_sd']:.1f}"
    return f"{row['seeds']}{spread}" + (" (baseline)" if row["seed_sd_of"] == "baseline" else "")


def p_text(row: Row) -> str:
    """Return McNemar's p and, in brackets, what it is after Holm's correction for the whole table."""
    if row["p_value"] is None:
        return _MISSING
    corrected = "" if row["p_adjusted"] is None else f" ({row['p_adjusted']:.2g})"
    return f"{row['p_value']:.2g}{corrected}"


def claim_text(row: Row) -> str:
    """Return the claimed range in points: "10–20", "10" or "5+"."""
    low, high = row["claimed_low"], row["claimed_high"]
    if low is None:
        return _MISSING
    return f"{low:g}+" if high is None else f"{low:g}" if low == high else f"{low:g}–{high:g}"


def score_text(row: Row, metric: str) -> str:
    """Return UAR or macro-F1 in percent, with an arrow where its own paired interval excludes 0."""
    low, high = row[f"{metric}_gain_low"], row[f"{metric}_gain_high"]
    arrow = "" if low is None else " ↑" if low > 0 else " ↓" if high < 0 else ""
    return percent(row[metric]) + arrow


def verdict_text(row: Row) -> str:
    """Return the verdict, with the reason of a row that does not apply."""
    return f"{row['verdict']}: {row['reason']}" if row["reason"] else str(row["verdict"])


def kept_text(row: Row) -> str:
    """Return whether a rung was kept by validation; nothing for other rows."""
    return {True: "yes", False: "no"}.get(row["kept"], "")


def seconds_text(row: Row) -> str:
    """Return the seconds of training, and of pretraining where there was any."""
    if row["train_seconds"] is None:
        return _MISSING
    pretrain = row["pretrain_seconds"] or 0
    return f"{row['train_seconds']:.0f}" + (f" + {pretrain:.0f}" if pretrain >= 0.5 else "")


def title_text(row: Row) -> str:
    """Return the row's name for people."""
    title = str(row["title"])
    if row["view"] == "phase" and str(row["phase"]).isdigit() and not title.lower().startswith("phase"):
        return f"Phase {row['phase']}: {title}"
    return title


def data_notes(road: Mapping[str, Any], card: Mapping[str, Any]) -> list[str]:
    """Return what the data set says about itself, each sentence once, as in "Generated faces, not people."."""
    notes = [*(card.get("notes") or []), *(road.get("notes") or [])]
    return list(dict.fromkeys(_sentence(note) for note in notes))


def head_notes(
    road: Mapping[str, Any],
    card: Mapping[str, Any],
    baseline: Mapping[str, Any],
    by_subject: bool,
    dropped: int,
    resamples: int,
    summary: Mapping[str, Any],
    seeds: Sequence[float] = (),
) -> list[str]:
    """Return the sentences above the table: what the data are, how many pictures, how sure the numbers can be.

    `baseline` is the baseline's entry in metrics/runs.json, `summary` what `summarise` returned, `seeds` the accuracy
    (fraction) of the baseline with each of its seeds.
    """
    test = baseline["test"]
    sizes = [entry["support"] for entry in test["per_class"].values()]
    small = sum(0 < size < COMMON for size in sizes)
    gap = gap_sentence(summary)
    notes = [*data_notes(road, card), *([gap] if gap else [])]
    notes.append(
        f"Data: {card.get('title') or road['data']}; profile `{road['profile']}`; {test['n']} test pictures, "
        f"{test['classes_present']} of {len(sizes)} classes present."
    )
    if small:
        notes.append(
            f"{small} {'class has' if small == 1 else 'classes have'} fewer than {COMMON} test pictures: UAR and "
            "macro-F1 move by points when one of those pictures does. Over the "
            f"{test['classes_common']} others the baseline has UAR {percent(test['uar_common'])} % and macro-F1 "
            f"{percent(test['macro_f1_common'])} %."
        )
    if dropped:
        notes.append(f"Test pictures that could not be read, and are not scored: {dropped}.")
    unit = "subjects, who have several pictures each" if by_subject else "test pictures"
    notes.append(f"Intervals: 95 %, paired bootstrap, {resamples:,} resamples of the {unit}.")
    return [*notes, *_limits(summary, seeds)]


def _limits(summary: Mapping[str, Any], seeds: Sequence[float]) -> list[str]:
    """Return what the table cannot tell: gains that are too small for its test faces, and the luck of seeds."""
    notes = []
    if summary.get("detectable_gain") is not None:
        notes.append(
            f"Minimum detectable gain: **{summary['detectable_gain']:.1f} points**. Of these {summary['n_test']} test "
            f"pictures a technique and its reference disagree on {percent(summary['discordant'])} % (median of the "
            "rows); a true gain smaller than that is missed in one of five tries or more (McNemar's test, 80 % power)."
        )
    elif summary.get("discordant") is not None:
        notes.append(
            f"Minimum detectable gain: none. On {summary['n_test']} test pictures even a technique that wins every "
            "disagreement with its reference would mostly be missed (McNemar's test, 80 % power)."
        )
    if len(seeds) < 2:
        return [*notes, "One training run per row: how far luck alone moves a figure is not known."]
    told = ", ".join(percent(value) for value in seeds)
    spread = stdev(100 * value for value in seeds)
    notes.append(
        f"Seeds: the baseline trained with {len(seeds)} seeds reaches {told} % (standard deviation {spread:.1f} "
        f"points). Rows of one seed do not average that out: two such rows differ by about ±{2**0.5 * spread:.1f} "
        "points by luck alone, which the intervals do not hold."
    )
    return notes


def markdown(
    rows: Sequence[Row],
    summary: Mapping[str, Any],
    road: Mapping[str, Any],
    notes: Sequence[str],
    more: Sequence[str] = (),
    extra: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return reports/gains.md: headline, notes, the tables, the lines of `more` sections, how to read them.

    `extra` has lines that follow a view's table, by the view.
    """
    lines = ["# What each technique gave", "", f"**{_sentence(headline(summary, road).replace('->', '→'))}**", ""]
    lines += [f"- {note}" for note in notes]
    lines += [
        "",
        "![The ladder: accuracy after each technique, and its gain beside the claimed one](figures/ladder.svg)",
        "",
    ]
    baseline = next(row for row in rows if row["predictor"] == BASELINE and row["technique"] == "baseline")
    for view, title in VIEWS.items():
        part = [row for row in rows if row["view"] == view and row is not baseline]
        if not part and view in _OWN_REFERENCE:
            continue
        if view not in _OWN_REFERENCE:
            part.insert(0, baseline)
        header = [name for name in _COLUMNS if view in _ONLY.get(name, VIEWS) and view not in _NOT.get(name, ())]
        lines += [f"## {title}", "", line(header), line([_MARKS.get(name, "---:") for name in header])]
        lines += [line([_COLUMNS[name](row) for name in header]) for row in part]
        lines += ["", *(extra or {}).get(view, [])]
    return "\n".join([*lines, *more, _LEGEND])


_COLUMNS = {
    "Technique": title_text,
    "Accuracy %": lambda row: percent(row["accuracy"]),
    "UAR %": lambda row: score_text(row, "uar"),
    "Macro-F1 %": lambda row: score_text(row, "macro_f1"),
    "Gain, points [95 %]": gain_text,
    "Seeds, SD": seeds_text,
    "Claimed": claim_text,
    "Verdict": verdict_text,
    "p (Holm)": p_text,
    "Kept": kept_text,
    "Train s": seconds_text,
    "Points a minute": lambda row: _MISSING if row["gain_per_minute"] is None else f"{row['gain_per_minute']:+.1f}",
    "ECE %": lambda row: (
        f"{percent(row['ece'])} → {percent(row['ece_scaled'])}" if row["ece"] is not None else _MISSING
    ),
    "ms a face": lambda row: (
        _MISSING if row["milliseconds_per_face"] is None else f"{row['milliseconds_per_face']:.1f}"
    ),
    "Alarms": lambda row: "; ".join(row["alarms"]),
}
_ONLY = {"Kept": ("ladder",), "Points a minute": ("phase", "alone", "ladder")}  # columns of some views
_NOT = {"Train s": ("vote",)}
_MARKS = {"Technique": "---", "Verdict": ":---", "Kept": ":---:", "Alarms": ":---"}

_LEGEND = """## Reading the table

- **Accuracy** is the share of test pictures named rightly (WAR). **UAR** is the mean recall of the classes,
  **macro-F1** the mean of their F1, both over the classes present in the test split: small classes count as much as
  large ones.
  ↑ or ↓ marks a UAR or macro-F1 whose own paired 95 % interval of the change lies above or below 0.
- **Seeds, SD**: with how many seeds a row was trained, and the standard deviation of accuracy over seeds, in points. A
  row of one seed has none of its own: the baseline's stands there. Members and views are of each run's first seed.
- **Gain** is in points of accuracy over the row's reference, on the same pictures. A phase is measured against what
  stood before it, a technique alone against the baseline, a rung against the rungs kept before it.
- **Ceiling**, known of generated faces only: what the best decision reaches that is given a face's true AU
  intensities, its true AUs, or its AU labels. The gap that the ladder closes is the one to the first of them.
- **Claimed** is the gain in points that the roadmap promises; where it promises one for a whole section, it stands
  beside each technique of the section. Techniques beyond the roadmap carry no claim.
- **Verdict**: *harmful*, the interval lies below 0; *not distinguishable from 0*, it holds 0; otherwise it is compared
  with the claimed range: *below*, *above* or *compatible with the claim*; without a claim it is *above 0*.
- **p** is McNemar's exact test of the same comparison (of several seeds: twice the median of their p), in brackets
  after Holm's correction for all comparisons of the table.
- **Kept**: whether the rung stays on the ladder. This is decided on validation, never by test pictures: a rung goes
  when its macro-F1, over the classes of five or more validation pictures, is lower than that of what stands by more
  than one standard error of the difference (paired bootstrap).
- **Leave-one-out** (`leave_one_out: true`): all of the ladder's recipe against all of it but one technique.
- **Train s**: seconds of training beyond what the reference needed, + seconds of pretraining and of synthesis, what is
  shared counted once. **Points a minute**: the gain, divided by both.
- **ECE**: expected calibration error of the class probabilities (15 bins), before → after temperature scaling, which
  is fitted on validation.
- **ms a face**: milliseconds of prediction, all members and views together, on this machine; in rows of one view,
  of the picture alone.
- **Clip track**: one prediction a clip. Every model is compared with the track's baseline on the same clips.
- **Alarms**: signs that a run went wrong. "Not converged" means that it still improved at its last epoch.
"""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def line(cells: Sequence[str]) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
