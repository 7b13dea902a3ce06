"""Calibration against a transcription of Guo et al. 2017, torchmetrics, scikit-learn, and their LBFGS in torch."""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_calibration_error

from fer_core.evaluation.calibration import expected_calibration_error, fit_temperature, reliability, scaled
from fer_core.evaluation.metrics import negative_log_likelihood


def made(seed: int, n: int = 800, classes: int = 7, sharp: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and overconfident log-probabilities (n, classes)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return labels, scaled(logits, 1 / sharp)


def naive_ece(labels: np.ndarray, logs: np.ndarray, bins: int) -> float:
    """Equations 2, 3 and 5 of the paper: B_m holds the faces with confidence in ((m - 1) / M, m / M]."""
    total = 0.0
    for m in range(1, bins + 1):
        inside = [i for i in range(len(labels)) if (m - 1) / bins < np.exp(logs[i].max()) <= m / bins]
        if inside:
            accuracy = np.mean([logs[i].argmax() == labels[i] for i in inside])
            confidence = np.mean([np.exp(logs[i].max()) for i in inside])
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("bins", [1, 4, 15])
@pytest.mark.parametrize("seed", range(3))
def test_ece_equals_the_paper_and_torchmetrics(seed, bins):
    labels, logs = made(seed)
    found = expected_calibration_error(labels, logs, bins)
    assert found == pytest.approx(naive_ece(labels, logs, bins), abs=1e-12)
    theirs = multiclass_calibration_error(
        torch.tensor(np.exp(logs)), torch.tensor(labels), num_classes=7, n_bins=bins, norm="l1"
    )
    assert found == pytest.approx(float(theirs), abs=1e-6)


def test_the_curve_equals_sklearn():
    labels, logs = made(5)
    curve = reliability(labels, logs)
    right = logs.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(right, np.exp(logs.max(axis=1)), n_bins=15)
    filled = curve.count > 0
    np.testing.assert_allclose(curve.accuracy[filled], accuracy)
    np.testing.assert_allclose(curve.confidence[filled], confidence)


def torch_temperature(labels: np.ndarray, logs: np.ndarray) -> float:
    """Fit T as the authors' code does: cross-entropy of logits / T, by LBFGS."""
    temperature = torch.ones(1, dtype=torch.float64, requires_grad=True)
    logits, truth = torch.tensor(logs), torch.tensor(labels)
    optimizer = torch.optim.LBFGS([temperature], lr=0.5, max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(logits / temperature, truth)
        loss.backward()
        return loss

    optimizer.step(closure)
    return temperature.item()


@pytest.mark.parametrize("sharp", [0.5, 1.0, 3.0, 6.0])
def test_the_temperature_equals_lbfgs_and_is_stationary(sharp):
    labels, logs = made(9, sharp=sharp)
    found = fit_temperature(labels, logs)
    assert found == pytest.approx(torch_temperature(labels, logs), rel=1e-4)
    # where the derivative in 1/T is 0, the mean logit of the true class is the mean one under p
    softened = np.exp(scaled(logs, found))
    assert logs[np.arange(len(labels)), labels].mean() == pytest.approx((softened * logs).sum(axis=1).mean(), abs=1e-4)


def test_scaled_likelihood_equals_sklearn():
    labels, logs = made(11)
    softened = scaled(logs, 1.7)
    powers = np.exp(logs) ** (1 / 1.7)
    expected = log_loss(labels, powers / powers.sum(axis=1, keepdims=True), labels=range(7))
    assert negative_log_likelihood(labels, softened) == pytest.approx(expected)
