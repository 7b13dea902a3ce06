"""What every ensemble method gives back, and the folds it is judged by."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FLOOR = np.log(1e-6)  # a member's certainty that counts: an impossible class must not outvote all others


class Combiner(Protocol):
    """Joins members' predictions.

    Attributes:
        weights: (M,) each member's share, summing to 1.
    """

    weights: Array

    def predict(self, log_probabilities: Array) -> Array:
        """Return joined log-probabilities (N, K) of members' (M, N, K)."""
        ...


class WeightedMean:
    """The weighted arithmetic mean of the members' probabilities: log Σ_m w_m p_m."""

    def __init__(self, weights: Array) -> None:
        self.weights = weights

    def predict(self, log_probabilities: Array) -> Array:
        """Return joined log-probabilities (N, K) of members' (M, N, K)."""
        joined = np.tensordot(self.weights, np.exp(np.asarray(log_probabilities, dtype=np.float64)), axes=1)
        return np.log(np.maximum(joined, np.finfo(np.float64).tiny))


def stratified_folds(labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each sample, (N,), at most `folds` of them, balanced in size and in every class.

    Samples are dealt like cards, class after class, so a class with fewer samples than folds is spread too
    (scikit-learn's StratifiedKFold warns or refuses there). The smallest class's samples stand in different folds.
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold = np.empty(len(labels), dtype=np.int64)
    fold[by_class] = np.arange(len(labels)) % min(folds, len(labels))
    return fold
