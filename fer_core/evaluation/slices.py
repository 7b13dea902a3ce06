"""The same predictions on a part of the test pictures: scores by attribute (skin, age, glasses ...), or a whole table.

Intervals are the whole table's own bootstrap, drawn from the part alone: of its subjects, where a subject has several
pictures in it. UAR and macro-F1 are means over the classes present in the part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_core.errors import ConfigError, DataError, unknown_name
from fer_core.evaluation.gains import Row
from fer_core.evaluation.metrics import Integers
from fer_core.evaluation.paired import Judge
from fer_core.evaluation.predictions import Truth

MAX_BINS = 20
"""An attribute with more different values (an age in years, a name) is none of bins: no table is made of it."""


def bins_of(truth: Truth) -> dict[str, list[str]]:
    """Return the bins of each attribute that some picture has, sorted by name."""
    found = {
        name: sorted({value for value in values if value is not None}) for name, values in truth.attributes.items()
    }
    return {name: bins for name, bins in found.items() if bins}


def part_of(truth: Truth, keep: npt.NDArray[np.bool_]) -> Truth:
    """Return the pictures where `keep` (N,) is true; subjects are numbered anew, from 0 without gaps."""
    rows = np.flatnonzero(keep)
    clusters = None
    if truth.clusters is not None:
        drawn, numbers = np.unique(truth.clusters[rows], return_inverse=True)
        clusters = numbers.astype(np.int64) if len(drawn) < len(rows) else None
    return replace(
        truth,
        ids=[truth.ids[row] for row in rows],
        labels=truth.labels[rows],
        clusters=clusters,
        aus=truth.aus[rows],
        attributes={name: [values[row] for row in rows] for name, values in truth.attributes.items()},
    )


def select(truth: Truth, where: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which pictures (N,) have all of the bins in `where`, each as "skin=dark".

    Raises:
        ConfigError: a condition does not read so, or names an attribute or a bin that no picture has.
        DataError: the set has no attributes; or the pictures left are fewer than 2, of one class, or of one subject.
    """
    bins = bins_of(truth)
    if not bins:
        raise DataError("The test pictures have no attributes to select by; an `attributes.csv` would tell them.")
    keep = np.ones(len(truth.ids), dtype=bool)
    for condition in where:
        name, equals, value = (part.strip() for part in condition.partition("="))
        if not equals:
            raise ConfigError(f"Expected a condition such as {next(iter(bins))}=BIN; got {condition!r}.")
        if name not in bins:
            raise unknown_name("attribute", name, bins)
        if value not in bins[name]:
            raise unknown_name(name, value, bins[name])
        keep &= np.array([found == value for found in truth.attributes[name]])
    _refuse_few(truth, keep, " ".join(where))
    return keep


def slice_rows(
    truth: Truth,
    predictions: Mapping[str, Integers],
    baseline: str,
    final: str,
    classes: int,
    resamples: int,
    seed: int,
) -> list[Row]:
    """Score the baseline and the final predictor in every bin of every attribute.

    Args:
        truth: the test pictures.
        predictions: predictor -> class indices (N,), with `baseline` and `final` among them.
        baseline: a key of `predictions`.
        final: a key of `predictions`; may be the baseline itself.
        classes: number of classes K.
        resamples: bootstrap draws for each bin.
        seed: of the draws.

    Returns:
        One dictionary per attribute and bin: `attribute`, `bin`, `n` (pictures), `classes_present`;
        `baseline_accuracy`, `baseline_uar`, `final_accuracy`, `final_uar` (fractions) and `gain`, `uar_gain` (points),
        each with `_low` and `_high`, its 95 % interval, null where there are fewer than two pictures or subjects.
        Attributes with more than `MAX_BINS` bins are left out.
    """
    rows: list[Row] = []
    for name, bins in bins_of(truth).items():
        if len(bins) > MAX_BINS:
            continue
        values = np.array(truth.attributes[name], dtype=object)
        for value in bins:
            keep = values == value
            part = part_of(truth, keep)
            guesses = {key: predictions[key][keep] for key in (baseline, final)}
            judge = Judge(part.labels, guesses, classes, part.clusters, resamples, seed)
            row: Row = {"attribute": name, "bin": value, "n": len(part.ids)}
            row["classes_present"] = len(np.unique(part.labels))
            gain = judge.compare(final, baseline)
            found: dict[str, Any] = {
                f"{who}_{metric}": judge.score(predictor, metric)
                for who, predictor in (("baseline", baseline), ("final", final))
                for metric in ("accuracy", "uar")
            }
            certain = _units(part) > 1
            for key, score in (found | {"gain": gain.accuracy, "uar_gain": gain.uar}).items():
                ends = (score.low, score.high) if certain else (None, None)
                row |= {key: score.value, f"{key}_low": ends[0], f"{key}_high": ends[1]}
            rows.append(row)
    return rows


def _units(truth: Truth) -> int:
    """Return how many pictures, or subjects where those are drawn, a bootstrap has."""
    return len(truth.ids) if truth.clusters is None else len(np.unique(truth.clusters))


def _refuse_few(truth: Truth, keep: npt.NDArray[np.bool_], where: str) -> None:
    count = int(keep.sum())
    left = f"{where} leaves {count} of {len(keep)} test faces"
    if count < 2:
        raise DataError(f"{left}; a table needs at least 2.")
    if len(np.unique(truth.labels[keep])) < 2:
        raise DataError(f"{left}, all of one class; a table needs at least 2 classes.")
    if _units(part_of(truth, keep)) < 2:
        raise DataError(f"{left}, all of one person; intervals need at least 2 people.")
