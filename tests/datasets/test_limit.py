from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_sets import reader

from fer_core.datasets.limit import limit_rows, shares
from fer_core.errors import ConfigError
from fer_core.manifest import without_clips

read = reader("rafce")


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.data())
def test_shares_sum_up_fit_and_follow_the_sizes(sizes: list[int], data: st.DataObject) -> None:
    cells = np.array(sizes)
    total = data.draw(st.integers(len(cells), int(cells.sum())))
    kept = shares(cells, total)
    assert kept.sum() == total
    assert (kept >= 1).all()
    assert (kept <= cells).all()
    exact = 1 + (total - len(cells)) * (cells - 1) / max((cells - 1).sum(), 1)
    assert (np.abs(kept - exact) < 1).all()


def rows() -> pd.DataFrame:
    cells = [("train", 0, 60), ("train", 1, 6), ("validation", 0, 20), ("validation", 1, 2), ("test", 0, 12)]
    cells += [("test", 1, 1), ("pool", None, 5)]
    table = pd.DataFrame([(s, e) for s, e, n in cells for _ in range(n)], columns=["split", "emotion"])
    table["emotion"] = table["emotion"].astype("Int16")
    table["drop_reason"] = None
    table["sample_id"] = [f"{k:03d}" for k in range(len(table))]
    return without_clips(table)


def test_limit_keeps_exactly_n_of_every_split_and_class_and_the_pool() -> None:
    kept = limit_rows(rows(), 20, 7)
    counts = kept.groupby(["split", "emotion"], dropna=False).size()
    assert counts.drop("pool").sum() == 20
    assert (counts.drop("pool") >= 1).all()
    assert len(counts.drop("pool")) == 6
    assert (kept["split"] == "pool").sum() == 5
    assert kept["sample_id"].is_monotonic_increasing


def test_limit_is_deterministic_and_follows_the_seed() -> None:
    draws = [limit_rows(rows(), 20, seed)["sample_id"].tolist() for seed in (7, 7, 8)]
    assert draws[0] == draws[1] != draws[2]


def test_a_limit_beyond_the_data_keeps_all_and_none_keeps_all(rafce_folder: Path) -> None:
    assert len(limit_rows(rows(), 10_000, 1)) == len(rows()) == len(limit_rows(rows(), None, 1))
    assert len(read(rafce_folder, 50, 1).rows) == 50


@pytest.mark.parametrize(
    ("limit", "message"), [(5, "at least 6, one picture"), (0, "positive integer"), (True, "got True")]
)
def test_a_limit_that_makes_no_sense(limit: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        limit_rows(rows(), limit, 1)


def test_pictures_follow_the_limited_rows(rafce_folder: Path) -> None:
    data = read(rafce_folder, 50, 3)
    assert [sample for sample, _ in data.pictures()] == data.rows["sample_id"].tolist()
