"""Scores against hand-worked values and scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    recall_score,
)

from fer_core.errors import DataError
from fer_core.evaluation.metrics import COMMON, au_scores, negative_log_likelihood, scores


def test_hand_worked():
    """Truth 0 0 0 1 1 2, answers 0 0 1 1 0 3: class 3 is predicted and never true, class 4 neither."""
    result = scores([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 3], classes=5)
    assert result.accuracy == pytest.approx(3 / 6)
    assert result.uar == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    # F1 of class 0: 2*2/(2*2+1+1), of class 1: 2*1/(2*1+1+1), of class 2: 0
    assert result.macro_f1 == pytest.approx((4 / 6 + 2 / 4 + 0) / 3)
    assert result.classes_present == 3
    assert result.support.tolist() == [3, 2, 1, 0, 0]
    assert result.predicted.tolist() == [3, 2, 0, 1, 0]
    assert np.isnan(result.recall[3:]).all() and np.isnan(result.f1[3:]).all()
    assert result.confusion[0].tolist() == [2, 1, 0, 0, 0]  # rows are the truth


pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


@given(pairs)
def test_equal_to_sklearn_whatever_classes_are_absent(drawn):
    truth, guess = map(np.array, zip(*drawn, strict=True))
    result = scores(truth, guess, classes=7)
    present = np.unique(truth)
    assert result.accuracy == pytest.approx(accuracy_score(truth, guess))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says so when a class is predicted and never true
        assert result.uar == pytest.approx(balanced_accuracy_score(truth, guess))
    options = {"labels": present, "average": None, "zero_division": 0}
    np.testing.assert_allclose(result.f1[present], f1_score(truth, guess, **options))
    np.testing.assert_allclose(result.recall[present], recall_score(truth, guess, **options))
    assert result.macro_f1 == pytest.approx(f1_score(truth, guess, labels=present, average="macro", zero_division=0))
    np.testing.assert_array_equal(result.confusion, confusion_matrix(truth, guess, labels=range(7)))
    assert result.classes_present == len(present)


def test_common_classes_by_hand():
    """Class 0 has 6 pictures (4 right), class 1 has 5 (3 right), class 2 has 4 and is left out of the means only."""
    truth = [0] * 6 + [1] * 5 + [2] * 4
    guess = [*(0, 0, 0, 0, 1, 2), *(1, 1, 1, 0, 2), *(2, 2, 2, 0)]
    result = scores(truth, guess, classes=4)
    assert result.classes_common == 2 and result.classes_present == 3
    assert result.uar_common == pytest.approx((4 / 6 + 3 / 5) / 2)
    # answered as class 0: 4 + 1 + 1, as class 1: 3 + 1; the mistakes of class 2 count against them
    assert result.macro_f1_common == pytest.approx((2 * 4 / (6 + 6) + 2 * 3 / (5 + 4)) / 2)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_common_classes_equal_sklearn_on_these_labels(drawn):
    truth, guess = map(np.array, zip(*drawn, strict=True))
    result = scores(truth, guess, classes=5)
    common = [k for k in range(5) if (truth == k).sum() >= COMMON]
    assert result.classes_common == len(common)
    if not common:
        assert np.isnan([result.uar_common, result.macro_f1_common]).all()
        return
    options = {"labels": common, "average": "macro", "zero_division": 0}
    assert result.uar_common == pytest.approx(recall_score(truth, guess, **options))
    assert result.macro_f1_common == pytest.approx(f1_score(truth, guess, **options))


def test_nothing_to_score_is_nan_with_count_zero():
    result = scores([], [], classes=3)
    assert np.isnan([result.accuracy, result.uar, result.macro_f1, result.uar_common, result.macro_f1_common]).all()
    assert (result.n, result.classes_present, result.classes_common) == (0, 0, 0)
    assert np.isnan(negative_log_likelihood([], np.zeros((0, 3))))


@pytest.mark.parametrize("labels, predictions", [([0, 3], [0, 0]), ([0, 1], [0, -1]), ([0, 1], [0]), ([[0]], [[0]])])
def test_wrong_indices_and_lengths_are_refused(labels, predictions):
    with pytest.raises(DataError, match="Expected"):
        scores(labels, predictions, classes=3)


def test_nll_equals_sklearn():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), size=50)
    labels = rng.integers(0, 4, 50)
    expected = log_loss(labels, probabilities, labels=range(4))
    assert negative_log_likelihood(labels, np.log(probabilities)) == pytest.approx(expected)


def test_nll_of_an_impossible_truth_is_infinite():
    with np.errstate(divide="ignore"):
        assert negative_log_likelihood([1], np.log([[1.0, 0.0]])) == np.inf


def test_au_f1_masks_what_is_not_annotated_and_equals_sklearn():
    rng = np.random.default_rng(1)
    labels = (rng.random((200, 6)) < 0.3).astype(float)
    labels[rng.random(labels.shape) < 0.2] = np.nan
    labels[:, 4] = np.where(np.isnan(labels[:, 4]), np.nan, 0.0)  # no positive
    labels[:, 5] = np.nan  # nothing annotated
    probabilities = rng.random(labels.shape)
    result = au_scores(labels, probabilities)
    for unit in range(4):
        known = ~np.isnan(labels[:, unit])
        expected = f1_score(labels[known, unit], probabilities[known, unit] >= 0.5)
        assert result.f1[unit] == pytest.approx(expected)
    assert np.isnan(result.f1[4:]).all()
    assert result.evaluated == 4
    assert result.mean_f1 == pytest.approx(result.f1[:4].mean())
    assert result.annotated.tolist() == (~np.isnan(labels)).sum(0).tolist()
    assert result.positives[4:].tolist() == [0, 0]


def test_a_silent_au_head_has_f1_zero_and_no_positive_has_none():
    assert au_scores([[1.0], [0.0]], [[0.1], [0.1]]).mean_f1 == 0
    assert np.isnan(au_scores([[0.0]], [[0.9]]).mean_f1)
    with pytest.raises(DataError, match="one shape"):
        au_scores([[1.0, 0.0]], [[0.5]])
