"""Stacking (Wolpert, "Stacked generalization", Neural Networks 1992): a logistic regression on log-probabilities.

The inputs are all members' log-probabilities side by side, (N, M·K); the ridge strength C is picked by
cross-validated log-loss inside the samples given, so that cross-fitting the stacker judges the pick as well.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from fer_core.ensemble.combiner import FLOOR, Array, Combiner, WeightedMean, stratified_folds

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # C, from strong to weak regularisation
INNER_FOLDS = 3


class Stacker:
    """A fitted logistic regression.

    Classes that it never saw keep the members' mean probability; the others share the rest.

    Attributes:
        weights: (M,) each member's share of the squared coefficients.
    """

    def __init__(self, log_probabilities: Array, labels: NDArray[np.int64], strength: float) -> None:
        members, _, classes = log_probabilities.shape
        self.centre = _inputs(log_probabilities).mean(axis=0)
        self.regression = LogisticRegression(C=strength, max_iter=500, tol=1e-3)
        self.regression.fit(_inputs(log_probabilities) - self.centre, labels)
        power = np.square(self.regression.coef_).reshape(-1, members, classes).sum(axis=(0, 2))
        self.weights: Array = power / power.sum() if power.sum() > 0 else np.full(members, 1 / members)

    def predict(self, log_probabilities: Array) -> Array:
        """Return joined log-probabilities (N, K) of members' (M, N, K)."""
        joined = np.exp(np.asarray(log_probabilities, dtype=np.float64)).mean(axis=0)
        seen = self.regression.classes_
        rest = joined[:, seen].sum(axis=1, keepdims=True)
        joined[:, seen] = rest * self.regression.predict_proba(_inputs(log_probabilities) - self.centre)
        return np.log(np.maximum(joined, np.finfo(np.float64).tiny))


def fit(log_probabilities: Array, labels: NDArray[np.int64], seed: int) -> Combiner:
    """Return a stacker of the members' (M, N, K), or their mean where only one class occurs in the labels."""
    if len(np.unique(labels)) < 2:
        return WeightedMean(np.full(len(log_probabilities), 1 / len(log_probabilities)))
    losses = [_inner_loss(log_probabilities, labels, strength, seed) for strength in STRENGTHS]
    return Stacker(log_probabilities, labels, STRENGTHS[int(np.argmin(losses))])


def _inner_loss(log_probabilities: Array, labels: NDArray[np.int64], strength: float, seed: int) -> float:
    fold = stratified_folds(labels, INNER_FOLDS, seed + 1)
    losses = np.empty(len(labels))
    for held in range(fold.max() + 1):
        seen = fold != held
        if len(np.unique(labels[seen])) < 2:
            return 0.0  # too few samples to tell strengths apart: the strongest ridge is taken
        stacker = Stacker(log_probabilities[:, seen], labels[seen], strength)
        predicted = stacker.predict(log_probabilities[:, ~seen])
        losses[~seen] = -np.maximum(predicted[np.arange(len(predicted)), labels[~seen]], FLOOR)
    return float(losses.mean())


def _inputs(log_probabilities: Array) -> Array:
    """Return (N, M·K), with log-probabilities below `FLOOR` raised to it."""
    members, samples, classes = log_probabilities.shape
    floored = np.maximum(np.asarray(log_probabilities, dtype=np.float64), FLOOR)
    return floored.transpose(1, 0, 2).reshape(samples, members * classes)
