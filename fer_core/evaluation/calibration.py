"""Are a predictor's probabilities true to how often it is right? Calibration error, and temperature scaling.

Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017:

- section 2: faces are binned by the probability p of the answer given, in bins (0, 1/B], ..., ((B-1)/B, 1];
  ECE = sum_b n_b / N · |accuracy(b) - mean p(b)|, with B = 15 in the paper's tables;
- section 4.2: temperature scaling divides the logits by one number T > 0, which minimises the negative log-likelihood
  of *validation* faces. T > 1 softens an overconfident predictor; no answer changes, so no accuracy does.

Log-probabilities are logits up to a constant for each face, so they serve as well: log p' = log p / T, renormalised.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from fer_core.errors import DataError
from fer_core.evaluation.metrics import Floats, Integers, negative_log_likelihood

BINS = 15
COLDEST, HOTTEST = 0.01, 1000.0  # hard votes, whose other classes stand at log 1e-308, need hundreds
_LEAST_GAIN = 1e-9  # nats; a temperature that gains less is not told from 1


@dataclass(frozen=True)
class Reliability:
    """The reliability diagram of N predictions in B bins of confidence.

    `edges` are (B + 1,); `confidence` (mean probability of the answers given) and `accuracy` are (B,) fractions, NaN in
    empty bins; `count` is (B,).
    """

    edges: Floats
    confidence: Floats
    accuracy: Floats
    count: Integers

    @property
    def error(self) -> float:
        """The expected calibration error, a fraction; NaN without predictions."""
        filled = self.count > 0
        if not filled.any():
            return float("nan")
        gaps = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float(np.average(gaps, weights=self.count[filled]))


def reliability(labels: npt.ArrayLike, log_probabilities: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Bin predictions by the probability of their most probable class.

    Args:
        labels: (N,) true classes in 0..K-1.
        log_probabilities: (N, K), each row a distribution's logarithms. A row with a NaN has no answer: leave it out.
        bins: equal-width bins over 0..1, open below and closed above.

    Raises:
        DataError: the shapes do not match, a label is not a class, or `bins` is below 1.

    Example:
        >>> curve = reliability([0, 1], np.log([[0.8, 0.2], [0.6, 0.4]]), bins=2)
        >>> curve.count.tolist(), curve.accuracy[1].item(), round(curve.error, 3)
        ([0, 2], 0.5, 0.2)
    """
    truth, logs = _checked(labels, log_probabilities)
    if bins < 1:
        raise DataError(f"Expected `bins` of 1 or more; got {bins}.")
    edges = np.linspace(0, 1, bins + 1)
    confidence = np.minimum(np.exp(logs.max(axis=1)), 1.0)  # rounded to float32, the sum can pass 1
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    right = logs.argmax(axis=1) == truth
    means = np.full((2, bins), np.nan)
    for row, values in zip(means, (confidence, right), strict=True):
        np.divide(np.bincount(place, weights=values, minlength=bins), count, out=row, where=count > 0)
    return Reliability(edges, means[0], means[1], count.astype(np.int64))


def expected_calibration_error(labels: npt.ArrayLike, log_probabilities: npt.ArrayLike, bins: int = BINS) -> float:
    """Return the ECE, a fraction, of `log_probabilities` (N, K); see `reliability`. NaN for N = 0 or a NaN among them.

    Example:
        >>> round(expected_calibration_error([0, 1], np.log([[0.8, 0.2], [0.6, 0.4]]), bins=2), 3)
        0.2
    """
    if np.isnan(np.asarray(log_probabilities, dtype=np.float64)).any():
        return float("nan")
    return reliability(labels, log_probabilities, bins).error


def scaled(log_probabilities: npt.ArrayLike, temperature: float) -> Floats:
    """Return log-probabilities (N, K) at `temperature` > 0, which leaves the order of the classes as it is.

    A class of probability 0 keeps it. A NaN temperature gives NaNs.

    Example:
        >>> np.exp(scaled(np.log([[0.8, 0.2]]), 2.0)).round(3).tolist()
        [[0.667, 0.333]]
    """
    if temperature <= 0:
        raise DataError(f"Expected a temperature above 0; got {temperature}.")
    softened: Floats = log_softmax(np.asarray(log_probabilities, dtype=np.float64) / temperature, axis=1)
    return softened


def fit_temperature(labels: npt.ArrayLike, log_probabilities: npt.ArrayLike) -> float:
    """Return the temperature that minimises the negative log-likelihood of validation faces.

    In 1/T it is convex, so the bounded search over log T cannot stop in a second valley. Where no inner minimum exists
    the bound is returned: 0.01 for a predictor that is always right, 1000 (all classes alike) for one that is
    systematically wrong. It is 1 where no temperature helps, as for a predictor that gives all classes alike.

    Args:
        labels: (N,) true classes in 0..K-1.
        log_probabilities: (N, K) on the same faces.

    Returns:
        T, or NaN where no temperature has a finite likelihood: for N = 0, a NaN, or a true class of probability 0.

    Raises:
        DataError: the shapes do not match or a label is not a class.

    Example:
        >>> wrong_once = np.log([[0.99, 0.01]] * 4)  # right in three of four: 0.75 would be honest
        >>> round(np.exp(scaled(wrong_once, fit_temperature([0, 0, 0, 1], wrong_once)))[0, 0].item(), 3)
        0.75
    """
    truth, logs = _checked(labels, log_probabilities)
    before = negative_log_likelihood(truth, logs)
    if not np.isfinite(before):
        return float("nan")

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(truth, scaled(logs, float(np.exp(log_temperature))))

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    inner = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x
    best = min((inner, *bounds), key=loss)  # the search never tries its bounds
    return float(np.exp(best)) if before - loss(best) > _LEAST_GAIN else 1.0


def _checked(labels: npt.ArrayLike, log_probabilities: npt.ArrayLike) -> tuple[Integers, Floats]:
    truth, logs = np.asarray(labels, dtype=np.int64), np.asarray(log_probabilities, dtype=np.float64)
    if truth.ndim != 1 or logs.ndim != 2 or len(truth) != len(logs):
        raise DataError(f"Expected `labels` (N,) and `log_probabilities` (N, K); got {truth.shape} and {logs.shape}.")
    if truth.size and (truth.min() < 0 or truth.max() >= logs.shape[1]):
        raise DataError(f"Expected `labels` in 0..{logs.shape[1] - 1}; got values from {truth.min()} to {truth.max()}.")
    return truth, logs
