"""Ensembles: by hand, as naive loops, against scikit-learn and scipy; honest under cross-fitting."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from fer_core.ensemble import METHODS, choose, diversity, fit
from fer_core.ensemble.combiner import FLOOR, stratified_folds
from fer_core.ensemble.logistic import STRENGTHS, Stacker
from fer_core.ensemble.logistic import fit as fit_logistic
from fer_core.ensemble.weighted import fit as fit_weighted
from fer_core.errors import ConfigError, DataError
from fer_core.evaluation.metrics import scores


def members(samples=120, classes=4, skill=(2.0, 1.0, 0.2), seed=0, labels=None):
    """Members of different skill: logits = skill on the true class + noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, samples) if labels is None else np.asarray(labels)
    logits = generator.normal(size=(len(skill), len(labels), classes))
    for m, strength in enumerate(skill):
        logits[m, np.arange(len(labels)), labels] += strength
    return logits - np.log(np.exp(logits).sum(axis=2, keepdims=True)), labels


def test_mean_by_hand():
    logs = np.log(np.array([[[0.8, 0.2]], [[0.4, 0.6]]]))
    fitted = fit("mean", np.repeat(logs, 2, axis=1), np.array([0, 1]))
    assert np.exp(fitted.predict(logs)[0]).tolist() == pytest.approx([0.6, 0.4])
    assert fitted.weights.tolist() == [0.5, 0.5]


def test_mean_is_the_mean_of_probabilities_in_a_loop():
    logs, labels = members()
    joined = fit("mean", logs, labels).predict(logs)
    for i in range(len(labels)):
        for k in range(4):
            expected = math.log(sum(math.exp(logs[m, i, k]) for m in range(3)) / 3)
            assert joined[i, k] == pytest.approx(expected)


def test_weighted_by_hand():
    # member a says 0.9 for the truth in 3 of 4 samples and 0.1 in one, member b the reverse: the likelihood
    # 3·log(0.1 + 0.8w) + log(0.9 − 0.8w) is largest where 3·(0.9 − 0.8w) = 0.1 + 0.8w, w = 2.6 / 3.2
    a, b = np.array([0.9, 0.9, 0.9, 0.1]), np.array([0.1, 0.1, 0.1, 0.9])
    logs = np.log(np.stack([np.stack([p, 1 - p], axis=1) for p in (a, b)]))
    weights = fit_weighted(logs, np.zeros(4, dtype=int), 0).weights
    assert weights.tolist() == pytest.approx([2.6 / 3.2, 0.6 / 3.2], abs=1e-5)


def test_weighted_equals_scipys_optimum():
    logs, labels = members()
    true = np.exp(logs[:, np.arange(len(labels)), labels])
    reference = minimize(
        lambda w: -np.log(w @ true).mean(),
        np.full(3, 1 / 3),
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-12},
    )
    weights = fit_weighted(logs, labels, 0).weights
    assert weights == pytest.approx(reference.x, abs=2e-3)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    assert weights[0] > weights[1] > weights[2]


def test_logistic_equals_scikit_learn():
    logs, labels = members()
    inputs = np.maximum(logs, FLOOR).transpose(1, 0, 2).reshape(len(labels), -1)
    losses = []
    fold = stratified_folds(labels, 3, 1)
    for strength in STRENGTHS:
        loss = np.empty(len(labels))
        for held in range(3):
            seen = fold != held
            centre = inputs[seen].mean(axis=0)
            model = LogisticRegression(C=strength, max_iter=500, tol=1e-3).fit(inputs[seen] - centre, labels[seen])
            p = model.predict_proba(inputs[~seen] - centre)
            loss[~seen] = -np.log(p[np.arange(len(p)), labels[~seen]])
        losses.append(loss.mean())
    best = STRENGTHS[int(np.argmin(losses))]
    centre = inputs.mean(axis=0)
    model = LogisticRegression(C=best, max_iter=500, tol=1e-3).fit(inputs - centre, labels)
    new, _ = members(seed=9)
    new_inputs = np.maximum(new, FLOOR).transpose(1, 0, 2).reshape(120, -1)
    ours = fit_logistic(logs, labels, 0).predict(new)
    np.testing.assert_allclose(ours, model.predict_log_proba(new_inputs - centre), atol=1e-8)


def test_unseen_classes_keep_the_members_mean_by_hand():
    logs, labels = members(samples=60, labels=np.arange(60) % 3)  # class 3 never occurs
    joined = np.exp(Stacker(logs, labels, 0.01).predict(logs))
    np.testing.assert_allclose(joined[:, 3], np.exp(logs)[:, :, 3].mean(axis=0))
    np.testing.assert_allclose(joined.sum(axis=1), 1)


def test_cross_fitting_equals_a_loop_over_folds_that_never_shows_a_sample_its_own_label():
    logs, labels = members()
    for method in METHODS:
        fitted = fit(method, logs, labels, folds=5, seed=3)
        fold = stratified_folds(labels, 5, 3)
        for held in range(5):
            seen = fold != held
            combiner = METHODS[method](logs[:, seen], labels[seen], 3)
            np.testing.assert_allclose(fitted.cross_fitted[~seen], combiner.predict(logs[:, ~seen]))
        changed = labels.copy()
        sample = 17
        changed[sample] = (labels[sample] + 1) % 4
        seen = fold != fold[sample]
        again = METHODS[method](logs[:, seen], changed[seen], 3).predict(logs[:, [sample]])
        np.testing.assert_allclose(again[0], fitted.cross_fitted[sample])


def test_noise_cannot_look_good_after_cross_fitting():
    generator = np.random.default_rng(0)
    logs = np.log(generator.dirichlet(np.ones(4), size=(5, 80)))
    labels = generator.integers(0, 4, 80)
    fitted = fit("logistic", logs, labels)
    assert (fitted.cross_fitted.argmax(axis=1) == labels).mean() < 0.45


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=60), st.integers(2, 7), st.integers(0, 99))
def test_folds_are_balanced_in_size_and_in_every_class(labels, folds, seed):
    labels = np.array(labels)
    fold = stratified_folds(labels, folds, seed)
    used = min(folds, len(labels))
    sizes = np.bincount(fold, minlength=used)
    assert len(sizes) == used and sizes.max() - sizes.min() <= 1
    for label in np.unique(labels):
        counts = np.bincount(fold[labels == label], minlength=used)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "labels",
    [
        [0, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0] * 20 + [1] * 4 + [2] * 2 + [3],
        [3, 2, 1, 0, 3],
    ],
)
def test_rare_classes_and_few_samples_are_survived_quietly(method, labels):
    logs, labels = members(labels=labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = fit(method, logs, labels)
    assert np.isfinite(fitted.cross_fitted).all()
    np.testing.assert_allclose(np.exp(fitted.cross_fitted).sum(axis=1), 1, rtol=1e-6)
    assert fitted.weights.shape == (3,) and fitted.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
def test_impossible_classes_of_a_member_stay_finite(method):
    logs, labels = members()
    logs[0, :10] = -np.inf
    logs[0, np.arange(10), labels[:10] - 1] = 0.0  # certain, and wrong
    fitted = fit(method, logs, labels)
    assert np.isfinite(fitted.cross_fitted).all() and np.isfinite(fitted.predict(logs)).all()
    assert np.isfinite(fitted.weights).all()


@pytest.mark.parametrize("method", METHODS)
def test_member_order_does_not_matter(method):
    logs, labels = members()
    straight, reverse = fit(method, logs, labels), fit(method, logs[::-1], labels)
    np.testing.assert_allclose(straight.predict(logs), reverse.predict(logs[::-1]), atol=2e-3)
    np.testing.assert_allclose(straight.weights, reverse.weights[::-1], atol=2e-3)


# --- choosing ---------------------------------------------------------------------------------------------------


def test_choice_is_by_cross_fitted_macro_f1_and_ties_go_to_the_simpler():
    logs, labels = members()
    choice = choose(logs, labels, ["a", "b", "c"], list(METHODS), seed=0)
    for method, score in choice.validation.items():
        predicted = fit(method, logs, labels, seed=0).cross_fitted.argmax(axis=1)
        assert score == scores(labels, predicted, 4).macro_f1
    assert choice.validation[choice.method] == max(choice.validation.values())
    assert set(choice.weights) == {"a", "b", "c"}
    same = np.repeat(logs[:1], 3, axis=0)
    assert choose(same, labels, ["a", "b", "c"], ["weighted", "mean"], seed=0).method == "mean"


def test_a_strong_member_among_noise_is_found():
    logs, labels = members(400, skill=(4.0, 0.0, 0.0, 0.0, 0.0))
    logs[1:] *= 3  # loud noise
    logs -= np.log(np.exp(logs).sum(axis=2, keepdims=True))
    choice = choose(logs, labels, list("abcde"), list(METHODS), seed=0)
    assert choice.method != "mean"
    assert max(choice.weights, key=choice.weights.get) == "a" and choice.weights["a"] > 0.7
    assert choice.validation[choice.method] > choice.validation["mean"]


def test_a_members_swapped_classes_are_put_right_by_stacking_only():
    logs, labels = members(400, skill=(3.0,))
    swapped = logs[:, :, [1, 0, 2, 3]]
    choice = choose(swapped, labels, ["a"], list(METHODS), seed=0)
    assert choice.method == "logistic" and choice.validation["logistic"] > choice.validation["mean"] + 0.2


def test_refusals():
    logs, labels = members()
    with pytest.raises(ConfigError, match="Did you mean 'logistic'"):
        fit("logistik", logs, labels)
    with pytest.raises(ConfigError, match="at least one method"):
        choose(logs, labels, list("abc"), [], seed=0)
    with pytest.raises(DataError, match="3 member names; got 2"):
        choose(logs, labels, list("ab"), ["mean"], seed=0)
    with pytest.raises(DataError, match="for 119 labels"):
        fit("mean", logs, labels[:-1])
    with pytest.raises(DataError, match="between 0 and 3"):
        fit("mean", logs, labels + 1)
    with pytest.raises(ConfigError, match=r"stack\.folds"):
        fit("mean", logs, labels, folds=1)
    with pytest.raises(DataError, match="at least 2"):
        fit("mean", logs[:, :1], labels[:1])


# --- diversity ----------------------------------------------------------------------------------------------------


def one_hot(named):
    return np.log(np.eye(3)[np.array(named)] * 0.9 + 0.03)


def test_diversity_by_hand():
    logs = np.stack([one_hot([0, 0, 1, 1]), one_hot([0, 1, 1, 0])])
    found = diversity(logs, np.array([0, 0, 1, 2]))
    assert found["disagreement"] == 0.5
    # wrong: (0, 0, 0, 1) and (0, 1, 0, 1); covariance 1/4 − 1/4·1/2, deviations √3/4 and 1/2
    assert found["error_correlation"] == pytest.approx((1 / 8) / (math.sqrt(3) / 4 / 2))


def test_diversity_equals_a_loop_over_pairs():
    logs, labels = members()
    found = diversity(logs, labels)
    named = logs.argmax(axis=2)
    disagreement, correlation = [], []
    for a in range(3):
        for b in range(a + 1, 3):
            n11 = sum(named[a, i] == labels[i] == named[b, i] for i in range(120))
            n00 = sum(named[a, i] != labels[i] and named[b, i] != labels[i] for i in range(120))
            n10 = sum(named[a, i] == labels[i] != named[b, i] for i in range(120))
            n01 = sum(named[b, i] == labels[i] != named[a, i] for i in range(120))
            rho = (n11 * n00 - n01 * n10) / math.sqrt((n11 + n10) * (n01 + n00) * (n11 + n01) * (n10 + n00))
            correlation.append(rho)  # equation 2 of Kuncheva & Whitaker 2003
            disagreement.append(sum(named[a, i] != named[b, i] for i in range(120)) / 120)
    assert found["disagreement"] == pytest.approx(np.mean(disagreement))
    assert found["error_correlation"] == pytest.approx(np.mean(correlation))


def test_diversity_undefined_is_nan():
    logs = np.stack([one_hot([0, 1]), one_hot([0, 1])])
    found = diversity(logs, np.array([0, 1]))
    assert found["disagreement"] == 0 and math.isnan(found["error_correlation"])
    assert math.isnan(diversity(logs[:1], np.array([0, 1]))["disagreement"])
