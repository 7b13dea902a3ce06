"""Scores of one predictor on one split, from a confusion matrix counted once.

Faces come in very unequal classes (RAF-CE: 582 pictures down to 6), so accuracy never stands alone:

- accuracy (WAR, weighted average recall) = sum_k C[k, k] / N;
- UAR (unweighted average recall, balanced accuracy) = mean over k of C[k, k] / sum_j C[k, j];
- macro-F1 = mean over k of 2 TP_k / (2 TP_k + FP_k + FN_k).

Both means run over the classes *present in the truth*, and `Scores.classes_present` says how many those are. A class
that is predicted but never true has no recall, and scikit-learn's default macro-F1 would count it as 0; here it has
no entry of its own, as its false alarms already lower the recall of the classes they were taken from. This equals
`f1_score(..., average="macro", labels=np.unique(labels), zero_division=0)` and `balanced_accuracy_score`.

A class with one picture moves these means by 1/K with that one picture, so both are also given over the classes with
at least `COMMON` true pictures, and `Scores.classes_common` says how many those are.

AU detection is scored by F1 per unit and its mean, as in Zhao, Chu & Zhang, CVPR 2016 (deep region and multi-label
learning).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_core.errors import DataError

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

COMMON = 5  # true pictures from which on a class enters the means over common classes


@dataclass(frozen=True)
class Scores:
    """Scores of N predictions over K classes; fractions in 0..1, NaN where undefined.

    `uar_common` and `macro_f1_common` are means over the `classes_common` classes with at least `COMMON` true pictures.
    `recall` and `f1` are (K,) with NaN for classes absent from the truth, `support` (true) and `predicted` are (K,)
    counts, `confusion` is (K, K) with rows = truth and columns = prediction.
    """

    accuracy: float
    uar: float
    macro_f1: float
    n: int
    classes_present: int
    recall: Floats
    f1: Floats
    support: Integers
    predicted: Integers
    confusion: Integers
    uar_common: float
    macro_f1_common: float
    classes_common: int


def scores(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> Scores:
    """Score `predictions` (N,) against `labels` (N,), both class indices in 0..classes-1.

    With N = 0 every mean is NaN, and so are those over common classes where no class is common. Raises DataError for
    different lengths or an index out of range.

    Example:
        >>> result = scores([0, 0, 1], [0, 1, 1], classes=3)
        >>> round(result.accuracy, 3), result.uar, round(result.macro_f1, 3), result.classes_present
        (0.667, 0.75, 0.667, 2)
    """
    confusion = confusion_matrix(labels, predictions, classes)
    hits = np.diagonal(confusion).astype(np.float64)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    present, common = support > 0, support >= COMMON
    recall, f1 = np.full(classes, np.nan), np.full(classes, np.nan)
    recall[present] = hits[present] / support[present]
    f1[present] = 2 * hits[present] / (support + predicted)[present]
    n = int(confusion.sum())
    return Scores(
        accuracy=float(hits.sum() / n) if n else float("nan"),
        uar=float(recall[present].mean()) if n else float("nan"),
        macro_f1=float(f1[present].mean()) if n else float("nan"),
        n=n,
        classes_present=int(present.sum()),
        recall=recall,
        f1=f1,
        support=support,
        predicted=predicted,
        confusion=confusion,
        uar_common=float(recall[common].mean()) if common.any() else float("nan"),
        macro_f1_common=float(f1[common].mean()) if common.any() else float("nan"),
        classes_common=int(common.sum()),
    )


def confusion_matrix(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> Integers:
    """Count (truth, prediction) pairs into (K, K), rows = truth."""
    truth, guess = np.asarray(labels, dtype=np.int64), np.asarray(predictions, dtype=np.int64)
    if truth.shape != guess.shape or truth.ndim != 1:
        raise DataError(f"Expected `labels` and `predictions` of one length (N,); got {truth.shape} and {guess.shape}.")
    for name, values in (("labels", truth), ("predictions", guess)):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise DataError(f"Expected `{name}` in 0..{classes - 1}; got values from {values.min()} to {values.max()}.")
    counts = np.bincount(truth * classes + guess, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def negative_log_likelihood(labels: npt.ArrayLike, log_probabilities: npt.ArrayLike) -> float:
    """Return the mean of -log p(true class) in nats; `log_probabilities` is (N, K). NaN for N = 0.

    It is infinite when a true class was given probability 0: such a predictor is infinitely surprised.

    Example:
        >>> round(negative_log_likelihood([1], [[-1.0, -0.5]]), 3)
        0.5
    """
    truth, values = np.asarray(labels, dtype=np.int64), np.asarray(log_probabilities, dtype=np.float64)
    if not truth.size:
        return float("nan")
    return float(-values[np.arange(truth.size), truth].mean())


@dataclass(frozen=True)
class AUScores:
    """`f1` is (A,), NaN for units without a positive label; `mean_f1` is over the `evaluated` others."""

    f1: Floats
    positives: Integers
    annotated: Integers
    mean_f1: float
    evaluated: int


def au_scores(labels: npt.ArrayLike, probabilities: npt.ArrayLike, threshold: float = 0.5) -> AUScores:
    """Score AU detection: `labels` (N, A) with 1 present, 0 absent, NaN not annotated; `probabilities` (N, A).

    A NaN label leaves its cell out. A unit without a positive label says nothing about detection: its F1 is NaN and
    it does not enter the mean; with no unit left the mean is NaN.

    Example:
        >>> au_scores([[1.0, 0.0], [float("nan"), 0.0]], [[0.9, 0.1], [0.9, 0.1]]).mean_f1
        1.0
    """
    truth, active = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64) >= threshold
    if truth.shape != active.shape or truth.ndim != 2:
        raise DataError(
            f"Expected AU `labels` and `probabilities` of one shape (N, A); got {truth.shape} and {active.shape}."
        )
    positive, annotated = truth == 1, ~np.isnan(truth)
    positives = positive.sum(axis=0)
    twice_hits = 2.0 * (positive & active).sum(axis=0)
    flagged = (active & annotated).sum(axis=0)
    f1 = np.full(truth.shape[1], np.nan)
    known = positives > 0
    f1[known] = twice_hits[known] / (positives + flagged)[known]
    return AUScores(
        f1=f1,
        positives=positives.astype(np.int64),
        annotated=annotated.sum(axis=0).astype(np.int64),
        mean_f1=float(f1[known].mean()) if known.any() else float("nan"),
        evaluated=int(known.sum()),
    )
