"""Calibration error and temperature scaling: hand-worked values, degenerate predictors, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_core.errors import DataError
from fer_core.evaluation.calibration import (
    COLDEST,
    HOTTEST,
    expected_calibration_error,
    fit_temperature,
    reliability,
    scaled,
)
from fer_core.evaluation.metrics import negative_log_likelihood


def logs_of(*confidences: float) -> np.ndarray:
    """(N, 2) rows that answer class 0 with these probabilities."""
    return np.log([[p, 1 - p] for p in confidences])


def test_hand_worked_bins_and_error():
    """Four bins: two faces at 0.6 and 0.7 (one right), three at 0.8, 0.9 and 1.0 - 1e-9 (two right)."""
    curve = reliability([0, 1, 0, 0, 1], logs_of(0.6, 0.7, 0.8, 0.9, 1 - 1e-9), bins=4)
    assert curve.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.count.tolist() == [0, 0, 2, 3]
    assert np.isnan(curve.confidence[:2]).all() and np.isnan(curve.accuracy[:2]).all()
    assert curve.confidence[2:] == pytest.approx([0.65, 0.9])
    assert curve.accuracy[2:] == pytest.approx([0.5, 2 / 3])
    assert curve.error == pytest.approx(2 / 5 * 0.15 + 3 / 5 * (0.9 - 2 / 3))


def test_a_bin_holds_its_upper_edge_and_not_its_lower():
    curve = reliability([0, 0], logs_of(0.5, 0.75), bins=4)
    assert curve.count.tolist() == [0, 1, 1, 0]


def test_a_confidence_rounded_above_one_counts_in_the_last_bin():
    curve = reliability([0], np.array([[1e-7, -20.0]]), bins=15)
    assert curve.count.tolist() == [0] * 14 + [1] and curve.confidence[14] == 1


def test_nothing_to_bin():
    curve = reliability([], np.zeros((0, 3)))
    assert curve.count.sum() == 0 and np.isnan(curve.error)
    assert np.isnan(fit_temperature([], np.zeros((0, 3))))


def test_perfect_calibration_and_certain_mistakes():
    assert expected_calibration_error([0, 0, 0, 1], logs_of(0.75, 0.75, 0.75, 0.75)) == pytest.approx(0)
    with np.errstate(divide="ignore"):
        assert expected_calibration_error([1, 1], logs_of(1.0, 1.0)) == 1


def calibrated(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, 5), and labels drawn from their very softmax."""
    rng = np.random.default_rng(seed)
    logits = scaled(rng.normal(scale=2.0, size=(n, 5)), 1.0)
    labels = (rng.random((n, 1)) > np.exp(logits).cumsum(axis=1)).sum(axis=1).clip(max=4)
    return labels, logits


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0, 40.0])
def test_the_temperature_that_was_put_in_is_found(temperature):
    labels, logits = calibrated(20_000, seed=3)
    spoilt = scaled(logits, 1 / temperature)
    assert fit_temperature(labels, spoilt) == pytest.approx(temperature, rel=0.03)
    if temperature > 1:
        assert expected_calibration_error(labels, spoilt) > 0.1
        assert expected_calibration_error(labels, scaled(spoilt, temperature)) < 0.015  # luck alone leaves about 0.01


def test_degenerate_predictors():
    alike = np.full((6, 3), np.log(1 / 3))
    assert fit_temperature([0, 1, 2, 0, 1, 1], alike) == 1
    right, wrong = logs_of(0.9, 0.6, 0.99), logs_of(0.9, 0.6)
    assert fit_temperature([0, 0, 0], right) == pytest.approx(COLDEST)
    assert fit_temperature([1, 1], wrong) == pytest.approx(HOTTEST)
    assert np.exp(scaled(wrong, HOTTEST)) == pytest.approx(0.5, abs=1e-3)


def test_hard_votes_get_an_honest_probability():
    """Three of four right; the other class stands at the least number that a logarithm has."""
    votes = np.log(np.maximum([[1.0, 0.0]] * 4, np.finfo(float).tiny))
    temperature = fit_temperature([0, 0, 0, 1], votes)
    assert np.exp(scaled(votes, temperature))[0, 0] == pytest.approx(0.75, abs=1e-4)
    assert temperature == pytest.approx(-np.log(np.finfo(float).tiny) / np.log(3), rel=1e-3)


def test_no_temperature_helps_an_impossible_truth_or_a_nan():
    with np.errstate(divide="ignore"):
        assert np.isnan(fit_temperature([0, 1], logs_of(0.6, 1.0)))
    broken = np.array([[np.nan, -1.0]])
    assert np.isnan(fit_temperature([0], broken)) and np.isnan(expected_calibration_error([0], broken))
    assert np.isnan(scaled(logs_of(0.6), float("nan"))).all()


def test_an_impossible_class_stays_impossible():
    with np.errstate(divide="ignore"):
        logs = np.log([[0.5, 0.5, 0.0]])
    assert np.exp(scaled(logs, 3.0)).tolist() == [[0.5, 0.5, 0.0]]


@given(st.integers(0, 10**6), st.integers(1, 40), st.floats(0.1, 10))
def test_no_answer_changes_and_validation_never_gets_worse(seed, n, spread):
    rng = np.random.default_rng(seed)
    logs = scaled(rng.normal(scale=spread, size=(n, 4)), 1.0)
    labels = rng.integers(0, 4, n)
    softened = scaled(logs, fit_temperature(labels, logs))
    np.testing.assert_array_equal(softened.argmax(axis=1), logs.argmax(axis=1))
    np.testing.assert_allclose(np.exp(softened).sum(axis=1), 1)
    before, after = (negative_log_likelihood(labels, values) for values in (logs, softened))
    assert after <= before + 1e-12


@pytest.mark.parametrize("call", [reliability, expected_calibration_error, fit_temperature])
@pytest.mark.parametrize(
    ("labels", "logs", "told"),
    [
        ([0], np.zeros((2, 3)), "Expected `labels`"),
        ([0, 1], np.zeros(2), "Expected `labels`"),
        ([3], np.zeros((1, 3)), "in 0..2; got values from 3"),
        ([-1], np.zeros((1, 3)), "in 0..2"),
    ],
)
def test_wrong_input_is_refused(call, labels, logs, told):
    with pytest.raises(DataError, match=told):
        call(labels, logs)


def test_wrong_bins_and_temperatures_are_refused():
    with pytest.raises(DataError, match="`bins` of 1 or more; got 0"):
        reliability([0], np.zeros((1, 2)), bins=0)
    with pytest.raises(DataError, match="temperature above 0; got 0"):
        scaled(np.zeros((1, 2)), 0.0)
