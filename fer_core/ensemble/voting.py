"""Hard voting: every member has one vote, for its most probable class; the class with most votes is taken.

Of M members, n_k name class k, and p̄_k is the members' mean probability of it. The joined probability is

    q_k = (n_k + p̄_k) / (M + 1)

as though the mean were one more member that may split its vote. The q_k sum to 1. A class with one vote more than
another is always ahead: a member that names it gives it at least 1/K, so its p̄ is not 0 and no other's p̄ reaches 1.
Among classes with equally many votes the mean probability decides. Nothing is fitted.

Lam & Suen, "Application of majority voting to pattern recognition", IEEE Trans. SMC-A 1997.
"""

import numpy as np
from numpy.typing import NDArray

from fer_core.ensemble.combiner import Array, Combiner


class Majority:
    """One member, one vote.

    Attributes:
        weights: (M,) the share of the votes that each member has, 1/M.
    """

    def __init__(self, members: int) -> None:
        self.weights: Array = np.full(members, 1 / members)

    def predict(self, log_probabilities: Array) -> Array:
        """Return joined log-probabilities (N, K) of members' (M, N, K); see the module for the formula."""
        logs = np.asarray(log_probabilities, dtype=np.float64)
        members, _, classes = logs.shape
        votes = (logs.argmax(axis=2)[..., None] == np.arange(classes)).sum(axis=0)
        joined = (votes + np.exp(logs).mean(axis=0)) / (members + 1)
        return np.log(np.maximum(joined, np.finfo(np.float64).tiny))


def fit(log_probabilities: Array, labels: NDArray[np.int64], seed: int) -> Combiner:
    """Return the majority vote of the members of log_probabilities (M, N, K)."""
    return Majority(len(log_probabilities))
