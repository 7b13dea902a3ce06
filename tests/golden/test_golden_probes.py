"""The probes of pretraining: by hand, as Wu et al.'s formula in a loop, against scikit-learn."""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from fer_core.pretraining.probes import NEIGHBOURS, knn_predict, linear_predict, probe


def features(train=60, queries=40, classes=4, width=6, spread=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, width, generator=generator)
    sets = []
    for count in (train, queries):
        labels = torch.arange(count) % classes
        sets += [centres[labels] + spread * torch.randn(count, width, generator=generator), labels]
    return sets


def test_by_hand():
    train = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.1, 1.0]])
    labels = torch.tensor([0, 1, 1])
    queries = torch.tensor([[3.0, 0.1], [0.0, 3.0], [1.0, 1.0]])
    assert knn_predict(train, labels, queries, 1).tolist() == [0, 1, 1]
    # all three vote: exp(cos / 0.07) of one face close by outweighs two far away
    assert knn_predict(train, labels, torch.tensor([[1.0, 0.3]]), 3).tolist() == [0]
    # its own class is nearest by angle, whatever the lengths
    assert knn_predict(100 * train, labels, queries, 1).tolist() == [0, 1, 1]


def test_naive_loop():
    train, labels, queries, _ = features(spread=2.0)
    found = knn_predict(train, labels, queries)
    for query, answer in zip(queries, found, strict=True):
        cosines = [float(query.double() @ t.double() / query.double().norm() / t.double().norm()) for t in train]
        nearest = sorted(range(len(train)), key=lambda n: -cosines[n])[:20]
        votes = [sum(math.exp(cosines[n] / 0.07) for n in nearest if labels[n] == k) for k in range(4)]
        assert answer == votes.index(max(votes))


@pytest.mark.parametrize("neighbours", [1, 5, 20])
def test_knn_equals_scikit_learns(neighbours):
    train, labels, queries, _ = features(spread=2.0)
    reference = KNeighborsClassifier(
        neighbours, metric="cosine", algorithm="brute", weights=lambda distance: np.exp((1 - distance) / 0.07)
    ).fit(train.double().numpy(), labels.numpy())
    expected = reference.predict(queries.double().numpy())
    assert knn_predict(train, labels, queries, neighbours).numpy().tolist() == expected.tolist()
    assert len(set(expected)) > 1


def test_linear_probe_equals_scikit_learns_on_standardised_features():
    train, labels, queries, _ = features(spread=2.0)
    train, queries = train * torch.tensor([1, 100, 1, 0.01, 1, 1]), queries * torch.tensor([1, 100, 1, 0.01, 1, 1])
    scaler = StandardScaler().fit(train.double().numpy())
    model = LogisticRegression(max_iter=200).fit(scaler.transform(train.double().numpy()), labels.numpy())
    expected = model.predict(scaler.transform(queries.double().numpy()))
    assert linear_predict(train, labels, queries).numpy().tolist() == expected.tolist()


def test_scores_are_balanced_accuracies():
    train, labels, queries, truth = features(spread=2.0)
    uneven = torch.cat([(truth == 0).nonzero().flatten()[:2], (truth == 1).nonzero().flatten()])
    found = probe(train, labels, queries[uneven], truth[uneven])
    for name, predict in (("knn_uar", knn_predict), ("probe_uar", linear_predict)):
        answers = predict(train, labels, queries[uneven])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an answer may be a class that does not occur
            expected = balanced_accuracy_score(truth[uneven], answers)
        assert found[name] == pytest.approx(expected) and 0 < expected < 1


def test_clear_classes_are_found_and_noise_is_chance():
    clear = probe(*features(spread=0.1))
    assert clear == {"knn_uar": 1.0, "probe_uar": 1.0}
    train, labels, queries, truth = features(400, 400)
    blind = probe(torch.randn_like(train), labels, torch.randn_like(queries), truth)
    assert all(abs(value - 0.25) < 0.1 for value in blind.values())


def test_collapsed_features_score_chance():
    _, labels, _, truth = features()
    found = probe(torch.ones(60, 6), labels, torch.ones(40, 6), truth)
    assert found == {"knn_uar": 0.25, "probe_uar": 0.25}
    assert probe(torch.zeros(60, 6), labels, torch.zeros(40, 6), truth)["knn_uar"] == 0.25


def test_what_cannot_be_asked_is_not_a_number():
    train, labels, queries, truth = features()
    cases = [
        (train, labels, queries[:0], truth[:0]),
        (train, torch.zeros_like(labels), queries, truth),
        (train[:1], labels[:1], queries, truth),
        (train * math.nan, labels, queries, truth),
        (train, labels, queries * math.inf, truth),
    ]
    for case in cases:
        found = probe(*case)
        assert all(math.isnan(value) for value in found.values()) and len(found) == 2


def test_few_faces_and_half_precision():
    train, labels, queries, truth = features(train=6, spread=0.1)
    assert len(train) < NEIGHBOURS
    assert probe(train, labels, queries, truth)["knn_uar"] == 1
    assert probe(train.bfloat16(), labels, queries.bfloat16(), truth)["knn_uar"] > 0.9
    huge = probe(1e18 * train, labels, 1e18 * queries, truth)
    assert huge["knn_uar"] == 1


def test_asking_draws_no_random_number():
    data = features()
    before = torch.get_rng_state()
    first = probe(*data)
    assert torch.get_rng_state().equal(before) and probe(*data) == first
