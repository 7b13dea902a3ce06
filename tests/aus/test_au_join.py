import numpy as np
import pandas as pd
import pytest

from fer_core.aus.join import join, without_aus
from fer_core.aus.labels import AuLabels
from fer_core.errors import DataError


def manifest(train: int = 8) -> pd.DataFrame:
    split = ["train"] * train + ["validation"] * 2 + ["test"] * 3 + ["pool"]
    names = [f"{k:04d}" for k in range(len(split))]
    return pd.DataFrame({"sample_id": names, "split": split, "drop_reason": None})


def labels(table: pd.DataFrame, **aus: list[float]) -> AuLabels:
    values = pd.DataFrame(aus, index=table["sample_id"], dtype=np.float32)
    return AuLabels(values, lines=len(values), unannotated=int(values.isna().all(axis=1).sum()))


def column(table: pd.DataFrame, positive: set[int], missing: set[int] = frozenset()) -> list[float]:  # type: ignore[assignment]
    return [np.nan if k in missing else float(k in positive) for k in range(len(table))]


def test_columns_follow_sample_id_and_test_is_locked_away() -> None:
    table = manifest()
    source = labels(table, AU1=column(table, {0, 9, 11}, {2}), AU12=column(table, {1, 11, 12}, {2}))
    shuffled = AuLabels(source.table.iloc[::-1].drop(index="0003"), 13, 1)
    joined = join(table, shuffled)
    au1 = joined.manifest.set_index("sample_id")["AU1"]
    assert au1.dtype == np.float32
    assert au1.iloc[:2].tolist() == [1, 0]
    assert au1.iloc[[2, 3]].isna().all(), "null and unlisted both mean not annotated"
    assert au1.iloc[10:].isna().all(), "test and pool"
    assert joined.test_aus["sample_id"].tolist() == ["0010", "0011", "0012"]
    assert joined.test_aus["AU12"].tolist() == [0, 1, 1]
    report = joined.report
    assert report["names"] == ["AU1", "AU12"]
    assert report["positives"]["train"] == {"AU1": 1, "AU12": 1}
    assert report["coverage"]["train"] == pytest.approx(6 / 8)
    assert report["null_share"] == pytest.approx(2 / 8)


def test_an_au_without_a_positive_is_a_parser_fault_in_a_large_train_split() -> None:
    table = manifest(train=500)
    source = labels(table, AU1=column(table, {0}), AU12=column(table, {501, 503}))
    with pytest.raises(DataError, match="AU12: no positive among 500 annotated train pictures"):
        join(table, source)


def test_an_au_without_a_positive_is_left_out_and_noted_in_a_small_one() -> None:
    table = manifest(train=499)
    source = labels(table, AU1=column(table, {0}), AU12=column(table, {500, 502}))
    joined = join(table, source)
    assert joined.report["names"] == ["AU1"]
    assert "AU12" not in joined.manifest.columns
    assert "AU12" not in joined.test_aus.columns
    assert joined.report["notes"] == ["AU labels: AU12 left out, no positive among 499 annotated train pictures"]


def test_a_dropped_row_lends_no_positive() -> None:
    table = manifest()
    table.loc[0, "drop_reason"] = "picture does not decode"
    source = labels(table, AU1=column(table, {0}), AU12=column(table, {1}))
    assert join(table, source).report["left_out"] == ["AU1"]


def test_zeros_everywhere_nulls_everywhere_and_foreign_names_are_always_refused() -> None:
    table = manifest()
    nothing, everything = column(table, set()), column(table, set(), set(range(14)))
    with pytest.raises(DataError, match="AU1, AU12: no positive among 8"):
        join(table, labels(table, AU1=nothing, AU12=nothing))
    with pytest.raises(DataError, match="No train picture has AU labels"):
        join(table, labels(table, AU1=everything))
    foreign = labels(table, AU1=column(table, {0}))
    foreign.table.index = "x" + foreign.table.index
    with pytest.raises(DataError, match="No AU label belongs to a picture: labels name 'x0000'"):
        join(table, foreign)


def test_a_set_without_aus_passes_through() -> None:
    table = manifest()
    joined = without_aus(table)
    assert joined.manifest.equals(table)
    assert joined.report["names"] == []
    assert joined.test_aus.columns.tolist() == ["sample_id"]
    assert joined.test_aus.empty
