"""Is experiment B better than experiment A? Every row of B's gains table against the same row of A's, face by face.

A difference is B minus A, in points, on the same test faces: paired bootstrap for its interval (`intervals`), McNemar's
exact test for p (`paired`). Two questions stand before the others: did the baseline change, and did what stands at the
end of the ladder? Their p values are corrected for being two, those of all other rows for being many (Holm,
`multiple`). Pairs with the same answers to every face are no tests: no labels could have made them significant (Tarone,
"A Modified Bonferroni Method for Discrete Data", Biometrics 1990).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from fer_core.errors import DataError
from fer_core.evaluation.compare_faces import STILL, Pair, Side, Track, checked_seeds, track_of, tracks_of
from fer_core.evaluation.compare_judge import Duels
from fer_core.evaluation.gains import BASELINE, NOT_APPLICABLE, seeds_of
from fer_core.evaluation.intervals import RESAMPLES
from fer_core.evaluation.multiple import holm
from fer_core.evaluation.power import detectable_gain

SAME, B_BETTER, A_BETTER, UNCERTAIN = "same answers", "B is better", "A is better", "not distinguishable"
LEVEL = 0.05
Z = 1.96  # standard deviations that hold 95 % of a normal distribution
BASE = ("ladder", "baseline")  # the row of the baseline
_METRICS = ("accuracy", "uar", "macro_f1")

Row = dict[str, Any]
Key = tuple[str, str]  # view and technique


@dataclass(frozen=True)
class Compared:
    """What `compare` found.

    Attributes:
        headline: the baseline, over all seeds that both sides have of it, and what stands at the end of the ladder.
        rows: one per row that both tables have, in A's order; without the baseline's.
        only: rows that one side alone can show: view, technique, title, side ("a" or "b"), reason.
        n: test faces of each track.
    """

    headline: list[Row]
    rows: list[Row]
    only: list[Row]
    n: dict[str, int]


def compare(a: Side, b: Side, resamples: int = RESAMPLES, seed: int = 0) -> Compared:
    """Compare two experiments on their test faces.

    A row's scores are fractions; differences, `detectable` and `seed_luck` are points. A row stands for as many seeds
    as both sides have of it. `verdict` calls one better where the interval excludes 0 *and* the corrected p is below
    0.05. `seed_luck` is the standard deviation of the difference by the seeds of the trainings alone: √2 · SD for one
    seed each, None where nothing was trained twice; `within_luck` marks a difference of less than 1.96 of these.

    Raises:
        DataError: the two are not of the same test faces and classes, or the files of a side contradict each other.
    """
    tracks = tracks_of(a, b)
    left, right = _by_key(a), _by_key(b)
    first, last = (_baseline(a), _baseline(b)), (_final(a), _final(b))
    start = _all_seeds(tracks)
    questions = [(_title("Baseline", start), *first, start)]
    if (last[0]["predictor"], last[1]["predictor"]) != (BASELINE, BASELINE):
        questions.append(("End of the ladder", *last, _pair(a, b, *last, tracks)))
    both = [key for key, row in left.items() if key != BASE and _usable(row) and _usable(right.get(key))]
    for side, row, which in ((a, first[0], 0), (b, first[1], 1)):
        checked_seeds(side, row, tracks[start.track], which)
    others = [(left[key]["title"], left[key], right[key], _pair(a, b, left[key], right[key], tracks)) for key in both]
    duels = Duels(tracks, [pair for *_, pair in (*questions, *others)], len(a.about["classes"]), resamples, seed)
    headline = [_row(duels, *question) for question in questions]
    rows = [_row(duels, *other) for other in others]
    _correct(headline, rows)
    sizes = {name: len(track.labels) for name, track in tracks.items()}
    return Compared(headline, rows, _only(left, right, a, b), sizes)


def verdict(low: float, high: float, p_adjusted: float) -> str:
    """Judge a difference (B minus A) with the interval [low, high] and the corrected p.

    Example:
        >>> verdict(0.5, 3.0, 0.01), verdict(-3.0, -0.5, 0.01), verdict(0.5, 3.0, 0.2), verdict(-1.0, 3.0, 0.01)
        ('B is better', 'A is better', 'not distinguishable', 'not distinguishable')
    """
    if p_adjusted >= LEVEL or low <= 0 <= high:
        return UNCERTAIN
    return B_BETTER if low > 0 else A_BETTER


def _row(duels: Duels, title: str, row_a: Mapping[str, Any], row_b: Mapping[str, Any], pair: Pair) -> Row:
    row: Row = {"view": row_a["view"], "technique": row_a["technique"], "title": title, "track": pair.track}
    row |= {"predictor_a": row_a["predictor"], "predictor_b": row_b["predictor"], "seeds": len(pair.a)}
    row |= {"n": duels.faces(pair), "verdict": SAME, "p_value": None, "p_adjusted": None, "detectable": None}
    found, scores = duels.compare(pair), duels.scores(pair, _METRICS)
    for metric in _METRICS:
        gain, prefix = getattr(found, metric), "" if metric == "accuracy" else f"{metric}_"
        row |= {f"{metric}_a": scores[0][metric], f"{metric}_b": scores[1][metric], f"{prefix}difference": gain.value}
        row |= {f"{prefix}difference_low": gain.low, f"{prefix}difference_high": gain.high}
    row |= {"only_a": found.only_reference, "only_b": found.only_candidate}
    row["discordant"] = (found.only_candidate + found.only_reference) / row["n"]
    row |= {"gain_a": row_a["gain"], "gain_b": row_b["gain"], "seed_luck": None, "within_luck": None}
    row |= {"seed_sd_a": row_a.get("seed_sd"), "seed_sd_b": row_b.get("seed_sd")}
    if not duels.same(pair):
        detectable = detectable_gain(row["n"], row["discordant"])
        row |= {"p_value": found.p_value, "detectable": detectable if math.isfinite(detectable) else None}
        if (luck := seed_luck(row["seed_sd_a"], row["seed_sd_b"], row["seeds"])) is not None:
            row |= {"seed_luck": luck, "within_luck": abs(row["difference"]) < Z * luck}
    return row | {"answers": duels.answers(pair)}


def seed_luck(sd_a: float | None, sd_b: float | None, seeds: int) -> float | None:
    """Return the standard deviation, in points, of a difference of two means over `seeds` trainings each.

    The variances of both sides add up; where one side's is not known, the other's stands for both.

    Example:
        >>> round(seed_luck(1.0, None, 1), 3), seed_luck(3.0, 4.0, 1), seed_luck(None, None, 3)
        (1.414, 5.0, None)
    """
    known = [sd for sd in (sd_a, sd_b) if sd is not None]
    if not known:
        return None
    one, other = known if len(known) == 2 else (known[0], known[0])
    return math.sqrt((one**2 + other**2) / seeds)


def _correct(headline: list[Row], rows: list[Row]) -> None:
    """Fill in the corrected p and the verdict; rows of the same answers on both sides are one test."""
    known: dict[object, float | None] = {}
    for family in (headline, rows):
        tests = {row["answers"]: row["p_value"] for row in family if row["answers"] not in known}
        known |= dict(zip(tests, holm(list(tests.values())), strict=True))
        for row in family:
            row["p_adjusted"] = adjusted = known[row.pop("answers")]
            if adjusted is not None:
                row["verdict"] = verdict(row["difference_low"], row["difference_high"], adjusted)


def _only(left: Mapping[Key, Any], right: Mapping[Key, Any], a: Side, b: Side) -> list[Row]:
    """Tell which rows one side has and the other has not, with the other's reason."""
    rows = []
    for mine, theirs, letter, other in ((left, right, "a", b), (right, left, "b", a)):
        for key, row in mine.items():
            if _usable(row) and not _usable(theirs.get(key)):
                reason = "has no such row" if key not in theirs else theirs[key].get("reason") or NOT_APPLICABLE
                told = {"view": key[0], "technique": key[1], "title": row["title"], "side": letter}
                rows.append(told | {"reason": f"{other.name}: {reason}"})
    return rows


def _by_key(side: Side) -> dict[Key, Mapping[str, Any]]:
    return {(row["view"], row["technique"]): row for row in side.rows}


def _usable(row: Mapping[str, Any] | None) -> TypeGuard[Mapping[str, Any]]:
    return bool(row and row["applicable"] and row["predictor"])


def _baseline(side: Side) -> Mapping[str, Any]:
    if not _usable(row := _by_key(side).get(BASE)):
        raise DataError(f"{side.name}: metrics/gains.json has no row of the baseline.")
    return row


def _final(side: Side) -> Mapping[str, Any]:
    """Return the row of the last rung that was kept; the baseline's where none was."""
    kept = [row for row in side.rows if row["view"] == "ladder" and row["kept"] is True]
    return kept[-1] if kept else _baseline(side)


def _pair(a: Side, b: Side, row_a: Mapping[str, Any], row_b: Mapping[str, Any], tracks: Mapping[str, Track]) -> Pair:
    """Return the trainings that are compared: as many of each side as both have."""
    track = track_of(tracks, row_a, row_b)
    names_a = checked_seeds(a, row_a, tracks[track], 0)
    names_b = checked_seeds(b, row_b, tracks[track], 1)
    count = min(len(names_a), len(names_b))
    return Pair(track, tuple(names_a[:count]), tuple(names_b[:count]))


def _all_seeds(tracks: Mapping[str, Track]) -> Pair:
    """Return the baselines of both sides with all the seeds that both have."""
    names: list[Sequence[str]] = [seeds_of(answers, BASELINE) for answers in tracks[STILL].answers]
    count = min(map(len, names))
    return Pair(STILL, tuple(names[0][:count]), tuple(names[1][:count]))


def _title(what: str, pair: Pair) -> str:
    return what if len(pair.a) == 1 else f"{what}, mean of {len(pair.a)} seeds"
