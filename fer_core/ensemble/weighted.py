"""Weighted voting: the weights on the simplex that minimise the mixture's negative log-likelihood.

    max_w  Σ_i log Σ_m w_m p_m(y_i | x_i),   w_m >= 0,  Σ w = 1

The problem is convex, and the EM steps for mixture proportions (Dempster, Laird & Rubin 1977) climb to its
optimum without a learning rate:  w_m ← mean_i  w_m p_m(y_i) / Σ_l w_l p_l(y_i).
"""

import numpy as np
from numpy.typing import NDArray

from fer_core.ensemble.combiner import FLOOR, Array, Combiner, WeightedMean

STEPS = 1000
TOLERANCE = 1e-7  # largest change of a weight that ends the climb


def fit(log_probabilities: Array, labels: NDArray[np.int64], seed: int) -> Combiner:
    """Return the weights that make the true labels (N,) likeliest under the members' (M, N, K)."""
    true = np.exp(np.maximum(log_probabilities[:, np.arange(len(labels)), labels], FLOOR))  # (M, N)
    weights = np.full(len(true), 1 / len(true))
    for _ in range(STEPS):
        joint = weights[:, None] * true
        moved = (joint / joint.sum(axis=0)).mean(axis=1)
        change = np.abs(moved - weights).max()
        weights = moved
        if change < TOLERANCE:
            break
    return WeightedMean(weights)
