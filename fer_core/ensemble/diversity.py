"""How differently the members of an ensemble err: without diversity, joining them gains nothing."""

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fer_core.ensemble.combiner import Array


def diversity(log_probabilities: Array, labels: NDArray[np.int64]) -> dict[str, float]:
    """Return the mean disagreement and error correlation over pairs of members.

    Args:
        log_probabilities: (M, N, K).
        labels: (N,).

    Returns:
        disagreement: share of samples that two members name differently (Skalak 1996); 0 to 1.
        error_correlation: Pearson correlation of two members' right-or-wrong (ρ of Kuncheva & Whitaker 2003);
            1 means the same mistakes. Pairs in which a member is always right or always wrong are left out.
        Both are NaN where no pair defines them.

    Example:
        >>> members = np.log(np.array([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.9]]]))
        >>> diversity(members, np.array([0, 0]))
        {'disagreement': 0.5, 'error_correlation': nan}
    """
    named = np.asarray(log_probabilities).argmax(axis=2)
    wrong = (named != np.asarray(labels)).astype(np.float64)
    disagreement, correlation = [], []
    for one, other in combinations(range(len(named)), 2):
        disagreement.append(float((named[one] != named[other]).mean()))
        if 0 < wrong[one].mean() < 1 and 0 < wrong[other].mean() < 1:
            correlation.append(float(np.corrcoef(wrong[one], wrong[other])[0, 1]))
    return {
        "disagreement": float(np.mean(disagreement)) if disagreement else math.nan,
        "error_correlation": float(np.mean(correlation)) if correlation else math.nan,
    }
