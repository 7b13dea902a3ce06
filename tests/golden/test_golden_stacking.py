"""Stacking and cross-fitting against scikit-learn: cross_val_predict, StackingClassifier; nothing leaks."""

import numpy as np
import pytest
from ensemble_members import Told, made_members
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fer_core.ensemble import METHODS, fit
from fer_core.ensemble import logistic as module
from fer_core.ensemble.combiner import FLOOR, stratified_folds
from fer_core.ensemble.vote import vote
from fer_core.errors import ConfigError
from fer_core.evaluation.metrics import scores

STRENGTH = 0.01


def floored(logs):
    return np.maximum(logs, FLOOR)


def regression():
    """What `logistic` fits once its strength is picked: centred log-probabilities, ridge."""
    return make_pipeline(StandardScaler(with_std=False), LogisticRegression(C=STRENGTH, max_iter=500, tol=1e-3))


@pytest.fixture
def one_strength(monkeypatch):
    monkeypatch.setattr(module, "STRENGTHS", (STRENGTH,))


def test_cross_fitted_predictions_equal_cross_val_predict_on_equal_folds(one_strength):
    logs, labels = made_members()
    fold = stratified_folds(labels, 5, 3)
    inputs = floored(logs).transpose(1, 0, 2).reshape(len(labels), -1)
    reference = cross_val_predict(regression(), inputs, labels, cv=PredefinedSplit(fold), method="predict_proba")
    ours = np.exp(fit("logistic", logs, labels, folds=5, seed=3).cross_fitted)
    np.testing.assert_allclose(ours, reference, atol=1e-8)


def test_cross_fitted_predictions_equal_a_naive_loop_over_folds(one_strength):
    logs, labels = made_members()
    ours = np.exp(fit("logistic", logs, labels, folds=4, seed=1).cross_fitted)
    fold = stratified_folds(labels, 4, 1)
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if fold[j] != fold[i]]
        rows = [[max(logs[m, j, k], FLOOR) for m in range(3) for k in range(4)] for j in others]
        here = [[max(logs[m, i, k], FLOOR) for m in range(3) for k in range(4)]]
        if i % 10 == 0:  # each costs a regression
            expected = regression().fit(rows, labels[others]).predict_proba(here)[0]
            np.testing.assert_allclose(ours[i], expected, atol=1e-8)


def test_the_fitted_stacker_equals_stacking_classifier(one_strength):
    logs, labels = made_members()
    rows = np.arange(len(labels))[:, None]
    told = [(f"m{m}", Told(np.exp(logs[m])).fit(rows, labels)) for m in range(3)]
    final = make_pipeline(FunctionTransformer(lambda p: floored(np.log(p))), regression())
    reference = StackingClassifier(told, final, cv="prefit", stack_method="predict_proba").fit(rows, labels)
    ours = np.exp(fit("logistic", logs, labels).predict(logs))
    np.testing.assert_allclose(ours, reference.predict_proba(rows), atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_a_folds_own_labels_never_change_what_predicts_it(method):
    logs, labels = made_members()
    before = fit(method, logs, labels, folds=5, seed=3).cross_fitted
    fold = stratified_folds(labels, 5, 3)
    generator = np.random.default_rng(0)
    for held in range(5):
        # other labels in this fold would move the folds themselves, which are dealt class by class: the fits are
        # made as `fit` makes them, on the folds of before
        permuted = labels.copy()
        inside = np.flatnonzero(fold == held)
        permuted[inside] = generator.permutation(labels[inside])
        seen = fold != held
        combiner = METHODS[method](logs[:, seen], permuted[seen], 3)
        np.testing.assert_array_equal(combiner.predict(logs[:, inside]), before[inside])


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("mean", "voting")])
def test_labels_outside_the_fold_do_change_what_predicts_it(method):
    logs, labels = made_members()
    fold = stratified_folds(labels, 5, 3)
    seen = fold != 0
    shuffled = np.random.default_rng(0).permutation(labels[seen])
    before = METHODS[method](logs[:, seen], labels[seen], 3).predict(logs[:, ~seen])
    assert not np.allclose(before, METHODS[method](logs[:, seen], shuffled, 3).predict(logs[:, ~seen]))


# --- one vote, by every method -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cast():
    logs, labels = made_members()
    test, _ = made_members(seed=5)
    return logs, test, labels


def test_a_vote_holds_every_method_as_fit_gives_it(cast):
    logs, test, labels = cast
    found = vote(logs, test, labels, ["a", "b", "c"], seed=2, folds=4)
    assert list(found.results) == list(METHODS)
    for method, one in found.results.items():
        fitted = fit(method, logs, labels, folds=4, seed=2)
        np.testing.assert_array_equal(one.validation, fitted.cross_fitted)
        np.testing.assert_array_equal(one.test, fitted.predict(test))
        assert list(one.weights) == ["a", "b", "c"]
        assert list(one.weights.values()) == fitted.weights.tolist()
        result = scores(labels, fitted.cross_fitted.argmax(axis=1), 4)
        assert (one.macro_f1, one.accuracy) == (result.macro_f1, result.accuracy)
    assert found.result.macro_f1 == max(one.macro_f1 for one in found.results.values())
    assert found.result is found.results[found.method]


@pytest.mark.parametrize("method", METHODS)
def test_a_named_method_counts_whatever_the_scores(cast, method):
    logs, test, labels = cast
    found = vote(logs, test, labels, ["a", "b", "c"], method, seed=2, folds=4)
    assert found.method == method and list(found.results) == list(METHODS)


def test_a_single_member_stands_as_it_is(cast):
    logs, test, labels = cast
    found = vote(logs[:1], test[:1], labels, ["a"], "greedy", seed=0, folds=5)
    assert found.method == "single" and list(found.results) == ["single"]
    assert found.result.validation is logs[:1][0] or np.array_equal(found.result.validation, logs[0])
    assert np.array_equal(found.result.test, test[0]) and found.result.weights == {"a": 1.0}
    result = scores(labels, logs[0].argmax(axis=1), 4)
    assert (found.result.macro_f1, found.result.accuracy) == (result.macro_f1, result.accuracy)


def test_an_unknown_method_is_refused(cast):
    logs, test, labels = cast
    with pytest.raises(ConfigError, match=r"`stack.method` to be one of auto, .*Did you mean 'voting'"):
        vote(logs, test, labels, ["a", "b", "c"], "votin", seed=0, folds=5)
