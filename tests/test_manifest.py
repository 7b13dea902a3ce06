from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_core.errors import DataError
from fer_core.manifest import (
    attribute_names,
    au_names,
    empty_columns,
    intensity_names,
    labelled,
    read_manifest,
    stack_lists,
    validate,
    write_manifest,
)


def manifest(stage: str = "ingest") -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "sample_id": ["a", "b", "c", "pool/d"],
            "source": "made up",
            "picture": ["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
            "split": ["train", "validation", "test", "pool"],
            "subject": ["s1", None, None, "s2"],
            "emotion": pd.Series([3, 0, None, None], dtype="Int16"),
            "votes": [[0.25, 0.75], None, None, None],
            "landmarks": [list(range(10)), None, list(range(10)), None],
            "drop_reason": [None, "picture does not decode", None, None],
        }
    )
    if stage != "ingest":
        table["crop_index"] = pd.Series([0, None, 1, 2], dtype="Int32")
        table["aligned_landmarks"] = [list(range(10)), None, None, None]
        table["detection_score"] = np.array([0.5, np.nan, 1, np.nan], np.float32)
    if stage == "join_aus":
        table["AU1"] = np.array([1, 0, np.nan, np.nan], np.float32)
        table["AU12"] = np.array([np.nan, 1, np.nan, np.nan], np.float32)
        table["AU12_intensity"] = np.array([np.nan, 2.5, np.nan, np.nan], np.float32)
    return table


@pytest.mark.parametrize("stage", ["ingest", "align", "join_aus"])
def test_what_is_written_comes_back(tmp_path: Path, stage: str) -> None:
    table = manifest(stage)
    write_manifest(tmp_path / "m.parquet", table, stage, classes=4)
    back = read_manifest(tmp_path / "m.parquet")
    assert list(back.columns) == list(table.columns)
    assert back["emotion"].dtype == "Int16"
    for name in table.columns:
        assert back[name].isna().tolist() == table[name].isna().tolist(), name
        values, expected = back[name].dropna().tolist(), table[name].dropna().tolist()
        np.testing.assert_array_equal(np.array(values), np.array(expected))
    if stage == "join_aus":
        assert au_names(back) == ["AU1", "AU12"]
        assert intensity_names(back) == ["AU12_intensity"]
        assert back["AU1"].dtype == back["AU12_intensity"].dtype == np.float32


@pytest.mark.parametrize(
    ("stage", "row", "column", "value", "message"),
    [
        ("ingest", 1, "sample_id", "a", "row 1 .* `sample_id` must be unique"),
        ("ingest", 0, "picture", None, "row 0 .*`picture` must not be null"),
        ("ingest", 0, "split", "Train", "row 0 .*`split` must be one of train"),
        ("ingest", 2, "emotion", 1, "row 2 .*sample c.*`emotion` must be null in rows of test"),
        ("ingest", 2, "votes", [0.5, 0.5], "row 2 .*`votes` must be null in rows of test"),
        ("ingest", 0, "emotion", 4, "row 0 .*`emotion` must be a class index from 0 to 3; got 4"),
        ("ingest", 0, "emotion", None, "row 0 .*`emotion` must not be null"),
        ("ingest", 0, "votes", [0.5, 0.6], "row 0 .*`votes` .*sum to 1"),
        ("ingest", 2, "landmarks", [1.0, 2.0], "row 2 .*`landmarks` must have 10 numbers"),
        ("ingest", 2, "landmarks", [float("nan")] * 10, "row 2 .*`landmarks` must hold finite"),
        ("align", 1, "crop_index", 3, "row 1 .*`crop_index` must be null in a dropped row"),
        ("align", 0, "crop_index", None, "row 0 .*`crop_index` must not be null"),
        ("align", 2, "crop_index", 0, "row 2 .*`crop_index` must be unique"),
        ("align", 2, "crop_index", 7, "row 2 .*`crop_index` must count the crops"),
        ("align", 2, "detection_score", 1.5, "row 2 .*`detection_score` must be between 0 and 1, or null"),
        ("join_aus", 0, "AU1", 5.0, "row 0 .*`AU1` must be between 0 and 1"),
        ("join_aus", 2, "AU1", 1.0, "row 2 .*`AU1` must be null in rows of test"),
        ("join_aus", 0, "AU12_intensity", 5.5, "row 0 .*`AU12_intensity` must be between 0 and 5, or null"),
        ("join_aus", 1, "AU12_intensity", -1.0, "row 1 .*`AU12_intensity` must be between 0 and 5, or null"),
        ("join_aus", 2, "AU12_intensity", 3.0, "row 2 .*`AU12_intensity` must be null in rows of test"),
        ("join_aus", 3, "AU12_intensity", 0.0, "row 3 .*`AU12_intensity` must be null in rows of test and pool"),
    ],
)
def test_a_broken_rule_names_row_and_column(stage: str, row: int, column: str, value: object, message: str) -> None:
    table = manifest(stage)
    table[column] = [value if k == row else old for k, old in enumerate(table[column])]
    with pytest.raises(DataError, match=message):
        validate(table, stage, classes=4)


@pytest.mark.parametrize("stage", ["ingest", "align", "join_aus"])
def test_attributes_go_through_every_stage_and_test_pictures_have_theirs(tmp_path: Path, stage: str) -> None:
    table = manifest(stage)
    table["attr_skin"] = ["dark", None, "light", "dark"]
    table["attr_age_2"] = None
    write_manifest(tmp_path / "m.parquet", table, stage, classes=4)
    back = read_manifest(tmp_path / "m.parquet")
    assert attribute_names(back) == ["attr_skin", "attr_age_2"]
    assert back["attr_skin"].fillna("-").tolist() == ["dark", "-", "light", "dark"]
    assert back["attr_age_2"].isna().all() and str(back["attr_age_2"].dtype).startswith("str")


@pytest.mark.parametrize(("value", "shown"), [(3, "got 3"), ("", "got ''"), (1.5, "got 1.5")])
def test_an_attribute_is_text(value: object, shown: str) -> None:
    table = manifest()
    table["attr_skin"] = [None, None, value, "dark"]
    with pytest.raises(DataError, match=rf"row 2 .*`attr_skin` must be text that is not empty, or null; {shown}"):
        validate(table, "ingest")


@pytest.mark.parametrize("name", ["attr_Skin", "attr_skin tone", "attr_", "attr_ä"])
def test_an_attributes_column_has_a_plain_name(name: str) -> None:
    with pytest.raises(DataError, match=f"a-z, 0-9 or _; got `{name}`"):
        validate(manifest().assign(**{name: "x"}), "ingest")


def test_missing_and_foreign_columns_are_refused() -> None:
    with pytest.raises(DataError, match="lacks the column `votes`"):
        validate(manifest().drop(columns="votes"), "ingest")
    with pytest.raises(DataError, match="has the column `AU1`"):
        validate(manifest("join_aus"), "align")
    with pytest.raises(DataError, match="has the column `AU12_intensity`, which no stage so far owns"):
        validate(manifest("join_aus").drop(columns=["AU1", "AU12"]), "align")
    with pytest.raises(DataError, match="has the column `AU12_intensity`, but no `AU12`"):
        validate(manifest("join_aus").drop(columns="AU12"), "join_aus")


def test_nothing_is_left_of_a_refused_manifest(tmp_path: Path) -> None:
    table = manifest()
    table["split"] = "training"
    with pytest.raises(DataError):
        write_manifest(tmp_path / "m.parquet", table, "ingest")
    assert list(tmp_path.iterdir()) == []


def test_read_names_a_missing_and_a_broken_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"m\.parquet does not exist"):
        read_manifest(tmp_path / "m.parquet")
    (tmp_path / "m.parquet").write_text("no table")
    with pytest.raises(DataError, match=r"m\.parquet is not a Parquet file"):
        read_manifest(tmp_path / "m.parquet")


def test_labelled_leaves_out_dropped_rows_and_keeps_test_without_emotion() -> None:
    assert labelled(manifest(), "train")["sample_id"].tolist() == ["a"]
    assert labelled(manifest(), "validation").empty
    assert labelled(manifest(), "test")["sample_id"].tolist() == ["c"]
    with pytest.raises(DataError, match="got 'pool'"):
        labelled(manifest(), "pool")


def test_empty_columns_make_an_empty_manifest_valid() -> None:
    validate(pd.DataFrame(empty_columns("ingest", 0)), "ingest")


def test_stack_lists_keeps_nulls_as_nan() -> None:
    stacked = stack_lists(manifest()["landmarks"], 10)
    assert stacked[0].tolist() == list(range(10))
    assert np.isnan(stacked[1]).all()
