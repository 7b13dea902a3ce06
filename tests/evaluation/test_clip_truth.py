"""The labels of clips, and those of stills in a set that has both."""

from pathlib import Path

import pandas as pd
import pytest

from fer_core.errors import DataError
from fer_core.evaluation.clip_truth import read_clip_truth, read_clip_validation, unusable_split
from fer_core.evaluation.predictions import read_truth
from fer_core.evaluation.validation import read_validation


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A still of each split; clips d and b of validation, a and c of test, e of train: the frame e/1 was dropped."""
    clips = ["d", "d", "b", "c", "c", "a", "a", "e", "e"]
    frames = [0, 1, 0, 3, 0, 0, 1, 0, 1]
    table = pd.DataFrame({"clip_id": [None] * 3 + clips, "frame": pd.array([None] * 3 + frames, dtype="Int16")})
    table["sample_id"] = ["train", "val", "test", *(f"{clip}/{k}" for clip, k in zip(clips, frames, strict=True))]
    table["split"] = ["train", "validation", "test"] + ["validation"] * 3 + ["test"] * 4 + ["train"] * 2
    table["subject"] = [None] * 3 + ["p", "p", "p", "q", "q", None, None, "r", "r"]
    table["emotion"] = pd.array([0, 2, None, 1, 1, 0, None, None, None, None, 2, 2], dtype="Int16")
    table["drop_reason"] = [None] * 11 + ["does not decode"]
    table.to_parquet(tmp_path / "manifest.parquet")
    emotions = {"a/1": 2, "test": 1, "c/0": 0, "a/0": 2, "c/3": 0}
    truth = pd.DataFrame({"sample_id": list(emotions), "emotion": list(emotions.values()), "votes": None})
    truth.to_parquet(tmp_path / "truth.parquet")
    pd.DataFrame({"sample_id": ["test"]}).to_parquet(tmp_path / "aus.parquet")
    return tmp_path


def read(root: Path, classes: int = 3) -> dict:
    return read_clip_truth(root / "manifest.parquet", root / "truth.parquet", classes)


def change(root: Path, file: str, sample: str, column: str, value: object) -> None:
    table = pd.read_parquet(root / f"{file}.parquet").astype({column: object})
    table.loc[table["sample_id"] == sample, column] = value
    if column == "emotion":
        table[column] = table[column].astype("Int16")
    table.to_parquet(root / f"{file}.parquet")


def drop(root: Path, *samples: str) -> None:
    for sample in samples:
        change(root, "manifest", sample, "drop_reason", "does not decode")


def test_one_entry_a_clip(root: Path) -> None:
    found = read(root)
    validation, test = found["validation"], found["test"]
    assert (validation.ids, validation.labels.tolist(), validation.dropped) == (["b", "d"], [0, 1], 0)
    assert (test.ids, test.labels.tolist(), test.dropped) == (["a", "c"], [2, 0], 0)
    assert validation.clusters is not None and validation.clusters.tolist() == [0, 0], "one person in two clips"
    assert test.clusters is None, "two people"
    assert test.aus.shape == (2, 0) and test.au_names == [] and test.attributes == {}


def test_a_clip_is_lost_with_its_last_frame(root: Path) -> None:
    drop(root, "a/0")
    assert read(root)["test"].ids == ["a", "c"]
    drop(root, "a/1", "b/0")
    found = read(root)
    assert (found["test"].ids, found["test"].dropped) == (["c"], 1)
    assert (found["validation"].ids, found["validation"].dropped) == (["d"], 1)
    drop(root, "c/0", "c/3")
    with pytest.raises(DataError, match=r"manifest\.parquet has no usable test clip; there is nothing to score"):
        read(root)


def test_a_split_without_clips_that_can_be_used_is_named(root: Path) -> None:
    path = root / "manifest.parquet"
    assert unusable_split(path) == "train", "one clip is too few to train on"
    table = pd.read_parquet(path)
    more = table[table["clip_id"] == "e"].assign(clip_id="f", drop_reason=None)
    more["sample_id"] = ["f/0", "f/1"]
    pd.concat([table, more]).to_parquet(path)
    assert unusable_split(path) is None
    drop(root, "a/0", "a/1", "c/0")
    assert unusable_split(path) is None, "a frame is left"
    drop(root, "c/3")
    assert unusable_split(path) == "test"


def test_the_labels_to_choose_by_need_no_test_truth(root: Path) -> None:
    found = read_clip_validation(root / "manifest.parquet")
    assert (found.split, found.ids, found.labels.tolist()) == ("validation", ["b", "d"], [0, 1])
    drop(root, "b/0", "d/0", "d/1")
    with pytest.raises(DataError, match="no usable validation clip; there is nothing to choose by"):
        read_clip_validation(root / "manifest.parquet")


def test_stills_are_read_as_if_there_were_no_clips(root: Path) -> None:
    found = read_truth(*(root / f"{name}.parquet" for name in ("manifest", "truth", "aus")), 3)
    assert {split: (t.ids, t.labels.tolist(), t.dropped) for split, t in found.items()} == {
        "validation": (["val"], [2], 0),
        "test": (["test"], [1], 0),
    }
    assert read_validation(root / "manifest.parquet").ids == ["val"]
    table = pd.read_parquet(root / "manifest.parquet")
    table[table["clip_id"].notna()].to_parquet(root / "manifest.parquet")
    with pytest.raises(DataError, match="no usable validation picture"):
        read_truth(*(root / f"{name}.parquet" for name in ("manifest", "truth", "aus")), 3)
    with pytest.raises(DataError, match="no usable validation picture"):
        read_validation(root / "manifest.parquet")


@pytest.mark.parametrize(
    ("file", "sample", "column", "value", "message"),
    [
        (
            "truth",
            "a/1",
            "emotion",
            0,
            r"one emotion for all frames of test clip a in .*truth\.parquet; got another, 0",
        ),
        ("truth", "c/3", "emotion", 3, r"an emotion in 0\.\.2 for test frame c/3 in .*truth\.parquet; got 3"),
        ("truth", "c/3", "emotion", None, r"an emotion in 0\.\.2 for test frame c/3"),
        ("truth", "c/3", "sample_id", "c/4", r"truth\.parquet \(test\) lacks 1 of 4 pictures, c/3 for one"),
        ("truth", "test", "sample_id", "c/4", r"truth\.parquet \(test\) holds 1 pictures .* c/4 for one"),
        ("truth", "test", "sample_id", "c/3", r"truth\.parquet \(test\) holds 1 pictures more than once, c/3"),
        ("manifest", "d/1", "emotion", 2, r"one emotion for all frames of validation clip d in .*manifest\.parquet"),
        ("manifest", "d/1", "emotion", None, r"for validation frame d/1 in .*manifest\.parquet; got <NA>|got nan"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(
    root: Path, file: str, sample: str, column: str, value: object, message: str
) -> None:
    change(root, file, sample, column, value)
    with pytest.raises(DataError, match=message):
        read(root)
    if file == "manifest":
        with pytest.raises(DataError, match=r"emotion .*manifest\.parquet"):
            read_clip_validation(root / "manifest.parquet")


def test_a_manifest_without_the_columns_is_named(root: Path) -> None:
    pd.read_parquet(root / "manifest.parquet").drop(columns="clip_id").to_parquet(root / "manifest.parquet")
    for call in (lambda: read(root), lambda: read_clip_validation(root / "manifest.parquet")):
        with pytest.raises(DataError, match=r"manifest\.parquet lacks the columns clip_id"):
            call()
    with pytest.raises(DataError, match=r"manifest\.parquet lacks the columns clip_id"):
        read_validation(root / "manifest.parquet")
