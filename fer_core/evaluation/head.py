"""What stands above the gains table: the headline, what the data are, and what such a table cannot tell."""

import math
from collections.abc import Mapping, Sequence
from statistics import median, stdev
from typing import Any

from fer_core.evaluation.gains import BASELINE, Compare, Row, Score
from fer_core.evaluation.metrics import COMMON
from fer_core.evaluation.power import detectable_gain

MISSING = "–"


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
    return MISSING if fraction is None else f"{100 * fraction:.1f}"


def data_notes(road: Mapping[str, Any], card: Mapping[str, Any]) -> list[str]:
    """Return what the data set says about itself, each sentence once, as in "Generated faces, not people."."""
    notes = [*(card.get("notes") or []), *(road.get("notes") or [])]
    return list(dict.fromkeys(sentence(note) for note in notes))


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


def sentence(text: str) -> str:
    """Return the text with a capital first letter and one full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
