"""One vote of several members, by every method: fitted and chosen on validation, applied to test."""

from collections.abc import Sequence
from dataclasses import dataclass

from fer_core.ensemble import METHODS, choose, member_scores
from fer_core.errors import unknown_name
from fer_core.evaluation.metrics import Floats, Integers

AUTO = "auto"  # the method with the best cross-fitted macro-F1
SINGLE = "single"  # the "method" of one member, which stands as it is


@dataclass(frozen=True)
class Result:
    """What one method makes of the members.

    Attributes:
        weights: each member's share by its name, summing to 1; see the method for what it means.
        macro_f1: of `validation`, 0..1.
        accuracy: of `validation`, 0..1.
        validation: (N, K) log-probabilities; each sample's come from a combiner that did not see it.
        test: (N', K) log-probabilities, of the combiner fitted on all of validation.
    """

    weights: dict[str, float]
    macro_f1: float
    accuracy: float
    validation: Floats
    test: Floats


@dataclass(frozen=True)
class Vote:
    """The method that counts, and what every method gives: method -> result, simplest first."""

    method: str
    results: dict[str, Result]

    @property
    def result(self) -> Result:
        """What the method that counts gives."""
        return self.results[self.method]


def vote(
    validation: Floats,
    test: Floats,
    labels: Integers,
    names: Sequence[str],
    method: str = AUTO,
    *,
    seed: int,
    folds: int,
) -> Vote:
    """Combine members' log-probabilities (M, N, K) by every method; a single member stands as it is.

    Args:
        validation: (M, N, K) on the validation split.
        test: (M, N', K) on the test split.
        labels: (N,) of the validation split.
        names: of the members.
        method: the one that counts: a key of `METHODS`, or `auto`, the best cross-fitted macro-F1.
        seed: of the folds.
        folds: number of cross-fitting folds.

    Raises:
        ConfigError: an unknown method, or fewer than 2 folds.
        DataError: shapes that do not fit.
    """
    if method != AUTO and method not in METHODS:
        raise unknown_name("stack.method", method, [AUTO, *METHODS])
    if len(names) == 1:
        alone = member_scores(validation, labels, names)[names[0]]
        return Vote(SINGLE, {SINGLE: Result({names[0]: 1.0}, **alone, validation=validation[0], test=test[0])})
    choice = choose(validation, labels, list(names), list(METHODS), seed=seed, folds=folds)
    results = {
        name: Result(
            choice.weights_of(name),
            choice.scores[name].macro_f1,
            choice.scores[name].accuracy,
            fitted.cross_fitted,
            fitted.predict(test),
        )
        for name, fitted in choice.fitted.items()
    }
    return Vote(choice.method if method == AUTO else method, results)
