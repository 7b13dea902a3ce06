"""Hard and soft voting: by hand, as naive loops, against scikit-learn's VotingClassifier."""

import math
from collections import Counter

import numpy as np
import pytest
from ensemble_members import Told, made_members
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import VotingClassifier

from fer_core.ensemble import fit
from fer_core.ensemble.mean import fit as fit_mean
from fer_core.ensemble.voting import Majority

NONE = np.zeros(0, dtype=int)


def vote(*members: list[float]) -> np.ndarray:
    """The joined probabilities (K,) of one face."""
    logs = np.log(np.array(members))[:, None]
    joined: np.ndarray = np.exp(Majority(len(members)).predict(logs))[0]
    return joined


def test_two_weak_votes_beat_one_sure_one_by_hand():
    joined = vote([0.4, 0.6, 0.0001], [0.45, 0.55, 0.0001], [0.99, 0.01, 0.0001])
    mean = (0.4 + 0.45 + 0.99) / 3, (0.6 + 0.55 + 0.01) / 3
    assert joined[:2].tolist() == pytest.approx([(1 + mean[0]) / 4, (2 + mean[1]) / 4])
    assert joined.argmax() == 1 and mean[0] > mean[1], "the mean alone would say the other"


def test_a_tie_goes_to_the_higher_mean_by_hand():
    joined = vote([0.9, 0.1, 0.0001], [0.4, 0.6, 0.0001])
    assert joined[:2].tolist() == pytest.approx([(1 + 0.65) / 3, (1 + 0.35) / 3])
    assert joined.argmax() == 0


def test_three_way_tie_and_a_class_without_a_vote_by_hand():
    joined = vote([0.5, 0.2, 0.05, 0.25], [0.25, 0.45, 0.05, 0.25], [0.05, 0.1, 0.5, 0.35])
    assert joined.tolist() == pytest.approx([(1 + 0.8 / 3) / 4, (1 + 0.75 / 3) / 4, (1 + 0.2) / 4, (0.85 / 3) / 4])
    assert joined.argmax() == 0


def test_a_naive_count():
    logs, _ = made_members(skill=(1.0, 0.8, 0.6, 0.4, 0.2))
    joined = np.exp(Majority(5).predict(logs))
    for i in range(logs.shape[1]):
        votes: Counter[int] = Counter()
        for m in range(5):
            votes[max(range(4), key=lambda k, m=m, i=i: logs[m, i, k])] += 1
        mean = [sum(math.exp(logs[m, i, k]) for m in range(5)) / 5 for k in range(4)]
        for k in range(4):
            assert joined[i, k] == pytest.approx((votes[k] + mean[k]) / 6)
        most = max(votes.values())
        tied = [k for k in range(4) if votes[k] == most]
        assert joined[i].argmax() == max(tied, key=lambda k: mean[k])
    np.testing.assert_allclose(joined.sum(axis=1), 1)


@pytest.mark.parametrize("voting", ["hard", "soft"])
def test_scikit_learns_voting_classifier(voting):
    logs, labels = made_members(400, skill=(1.0, 0.8, 0.6, 0.4, 0.2))
    rows = np.arange(400)[:, None]
    reference = VotingClassifier([(f"m{m}", Told(np.exp(logs[m]))) for m in range(5)], voting=voting)
    reference.fit(rows, labels)
    if voting == "soft":
        ours = np.exp(fit("mean", logs, labels).predict(logs))
        np.testing.assert_allclose(ours, reference.predict_proba(rows), rtol=1e-12)
        return
    named = logs.argmax(axis=2)
    counts = (named[..., None] == np.arange(4)).sum(axis=0)
    clear = np.sort(counts, axis=1)[:, -1] > np.sort(counts, axis=1)[:, -2]  # it gives ties to the first class
    assert 200 < clear.sum() < 400
    ours = fit("voting", logs, labels).predict(logs).argmax(axis=1)
    assert np.array_equal(ours[clear], reference.predict(rows)[clear])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(2, 6), st.integers(0, 10_000), st.floats(0.05, 60))
def test_most_votes_always_win_however_sure_the_others_are(count, classes, seed, sure):
    logits = np.random.default_rng(seed).normal(size=(count, 20, classes)) * sure
    logs = logits - np.log(np.exp(logits - logits.max(2, keepdims=True)).sum(2, keepdims=True))
    logs -= logits.max(2, keepdims=True)
    counts = (logs.argmax(axis=2)[..., None] == np.arange(classes)).sum(axis=0)
    joined = Majority(count).predict(logs)
    assert np.isfinite(joined).all()
    taken = joined.argmax(axis=1)
    assert np.array_equal(counts[np.arange(20), taken], counts.max(axis=1))
    np.testing.assert_allclose(np.exp(joined).sum(axis=1), 1, rtol=1e-9)
    mean = fit_mean(logs, NONE, 0).predict(logs)
    tied = np.where(counts == counts.max(axis=1, keepdims=True), mean, -np.inf)
    np.testing.assert_allclose(mean[np.arange(20), taken], tied.max(axis=1), atol=1e-12)
