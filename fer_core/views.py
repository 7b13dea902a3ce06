"""Joining the views of every member of a predictor, then its members: fitted on validation, applied to test.

A face's views are joined by their weighted mean probability, log Σ_v w_v p_v(y | x). `mean` gives equal weights;
`learned` takes the weights on the simplex that make the validation labels likeliest (Shanmugam, Blalock,
Balakrishnan & Guttag, "Better Aggregation in Test-Time Augmentation", ICCV 2021, who learn one weight per view, or
per view and class, by gradient descent on the cross-entropy). With views in the place of members it is the convex
problem of `ensemble.weighted`, whose optimum is reached without a learning rate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.ensemble import METHODS, mean, weighted
from fer_core.ensemble.combiner import Array, Combiner, stratified_folds
from fer_core.ensemble.vote import SINGLE
from fer_core.errors import ConfigError, DataError, unknown_name

WEIGHTINGS: dict[str, Callable[[Array, NDArray[np.int64], int], Combiner]] = {
    "mean": mean.fit,
    "learned": weighted.fit,
}


@dataclass(frozen=True)
class Joined:
    """Views and members joined.

    Attributes:
        validation: (N, K) log-probabilities; each sample's come from weights and a vote that did not see it.
        test: (N', K) log-probabilities, of weights and a vote fitted on all of validation.
        weights: (M, V) each member's weights of the views, rows summing to 1, fitted on all of validation.
    """

    validation: Array
    test: Array
    weights: Array


class _Pipeline:
    """The weights of each member's views and the vote of the members, fitted one after the other."""

    def __init__(self, views: Array, labels: NDArray[np.int64], weighting: str, method: str, seed: int) -> None:
        self.members = [WEIGHTINGS[weighting](member, labels, seed) for member in views]
        self.vote = None if method == SINGLE else METHODS[method](self._joined(views), labels, seed)

    def _joined(self, views: Array) -> Array:
        return np.stack([one.predict(member) for one, member in zip(self.members, views, strict=True)])

    def predict(self, views: Array) -> Array:
        joined = self._joined(views)
        return joined[0] if self.vote is None else self.vote.predict(joined)


def join_views(
    validation: Sequence[Array] | Array,
    test: Sequence[Array] | Array,
    labels: NDArray[np.int64],
    weighting: str,
    method: str,
    *,
    seed: int,
    folds: int,
) -> Joined:
    """Join the views of every member, and the members.

    Args:
        validation: (M, V, N, K) log-probabilities on validation, one slice per member and view.
        test: (M, V, N', K) on test.
        labels: (N,) class indices of the validation samples.
        weighting: a key of `WEIGHTINGS`.
        method: a key of `ensemble.METHODS`; `single` for one member.
        seed: decides the folds.
        folds: at least 2. Weights *and* vote are fitted without a fold, which they then predict: weights that had
            seen its labels would tell the vote about them.

    Raises:
        ConfigError: an unknown weighting or method, `single` for several members, or fewer than 2 folds.
        DataError: shapes that do not fit, or fewer than 2 validation samples.
    """
    if weighting not in WEIGHTINGS:
        raise unknown_name("tta.weights", weighting, WEIGHTINGS)
    if method != SINGLE and method not in METHODS:
        raise unknown_name("stack.method", method, [SINGLE, *METHODS])
    if folds < 2:
        raise ConfigError(f"Expected `stack.folds` to be at least 2; got {folds!r}.")
    views, others = np.asarray(validation, dtype=np.float64), np.asarray(test, dtype=np.float64)
    targets = np.asarray(labels, dtype=np.int64)
    if views.ndim != 4 or views.shape[2] != len(targets) or len(targets) < 2:
        raise DataError(
            "Expected log-probabilities (members, views, samples, classes) for 2 labels or more; "
            f"got {views.shape} for {len(targets)}."
        )
    if others.ndim != 4 or others.shape[:2] + others.shape[3:] != views.shape[:2] + views.shape[3:]:
        raise DataError(f"Expected the members, views and classes of {views.shape} on test; got {others.shape}.")
    if method == SINGLE and len(views) > 1:
        raise ConfigError(f"Expected one member for the method 'single'; got {len(views)}.")
    fold = stratified_folds(targets, folds, seed)
    cross_fitted = np.empty(views.shape[2:])
    for held in range(fold.max() + 1):
        seen = fold != held
        pipeline = _Pipeline(views[:, :, seen], targets[seen], weighting, method, seed)
        cross_fitted[~seen] = pipeline.predict(views[:, :, ~seen])
    whole = _Pipeline(views, targets, weighting, method, seed)
    return Joined(cross_fitted, whole.predict(others), np.stack([one.weights for one in whole.members]))
