"""Folds by group: row for row scikit-learn's, and a small case by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from fer_core.datasets.group_folds import group_folds
from fer_core.errors import ConfigError


def of_scikit_learn(labels: np.ndarray, groups: pd.Series, count: int, seed: int) -> np.ndarray:
    out = np.full(len(labels), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        for fold, (_, chosen) in enumerate(splitter.split(labels, labels, groups)):
            out[chosen] = fold
    return out


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [2, 3, 7, 10])
@pytest.mark.parametrize("classes", [2, 7, 8, 14, 20])
def test_every_row_falls_as_with_scikit_learn(classes: int, count: int, seed: int) -> None:
    rng = np.random.default_rng([classes, count, seed])
    rows = 700
    labels = (
        np.minimum(rng.geometric(min(2.5 / classes, 0.8), rows) - 1, classes - 1) * 3
    )  # uneven, and some classes may lack
    person = rng.integers(0, 60, rows)
    alone = rng.random(rows) < 0.5
    groups = pd.Series(np.where(alone, [f"alone {k}" for k in range(rows)], [f"subject {k}" for k in person]))
    found = group_folds(labels, groups, count, seed)
    assert np.array_equal(found, of_scikit_learn(labels, groups, count, seed))
    assert set(found) == set(range(count))
    assert len(set(zip(groups, found.tolist(), strict=True))) == groups.nunique(), "no group is torn apart"


def test_two_people_of_two_classes_each_are_parted() -> None:
    groups = pd.Series(["a", "a", "b", "b"])
    found = group_folds(np.array([0, 1, 0, 1]), groups, 2, 0).tolist()
    assert found in ([0, 0, 1, 1], [1, 1, 0, 0])


def test_more_folds_than_pictures_of_a_class_or_groups_are_refused() -> None:
    with pytest.raises(ConfigError, match="pictures of the largest class, 2; got 3"):
        group_folds(np.array([0, 0, 1, 1]), pd.Series(list("abcd")), 3, 0)
    with pytest.raises(ConfigError, match=r"as groups, 2, .* got 3"):
        group_folds(np.zeros(6, int), pd.Series(list("aaabbb")), 3, 0)
