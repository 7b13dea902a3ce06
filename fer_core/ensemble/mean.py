"""Soft voting: the mean of the members' probabilities. Nothing is fitted."""

import numpy as np
from numpy.typing import NDArray

from fer_core.ensemble.combiner import Array, Combiner, WeightedMean


def fit(log_probabilities: Array, labels: NDArray[np.int64], seed: int) -> Combiner:
    """Return equal weights for the members of log_probabilities (M, N, K)."""
    return WeightedMean(np.full(len(log_probabilities), 1 / len(log_probabilities)))
