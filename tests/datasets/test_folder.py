"""One folder per class."""

from pathlib import Path

import pandas as pd
import pytest
from made_up_sets import jpeg, reader

from fer_core.datasets import folder as adapter
from fer_core.errors import ConfigError, DataError


def put(root: Path, *names: str) -> None:
    for k, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg(k))


def lay(root: Path, **options: object) -> list[tuple[str, str | None, str | None]]:
    """Return (sample_id, split, class) of every picture."""
    found = adapter.read(root, options)
    rows = found.rows
    names = [None if pd.isna(k) else found.labels.classes[k] for k in rows["emotion"]]
    splits = [None if pd.isna(split) else split for split in rows["split"]]
    return list(zip(rows["sample_id"], splits, names, strict=True))


def test_splits_and_classes_of_the_folder_names(tmp_path: Path) -> None:
    put(tmp_path, "Train/Happy/b.jpg", "Train/sad/a.png", "valid/happy/c.JPG", "TEST/sad/deep/er/d.jpeg")
    assert lay(tmp_path) == [
        ("TEST/sad/deep/er/d", "test", "sadness"),
        ("Train/Happy/b", "train", "happiness"),
        ("Train/sad/a", "train", "sadness"),
        ("valid/happy/c", "validation", "happiness"),
    ]
    found = adapter.read(tmp_path, {})
    assert found.labels.classes == ("happiness", "sadness")
    assert found.rows["picture"].tolist()[2] == "Train/sad/a.png"
    assert [data for _, data in found.pictures(found.rows.iloc[[3, 0]])] == [jpeg(2), jpeg(3)]
    assert found.notes == ()


def test_without_a_split_and_with_own_classes_in_the_order_of_the_names(tmp_path: Path) -> None:
    put(tmp_path, "yawning/1.jpg", "bored/2.jpg", "Happily_Surprised/3.jpg")
    found = adapter.read(tmp_path, {})
    assert found.labels.classes == ("happily surprised", "bored", "yawning")
    assert found.rows["split"].isna().all()
    assert found.rows["emotion"].tolist() == [0, 1, 2]


def test_a_folder_around_all_and_pictures_beside(tmp_path: Path) -> None:
    put(tmp_path, "my set/train/happy/1.jpg", "my set/train/sad/2.jpg", "my set/train/3.jpg", "4.jpg")
    assert [row[1:] for row in lay(tmp_path)] == [("train", "happiness"), ("train", "sadness")]
    assert adapter.read(tmp_path, {}).notes == ("2 pictures lie beside the class folders and were left out",)


def test_hidden_files_and_other_files_are_none_of_the_set(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "a/._1.jpg", "b/1.jpg", ".cache/x/1.jpg", "a/notes.txt", "__MACOSX/a/._1.jpg")
    assert [row[0] for row in lay(tmp_path)] == ["a/1", "b/1"]


def test_a_pool_has_no_labels(tmp_path: Path) -> None:
    put(tmp_path, "happy/1.jpg", "sad/2.jpg", "pool/3.jpg", "pool/x/4.jpg")
    assert lay(tmp_path)[1:3] == [("pool/3", "pool", None), ("pool/x/4", "pool", None)]
    put(tmp_path, "t/train/happy/1.jpg", "t/train/sad/2.jpg", "t/unlabelled/3.jpg")
    assert lay(tmp_path / "t")[2] == ("unlabelled/3", "pool", None)


def test_the_subject_is_found_in_the_path(tmp_path: Path) -> None:
    put(tmp_path, "happy/s01_1.jpg", "sad/s01_2.jpg", "sad/s02_1.jpg", "sad/x.jpg")
    found = adapter.read(tmp_path, {"subject_pattern": r"/(s\d+)_"})
    assert found.rows["subject"].tolist()[:3] == ["s01", "s01", "s02"]
    assert found.rows["subject"].isna().tolist() == [False, False, False, True]
    assert found.notes == ("`subject_pattern` finds no subject in the paths of 1 of 4 pictures",)


@pytest.mark.parametrize("pattern", ["s\\d+", "(a)(b)", "(", 7, True])
def test_a_bad_pattern_is_refused(tmp_path: Path, pattern: object) -> None:
    put(tmp_path, "happy/s01_1.jpg")
    with pytest.raises(
        ConfigError, match=r"sets\.folder\.subject_pattern` to be null or a regular expression with one"
    ):
        adapter.read(tmp_path, {"subject_pattern": pattern})


def test_a_pattern_that_matches_nothing_and_unknown_options(tmp_path: Path) -> None:
    put(tmp_path, "happy/s01_1.jpg")
    with pytest.raises(ConfigError, match=r"'\(q\)' matches none, such as 'happy/s01_1.jpg'"):
        adapter.read(tmp_path, {"subject_pattern": "(q)"})
    with pytest.raises(ConfigError, match=r"sets\.folder"):
        adapter.read(tmp_path, {"subject": 1})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["happy/1.jpg", "Joy/2.jpg"], "folders 'Joy' and 'happy' are both of the class 'happiness'"),
        (["train/happy/1.jpg", "train/Happy/2.jpg"], "folders 'Happy' and 'happy' are both of the class 'happiness'"),
        (["val/happy/1.jpg", "valid/happy/2.jpg"], "'val' and 'valid' both mean the split validation"),
        (["train/happy/1.jpg", "extra/happy/2.jpg"], "'train' is one; got 'extra'"),
        (["data/train/happy/1.jpg", "doc/1.jpg"], "got a folder of a split, 'train', inside 'data'"),
        (["happy/a.jpg", "happy/a.png"], r"happy/a\.jpg and happy/a\.png differ in the ending only"),
        (["1.jpg", "2.jpg"], r"has no class folders with pictures; expected there: <split>/<class>"),
        ([], r"has no class folders with pictures"),
        (["pool/1.jpg"], "has no class folders with pictures"),
    ],
)
def test_folders_that_contradict_each_other(tmp_path: Path, names: list[str], message: str) -> None:
    put(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        adapter.read(tmp_path, {})


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone does not exist; expected there: <split>/<class>"):
        adapter.read(tmp_path / "gone", {})


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    put(tmp_path, "happy/1.jpg", "sad/2.jpg")
    (tmp_path / "sad/again").symlink_to(tmp_path)
    (tmp_path / "all").symlink_to(tmp_path)
    assert [row[0] for row in lay(tmp_path)] == ["happy/1", "sad/2"]
    assert len(adapter.read(tmp_path, {}).notes) == 2


def test_a_class_that_train_lacks_is_refused_by_the_road(tmp_path: Path) -> None:
    put(tmp_path, "train/happy/1.jpg", "val/happy/2.jpg", "test/happy/3.jpg", "test/sad/4.jpg")
    with pytest.raises(DataError, match=r"no train picture of class 'sadness' \(1\)"):
        reader("folder")(tmp_path)


def test_validation_is_held_out_of_train_and_folds_where_there_is_no_split(tmp_path: Path) -> None:
    put(tmp_path, *(f"train/{name}/{k}.jpg" for name in ("happy", "sad") for k in range(20)))
    put(tmp_path, "test/happy/1.jpg", "test/sad/2.jpg")
    assert reader("folder")(tmp_path).rows["split"].value_counts()["validation"] > 2
    with pytest.raises(DataError, match="has no split of its own"):
        reader("folder")(tmp_path / "train")
