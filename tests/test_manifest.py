from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_core.errors import DataError
from fer_core.manifest import (
    attribute_names,
    au_names,
    clip_frames,
    empty_columns,
    intensity_names,
    labelled,
    read_manifest,
    stack_lists,
    stills,
    validate,
    without_clips,
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
            "box": [[1.0, 2.0, 30.5, 40.0], None, None, None],
            "drop_reason": [None, "picture does not decode", None, None],
        }
    )
    table = without_clips(table)
    if stage != "ingest":
        table["crop_index"] = pd.Series([0, None, 1, 2], dtype="Int32")
        table["aligned_landmarks"] = [list(range(10)), None, None, None]
        table["detection_score"] = np.array([0.5, np.nan, 1, np.nan], np.float32)
        table["faces"] = pd.Series([1, None, 2, None], dtype="Int16")
        for name in ("picture_width", "picture_height"):
            table[name] = pd.Series([64, None, 48, 20], dtype="Int32")
        for name in ("inter_ocular", "roll", "yaw", "pitch", "sharpness"):
            table[name] = np.array([12.5, np.nan, -3, np.nan], np.float32)
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
        ("ingest", 0, "box", [1, 2, 3], "row 0 .*`box` must have 4 numbers"),
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


def with_clips() -> pd.DataFrame:
    """Return the four stills and two clips, of train (frames 0 and 7) and of test (frames 0 and 1), as ingest does."""
    frames = pd.DataFrame(empty_columns("ingest", 4))
    frames["clip_id"] = ["clips/1", "clips/1", "clips/2", "clips/2"]
    frames["frame"] = pd.array([0, 7, 0, 1], dtype="Int16")
    frames["sample_id"] = frames["clip_id"] + "/" + frames["frame"].astype(str)
    frames["source"], frames["picture"] = "made up", frames["sample_id"] + ".jpg"
    frames["split"], frames["subject"] = ["train", "train", "test", "test"], ["s7", "s7", None, None]
    frames["emotion"] = pd.array([2, 2, None, None], dtype="Int16")
    return pd.concat([manifest(), frames], ignore_index=True)


def test_clips_come_back_and_stand_apart_from_stills(tmp_path: Path) -> None:
    table = with_clips()
    write_manifest(tmp_path / "m.parquet", table, "ingest", classes=4)
    back = read_manifest(tmp_path / "m.parquet")
    assert back["frame"].dtype == "Int16" and back["frame"].fillna(-1).tolist() == [-1] * 4 + [0, 7, 0, 1]
    assert stills(back)["sample_id"].tolist() == ["a", "b", "c", "pool/d"]
    assert clip_frames(back)["sample_id"].tolist() == ["clips/1/0", "clips/1/7", "clips/2/0", "clips/2/1"]
    assert labelled(back, "train")["sample_id"].tolist() == ["a"], "no frame"
    assert labelled(back, "test")["sample_id"].tolist() == ["c"], "no frame"


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (0, "frame", 3, "row 0 .*`clip_id` must not be null in a row that has a `frame`"),
        (5, "frame", None, "row 5 .*`frame` must not be null in a row that has a `clip_id`"),
        (5, "clip_id", "", "row 5 .*`clip_id` must be text"),
        (5, "frame", -1, "row 5 .*`frame` must be a whole number from 0 to 32767"),
        (5, "frame", 40_000, "row 5 .*`frame` must be a whole number from 0 to 32767"),
        (5, "frame", 1.5, "row 5 .*`frame` must be a whole number from 0 to 32767"),
        (5, "frame", 0, "row 5 .*sample clips/1/7.*`frame` must not stand twice in a clip; got 0"),
        (5, "split", "validation", "row 5 .*`split` must be the same in all frames of a clip; got 'validation'"),
        (5, "split", "pool", "row 5 .*`(emotion|split)` must (be null|not be pool)"),
        (5, "subject", "s8", "row 5 .*`subject` must be the same in all frames of a clip; got 's8'"),
        (5, "subject", None, "row 5 .*`subject` must be the same in all frames of a clip"),
        (7, "subject", "s8", "row 7 .*`subject` must be the same in all frames of a clip"),
        (5, "emotion", 1, "row 5 .*`emotion` must be the same in all frames of a clip; got 1"),
        (7, "emotion", 1, "row 7 .*`emotion` must be null in rows of test"),
    ],
)
def test_a_broken_rule_of_clips_names_row_and_column(row: int, column: str, value: object, message: str) -> None:
    table = validate(with_clips(), "ingest", classes=4)
    table[column] = pd.Series([value if k == row else old for k, old in enumerate(table[column])], dtype=object)
    with pytest.raises(DataError, match=message):
        validate(table, "ingest", classes=4)


def test_a_clip_of_the_pool_is_refused() -> None:
    table = with_clips()
    table.loc[6:, "split"] = "pool"
    with pytest.raises(
        DataError, match=r"row 6 .*`split` must not be pool in a frame of a clip; got 'pool' \(2 rows\)"
    ):
        validate(table, "ingest")


def test_stills_cannot_be_told_without_the_column() -> None:
    for pick in (stills, clip_frames, lambda table: labelled(table, "train")):
        with pytest.raises(DataError, match="the column `clip_id`"):
            pick(manifest().drop(columns="clip_id"))
