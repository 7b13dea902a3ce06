"""Bootstrap intervals against naive loops and scipy, and the paired test against scipy's binomial."""

import time

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score

from fer_core.errors import DataError
from fer_core.evaluation.intervals import clusters_of, draw_weights, interval, resampled_scores
from fer_core.evaluation.metrics import COMMON
from fer_core.evaluation.paired import Judge, mcnemar


@pytest.fixture(scope="module")
def data():
    """Truth of 400 pictures in 4 unequal classes, a reference that knows 50 % and a candidate that knows 60 %."""
    rng = np.random.default_rng(3)
    truth = rng.choice(4, 400, p=[0.5, 0.3, 0.17, 0.03])
    reference = np.where(rng.random(400) < 0.4, truth, rng.integers(0, 4, 400))
    candidate = np.where(rng.random(400) < 0.5, truth, reference)
    return truth, {"reference": reference, "candidate": candidate}


def test_every_draw_is_scored_like_the_pictures_it_drew(data):
    """Exact: the weights of each draw, turned back into pictures and scored by scikit-learn."""
    truth, predictions = data
    found = resampled_scores(truth, predictions, 4, resamples=20, seed=9)
    weights = np.concatenate(list(draw_weights(400, 20, np.random.default_rng(9))))
    assert (weights.sum(1) == 400).all()
    for draw, weight in enumerate(weights):
        rows = np.repeat(np.arange(400), weight.astype(int))
        for name, guess in predictions.items():
            drawn, answers = truth[rows], guess[rows]
            assert found[name].accuracy[draw] == pytest.approx((drawn == answers).mean())
            assert found[name].uar[draw] == pytest.approx(balanced_accuracy_score(drawn, answers))
            macro = f1_score(drawn, answers, labels=np.unique(drawn), average="macro", zero_division=0)
            assert found[name].macro_f1[draw] == pytest.approx(macro)
            common = [k for k in range(4) if (truth == k).sum() >= COMMON and (drawn == k).any()]
            macro = f1_score(drawn, answers, labels=common, average="macro", zero_division=0)
            assert found[name].macro_f1_common[draw] == pytest.approx(macro)
            recall = recall_score(drawn, answers, labels=common, average="macro", zero_division=0)
            assert found[name].uar_common[draw] == pytest.approx(recall)


def test_a_class_of_one_picture_moves_only_the_means_over_all_classes():
    """Nine pictures of one class, named rightly, and one of another, named wrongly."""
    truth = np.array([0] * 9 + [1])
    found = resampled_scores(truth, {"x": np.zeros(10, int)}, 3, resamples=200)["x"]
    assert set(found.uar) == {0.5, 1.0} and set(found.uar_common) == {1.0}
    assert np.isnan(resampled_scores(truth[:4], {"x": truth[:4]}, 3, resamples=20)["x"].uar_common).all()


def test_several_seeds_are_compared_pair_by_pair(data):
    truth, predictions = data
    rng = np.random.default_rng(5)
    others = {f"{name}/2": np.where(rng.random(400) < 0.9, guess, 0) for name, guess in predictions.items()}
    seeds = {name: [name, f"{name}/2"] for name in predictions}
    judge = Judge(truth, predictions | others, 4, resamples=500, seeds=seeds)
    plain = Judge(truth, predictions | others, 4, resamples=500)
    found = judge.compare("candidate", "reference")
    first, second = plain.compare("candidate", "reference"), plain.compare("candidate/2", "reference/2")
    assert found.seeds == 2 and first.seeds == 1
    assert found.accuracy.value == pytest.approx((first.accuracy.value + second.accuracy.value) / 2)
    assert found.only_candidate == (first.only_candidate + second.only_candidate) / 2
    assert found.p_value == pytest.approx(min(1, first.p_value + second.p_value)), "twice the median of two"
    assert found.accuracy.high - found.accuracy.low < max(
        gain.high - gain.low for gain in (first.accuracy, second.accuracy)
    ), "a mean is surer"
    mean = (plain.score("candidate", "uar").value + plain.score("candidate/2", "uar").value) / 2
    assert judge.score("candidate", "uar").value == pytest.approx(mean)


def test_one_seed_is_compared_with_the_first_of_several(data):
    truth, predictions = data
    more = predictions | {"reference/2": np.zeros(400, int)}
    judge = Judge(truth, more, 4, resamples=300, seeds={"reference": ["reference", "reference/2"]})
    assert judge.compare("candidate", "reference") == Judge(truth, more, 4, resamples=300).compare(
        "candidate", "reference"
    )


def test_the_gain_interval_agrees_with_scipy(data):
    truth, predictions = data
    comparison = Judge(truth, predictions, 4).compare("candidate", "reference").accuracy
    gained = 100.0 * (predictions["candidate"] == truth) - 100.0 * (predictions["reference"] == truth)
    found = bootstrap((gained,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(4))
    assert comparison.value == pytest.approx(gained.mean())
    limits = found.confidence_interval
    assert [comparison.low, comparison.high] == pytest.approx([limits.low, limits.high], abs=0.5)


def test_clusters_are_drawn_whole():
    """Two subjects, one always right with 9 pictures, one always wrong with 1: accuracy is 1, 0.9 or 0."""
    truth = np.zeros(10, int)
    guess = np.array([0] * 9 + [1])
    found = resampled_scores(truth, {"x": guess}, 2, np.array([0] * 9 + [1]), resamples=2000)["x"]
    values, counts = np.unique(found.accuracy.round(6), return_counts=True)
    assert values.tolist() == [0.0, 0.9, 1.0]
    assert counts / 2000 == pytest.approx([0.25, 0.5, 0.25], abs=0.04)


def test_clusters_of_subjects():
    assert clusters_of(["a", "b", "c", None, None]) is None
    assert clusters_of([None, None]) is None
    assert clusters_of(["a", None, "a", None, "b"]).tolist() == [0, 1, 0, 2, 3]


def test_equal_predictors_gain_exactly_nothing(data):
    truth, predictions = data
    same = Judge(truth, predictions, 4, resamples=500).compare("candidate", "candidate")
    assert (same.accuracy.value, same.accuracy.low, same.accuracy.high, same.p_value) == (0, 0, 0, 1)


def test_swapping_the_two_changes_signs(data):
    judge = Judge(*data, 4, resamples=500)
    there, back = judge.compare("candidate", "reference"), judge.compare("reference", "candidate")
    for metric in ("accuracy", "uar", "macro_f1"):
        one, other = getattr(there, metric), getattr(back, metric)
        assert [one.value, one.low, one.high] == pytest.approx([-other.value, -other.high, -other.low])
    assert (there.only_candidate, there.only_reference) == (back.only_reference, back.only_candidate)


def test_the_interval_covers_the_true_gain_about_95_times_in_100():
    """A candidate that is right 10 points more often, 200 samples of 150 pictures."""
    rng = np.random.default_rng(8)
    covered = 0
    for seed in range(200):
        truth = np.zeros(150, int)
        reference = (rng.random(150) >= 0.5).astype(int)
        candidate = (rng.random(150) >= 0.6).astype(int)
        judge = Judge(truth, {"a": reference, "b": candidate}, 2, resamples=400, seed=seed)
        gain = judge.compare("b", "a").accuracy
        covered += gain.low <= 10 <= gain.high
    assert 180 <= covered <= 199


def test_the_same_seed_gives_the_same_interval_whatever_else_is_compared(data):
    truth, predictions = data
    alone = Judge(truth, {"candidate": predictions["candidate"]}, 4, resamples=300).score("candidate", "uar")
    assert alone == Judge(truth, predictions, 4, resamples=300).score("candidate", "uar")
    assert alone != Judge(truth, predictions, 4, resamples=300, seed=1).score("candidate", "uar")


def test_interval_is_the_percentile():
    assert interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))


def test_other_lengths_and_no_pictures_are_refused():
    with pytest.raises(DataError, match="3 predictions of x"):
        resampled_scores([0, 1, 1], {"x": [0, 1]}, 2)
    with pytest.raises(DataError, match="at least one"):
        resampled_scores([], {}, 2)


@pytest.mark.parametrize(
    ("wins", "losses", "expected"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 2**5),
        (8, 1, 2 * (1 + 9) / 2**9),  # 2 * P(X <= 1), X ~ binomial(9, 1/2)
        (3, 3, 1.0),
    ],
)
def test_mcnemar_by_hand(wins, losses, expected):
    candidate = [True] * wins + [False] * losses + [True, False]
    reference = [False] * wins + [True] * losses + [True, False]
    assert mcnemar(candidate, reference) == (pytest.approx(expected), wins, losses)


def test_thirty_rows_of_909_pictures_take_seconds():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 14, 909)
    predictions = {str(i): np.where(rng.random(909) < 0.5, truth, 0) for i in range(30)}
    start = time.perf_counter()
    judge = Judge(truth, predictions, 14)
    for name in predictions:
        judge.compare(name, "0")
    assert time.perf_counter() - start < 15  # about 2 s on a free core
