"""Ensemble selection: members are added greedily, with replacement.

Caruana, Niculescu-Mizil, Crew & Ksikes, "Ensemble selection from libraries of models", ICML 2004.
The ensemble starts from the best few members (sorted initialisation) and is the mean of its picks. Step after step,
the member is added with which the mean scores best; one that is picked again weighs more. After a bounded number of
steps the best ensemble on the way is taken, and a member's weight is its share of the picks. In a large library most
members end with weight 0, which is what the method is for.

The score is macro-F1: it is what methods and rungs are chosen by, and the paper's point is that selection can climb
any metric. It moves in steps and often ties, so the mean log-likelihood decides among equals. (Climbing the
log-likelihood itself would end near `weighted`, which has its optimum.) A rare class makes macro-F1 jump, so the
selection fits some noise: judge it by cross-fitted predictions only.
"""

import numpy as np
from numpy.typing import NDArray

from fer_core.ensemble.combiner import FLOOR, Array, Combiner, WeightedMean

STEPS = 50  # additions after the start; the paper's libraries of 2,000 models take a few hundred
FIRST = 5  # the start has at most so many of the best members; how many, validation decides (paper: 5 to 25 of 2,000)


def fit(log_probabilities: Array, labels: NDArray[np.int64], seed: int) -> Combiner:
    """Return the weights (M,), multiples of 1/picks, found by forward selection on log_probabilities (M, N, K).

    Nothing is drawn: of members that score alike, the first is taken.
    """
    probabilities = np.exp(np.asarray(log_probabilities, dtype=np.float64))
    members = len(probabilities)
    alone = _scores(probabilities, labels)
    order = sorted(range(members), key=lambda member: alone[member], reverse=True)  # stable: equals keep their order
    starts = np.cumsum(probabilities[order[:FIRST]], axis=0)
    sizes = np.arange(1, len(starts) + 1)
    best = _scores(starts / sizes[:, None, None], labels)
    size = max(range(len(starts)), key=lambda index: best[index]) + 1
    picks, total, top = order[:size], starts[size - 1], best[size - 1]
    kept = list(picks)
    for _ in range(STEPS):
        found = _scores((total + probabilities) / (len(picks) + 1), labels)
        member = max(range(members), key=lambda index: found[index])  # max keeps the first of equals
        picks = [*picks, member]
        total = total + probabilities[member]
        if found[member] > top:
            kept, top = picks, found[member]
    return WeightedMean(np.bincount(kept, minlength=members) / len(kept))


def _scores(candidates: Array, labels: NDArray[np.int64]) -> list[tuple[float, float]]:
    """Return (macro-F1, mean log-likelihood) of each candidate's probabilities (C, N, K), rounded so that ties tie.

    Macro-F1 is over the classes that occur in labels (N,), as in `evaluation.metrics`; counted for all candidates in
    one go, since a selection asks some ten thousand times.
    """
    count, samples, classes = candidates.shape
    named = candidates.argmax(axis=2)
    first = np.arange(count)[:, None] * classes
    predicted = np.bincount((first + named).ravel(), minlength=count * classes).reshape(count, classes)
    right = named == labels
    hits = np.bincount((first + labels)[right], minlength=count * classes).reshape(count, classes)
    support = np.bincount(labels, minlength=classes)
    present = support > 0
    macro_f1 = (2 * hits[:, present] / (support + predicted)[:, present]).mean(axis=1)
    likelihood = np.log(np.maximum(candidates[:, np.arange(samples), labels], np.exp(FLOOR))).mean(axis=1)
    return list(zip(macro_f1.round(12).tolist(), likelihood.round(12).tolist(), strict=True))
