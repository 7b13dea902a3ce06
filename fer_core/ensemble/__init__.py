"""Joining the predictions of several models, fitted and chosen on validation predictions only.

A new method is one file with a `fit` function and one entry in `METHODS`, simplest first: ties go to the simpler.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_core.ensemble import greedy, logistic, mean, voting, weighted
from fer_core.ensemble.combiner import Combiner, stratified_folds
from fer_core.ensemble.diversity import diversity, pairs
from fer_core.ensemble.members import best_member, member_scores
from fer_core.errors import ConfigError, DataError, unknown_name
from fer_core.evaluation.metrics import Scores, scores

__all__ = [
    "METHODS",
    "Choice",
    "Combiner",
    "Fitted",
    "best_member",
    "choose",
    "diversity",
    "fit",
    "member_scores",
    "pairs",
]

Array = NDArray[np.float64]

METHODS: dict[str, Callable[[Array, NDArray[np.int64], int], Combiner]] = {
    "mean": mean.fit,
    "voting": voting.fit,
    "weighted": weighted.fit,
    "greedy": greedy.fit,
    "logistic": logistic.fit,
}


@dataclass(frozen=True)
class Fitted:
    """A combiner fitted on all validation samples, with its honest predictions of them.

    Attributes:
        combiner: the combiner.
        cross_fitted: (N, K) log-probabilities; each sample's come from a combiner that did not see it.
    """

    combiner: Combiner
    cross_fitted: Array

    @property
    def weights(self) -> Array:
        """Each member's share, (M,) summing to 1; see the method for what it means."""
        return self.combiner.weights

    def predict(self, log_probabilities: Array) -> Array:
        """Return joined log-probabilities (N, K) of members' (M, N, K)."""
        return self.combiner.predict(log_probabilities)


@dataclass(frozen=True)
class Choice:
    """The method that validation prefers, and the others beside it.

    Attributes:
        method: a key of `METHODS`.
        fitted: every method that was tried, simplest first.
        scores: of each one's cross-fitted validation predictions.
        members: the members' names.
    """

    method: str
    fitted: dict[str, Fitted]
    scores: dict[str, Scores]
    members: list[str]

    @property
    def combiner(self) -> Combiner:
        """The chosen method, fitted on all validation samples."""
        return self.fitted[self.method].combiner

    @property
    def cross_fitted(self) -> Array:
        """(N, K) cross-fitted log-probabilities of the chosen method."""
        return self.fitted[self.method].cross_fitted

    @property
    def validation(self) -> dict[str, float]:
        """Cross-fitted macro-F1 of every method that was tried."""
        return {name: result.macro_f1 for name, result in self.scores.items()}

    @property
    def weights(self) -> dict[str, float]:
        """Each member's share by name, in the chosen method."""
        return self.weights_of(self.method)

    def weights_of(self, method: str) -> dict[str, float]:
        """Return each member's share by name, in `method`."""
        return dict(zip(self.members, self.fitted[method].weights.tolist(), strict=True))


def fit(method: str, log_probabilities: Array, labels: NDArray[np.int64], *, folds: int = 5, seed: int = 0) -> Fitted:
    """Fit a method on validation predictions, and once per fold for honest predictions of the same samples.

    Args:
        method: a key of `METHODS`.
        log_probabilities: (M, N, K), one slice per member.
        labels: (N,) class indices.
        folds: at least 2; stratified, also where classes have fewer samples than folds.
        seed: decides the folds.

    Raises:
        ConfigError: an unknown method or fewer than 2 folds.
        DataError: shapes that do not fit, or fewer than 2 samples.
    """
    if method not in METHODS:
        raise unknown_name("stack.method", method, METHODS)
    members, targets = _checked(log_probabilities, labels, folds)
    fold = stratified_folds(targets, folds, seed)
    cross_fitted = np.empty(members.shape[1:])
    for held in range(fold.max() + 1):
        seen = fold != held
        combiner = METHODS[method](members[:, seen], targets[seen], seed)
        cross_fitted[~seen] = combiner.predict(members[:, ~seen])
    return Fitted(METHODS[method](members, targets, seed), cross_fitted)


def choose(
    log_probabilities: Array,
    labels: NDArray[np.int64],
    member_names: Sequence[str],
    methods: Sequence[str],
    seed: int,
    folds: int = 5,
) -> Choice:
    """Choose among methods by cross-fitted macro-F1 on validation; ties go to the first in `METHODS`.

    Macro-F1 is over the classes that occur in `labels`.

    Raises:
        ConfigError: no or an unknown method.
        DataError: shapes that do not fit.
    """
    if not methods:
        raise ConfigError("Expected at least one method to choose among; got none.")
    if len(member_names) != len(log_probabilities):
        raise DataError(f"Expected {len(log_probabilities)} member names; got {len(member_names)}.")
    for name in methods:
        if name not in METHODS:
            raise unknown_name("stack.method", name, METHODS)
    fitted = {name: fit(name, log_probabilities, labels, folds=folds, seed=seed) for name in METHODS if name in methods}
    classes = np.shape(log_probabilities)[2]
    found = {name: scores(labels, one.cross_fitted.argmax(axis=1), classes) for name, one in fitted.items()}
    method = max(found, key=lambda name: round(found[name].macro_f1, 12))  # max keeps the first of equals
    return Choice(method, fitted, found, list(member_names))


def _checked(log_probabilities: Array, labels: NDArray[np.int64], folds: int) -> tuple[Array, NDArray[np.int64]]:
    members, targets = np.asarray(log_probabilities, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if members.ndim != 3 or members.shape[1] != len(targets):
        raise DataError(
            f"Expected log-probabilities (members, samples, classes) for {len(targets)} labels; got {members.shape}."
        )
    if len(targets) < 2:
        raise DataError(f"Expected at least 2 validation samples to fit a stack; got {len(targets)}.")
    if targets.min() < 0 or targets.max() >= members.shape[2]:
        raise DataError(
            f"Expected labels between 0 and {members.shape[2] - 1}; got {targets.min()} to {targets.max()}."
        )
    if folds < 2:
        raise ConfigError(f"Expected `stack.folds` to be at least 2; got {folds!r}.")
    return members, targets
