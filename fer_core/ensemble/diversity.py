"""How differently the members of an ensemble err: without diversity, joining them gains nothing.

Three measures of a pair, by what the two members name and whether they are right:

    disagreement       share of samples that they name differently (Skalak 1996), 0 to 1
    error correlation  Pearson correlation of right-or-wrong (ρ of Kuncheva & Whitaker 2003), 1: the same mistakes
    double fault       share of samples that both get wrong (Giacinto & Roli 2001), which no vote of the two mends
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fer_core.ensemble.combiner import Array

MEASURES = ("disagreement", "error_correlation", "double_fault")


def diversity(log_probabilities: Array, labels: NDArray[np.int64]) -> dict[str, float]:
    """Return the mean of each measure over pairs of members.

    Args:
        log_probabilities: (M, N, K).
        labels: (N,).

    Returns:
        measure -> mean over the pairs that define it. The correlation of a member that is always right, or always
        wrong, is not defined. NaN where no pair defines a measure.

    Example:
        >>> members = np.log(np.array([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.9]]]))
        >>> diversity(members, np.array([0, 0]))
        {'disagreement': 0.5, 'error_correlation': nan, 'double_fault': 0.0}
    """
    tables = _tables(log_probabilities, labels)
    above = np.triu_indices(len(np.asarray(log_probabilities)), k=1)
    means = {}
    for measure, table in tables.items():
        defined = table[above][~np.isnan(table[above])]
        means[measure] = float(defined.mean()) if len(defined) else math.nan
    return means


def pairs(
    log_probabilities: Array, labels: NDArray[np.int64], names: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return measure -> member -> other member -> value, both ways round; a member has no entry with itself.

    Args:
        log_probabilities: (M, N, K).
        labels: (N,).
        names: of the M members.
    """
    return {
        measure: {
            one: {other: float(table[i, j]) for j, other in enumerate(names) if i != j} for i, one in enumerate(names)
        }
        for measure, table in _tables(log_probabilities, labels).items()
    }


def _tables(log_probabilities: Array, labels: NDArray[np.int64]) -> dict[str, Array]:
    """Return measure -> symmetric (M, M), NaN where it is not defined and on the diagonal."""
    named = np.asarray(log_probabilities).argmax(axis=2)
    wrong = (named != np.asarray(labels)).astype(np.float64)
    tables = {measure: np.full((len(named), len(named)), math.nan) for measure in MEASURES}
    for one, other in combinations(range(len(named)), 2):
        values = [float((named[one] != named[other]).mean()), math.nan, float((wrong[one] * wrong[other]).mean())]
        if 0 < wrong[one].mean() < 1 and 0 < wrong[other].mean() < 1:
            values[1] = float(np.corrcoef(wrong[one], wrong[other])[0, 1])
        for measure, value in zip(MEASURES, values, strict=True):
            tables[measure][one, other] = tables[measure][other, one] = value
    return tables
