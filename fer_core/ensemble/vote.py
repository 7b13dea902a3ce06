"""One vote of several members: chosen and fitted on validation, applied to test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer_core.ensemble import choose
from fer_core.evaluation.metrics import Floats, Integers


@dataclass(frozen=True)
class Vote:
    """The combined log-probabilities (N, K): cross-fitted on `validation`, fitted on all of it for `test`."""

    method: str
    weights: Any
    macro_f1: dict[str, float]
    validation: Floats
    test: Floats


def vote(
    validation: Floats,
    test: Floats,
    labels: Integers,
    names: Sequence[str],
    methods: Sequence[str],
    *,
    seed: int,
    folds: int,
) -> Vote:
    """Combine members' log-probabilities (M, N, K); a single member stands as it is.

    Args:
        validation: (M, N, K) on the validation split.
        test: (M, N', K) on the test split.
        labels: (N,) of the validation split.
        names: of the members.
        methods: keys of `METHODS` to choose among, by cross-fitted macro-F1.
        seed: of the folds.
        folds: number of cross-fitting folds.
    """
    if len(names) == 1:
        return Vote("single", [1.0], {}, validation[0], test[0])
    choice = choose(validation, labels, list(names), list(methods), seed=seed, folds=folds)
    return Vote(
        choice.method,
        choice.combiner.weights,
        choice.validation,
        choice.cross_fitted,
        choice.combiner.predict(test),
    )
