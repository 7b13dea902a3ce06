"""How good each member is on its own, and which is the best: what an ensemble has to beat."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fer_core.ensemble.combiner import Array
from fer_core.evaluation.metrics import scores


def member_scores(
    log_probabilities: Array, labels: NDArray[np.int64], names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return macro-F1 and accuracy (0..1) of every member by its name, in the order of `names`.

    Args:
        log_probabilities: (M, N, K) on validation.
        labels: (N,).
        names: of the M members.
    """
    found = {}
    for name, logs in zip(names, np.asarray(log_probabilities), strict=True):
        result = scores(labels, logs.argmax(axis=1), logs.shape[1])
        found[name] = {"macro_f1": result.macro_f1, "accuracy": result.accuracy}
    return found


def best_member(found: dict[str, dict[str, float]]) -> str:
    """Return the member with the highest macro-F1; ties go to the more accurate, then to the first.

    Example:
        >>> best_member({"a": {"macro_f1": 0.4, "accuracy": 0.5}, "b": {"macro_f1": 0.4, "accuracy": 0.6}})
        'b'
    """
    return max(found, key=lambda name: (round(found[name]["macro_f1"], 12), round(found[name]["accuracy"], 12)))
