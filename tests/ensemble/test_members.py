"""Members on their own and in pairs: by hand, against naive counts and scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from fer_core.ensemble import best_member, diversity, member_scores, pairs

LABELS = np.array([0, 0, 1, 2])


def one_hot(*named: int) -> np.ndarray:
    """Log-probabilities (N, 3) that name these classes."""
    logs: np.ndarray = np.log(np.eye(3)[np.array(named)] * 0.9 + 0.03)
    return logs


def test_pairs_by_hand() -> None:
    logs = np.stack([one_hot(0, 0, 1, 1), one_hot(0, 1, 1, 0), one_hot(0, 0, 1, 2)])
    found = pairs(logs, LABELS, ["a", "b", "c"])
    # wrong: a on face 4, b on faces 2 and 4, c never
    assert found["disagreement"] == {"a": {"b": 0.5, "c": 0.25}, "b": {"a": 0.5, "c": 0.5}, "c": {"a": 0.25, "b": 0.5}}
    assert found["double_fault"] == {"a": {"b": 0.25, "c": 0.0}, "b": {"a": 0.25, "c": 0.0}, "c": {"a": 0.0, "b": 0.0}}
    correlation = found["error_correlation"]
    assert correlation["a"]["b"] == correlation["b"]["a"] == pytest.approx((1 / 8) / (math.sqrt(3) / 4 / 2))
    assert math.isnan(correlation["a"]["c"]), "a member that is never wrong has no correlation"
    means = diversity(logs, LABELS)
    assert means["disagreement"] == pytest.approx(1.25 / 3) and means["double_fault"] == pytest.approx(0.25 / 3)
    assert means["error_correlation"] == correlation["a"]["b"]


def test_pairs_by_a_naive_count_and_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 90)
    logs = np.log(generator.dirichlet(np.ones(4), size=(3, 90)))
    found, named = pairs(logs, labels, "abc"), logs.argmax(axis=2)
    for i, one in enumerate("abc"):
        for j, other in enumerate("abc"):
            if i == j:
                assert all(other not in table[one] for table in found.values())
                continue
            both = sum(named[i, n] != labels[n] and named[j, n] != labels[n] for n in range(90)) / 90
            apart = sum(named[i, n] != named[j, n] for n in range(90)) / 90
            assert found["double_fault"][one][other] == pytest.approx(both)
            assert found["disagreement"][one][other] == pytest.approx(apart)
            phi = matthews_corrcoef(named[i] == labels, named[j] == labels)  # is Pearson's correlation of two bits
            assert found["error_correlation"][one][other] == pytest.approx(phi)


def test_one_member_has_no_pair() -> None:
    assert all(math.isnan(value) for value in diversity(one_hot(0, 1, 1, 0)[None], LABELS).values())
    assert pairs(one_hot(0, 1, 1, 0)[None], LABELS, ["a"])["double_fault"] == {"a": {}}


def test_scores_of_members_equal_scikit_learns() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 4, 90)
    logs = np.log(generator.dirichlet(np.ones(4), size=(3, 90)))
    found = member_scores(logs, labels, ["x", "y", "z"])
    assert list(found) == ["x", "y", "z"]
    for one, scored in zip(logs.argmax(axis=2), found.values(), strict=True):
        assert scored["macro_f1"] == pytest.approx(f1_score(labels, one, average="macro"))
        assert scored["accuracy"] == pytest.approx(accuracy_score(labels, one))


@pytest.mark.parametrize(
    ("found", "best"),
    [
        ({"a": (0.4, 0.9), "b": (0.5, 0.1)}, "b"),
        ({"a": (0.5, 0.1), "b": (0.5, 0.2)}, "b"),
        ({"b": (0.5, 0.2), "a": (0.5, 0.2)}, "b"),
        ({"a": (0.5, 0.2), "b": (0.5 + 1e-15, 0.2 - 1e-15)}, "a"),
    ],
)
def test_the_best_member_is_by_macro_f1_then_accuracy_then_order(
    found: dict[str, tuple[float, float]], best: str
) -> None:
    assert best_member({name: {"macro_f1": f1, "accuracy": hits} for name, (f1, hits) in found.items()}) == best
