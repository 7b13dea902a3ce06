"""FER2013 in its other forms: folders of pictures, and icml_face_data.csv."""

from pathlib import Path

import pytest
from made_up_sets import jpeg, pixels, reader, write

from fer_core.datasets import fer2013
from fer_core.errors import DataError

NAMES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def lay(root: Path, **counts: int) -> Path:
    """Write so many pictures of every class into each split's folder."""
    for number, (split, count) in enumerate(counts.items()):
        for k, name in enumerate(NAMES):
            (root / split / name).mkdir(parents=True)
            for j in range(count):
                (root / split / name / f"Training_{number}{k}{j}.jpg").write_bytes(jpeg(10 * k + j, 48))
    return root


def test_folders_keep_the_order_of_the_classes(tmp_path: Path) -> None:
    found = fer2013.read(lay(tmp_path, train=1, test=1), {})
    assert found.labels.classes == ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    emotion = dict(zip(found.rows["sample_id"], found.rows["emotion"], strict=True))
    train = [emotion[f"train/{name}/Training_0{k}0"] for k, name in enumerate(NAMES)]
    assert train == [0, 1, 2, 3, 6, 4, 5]
    assert next(found.pictures(found.rows)) == ("test/angry/Training_100", jpeg(0, 48))


def test_validation_is_held_out_where_only_test_is_there(tmp_path: Path) -> None:
    data = reader("fer2013")(lay(tmp_path, train=20, test=3))
    sizes = data.rows["split"].value_counts()
    assert sizes["test"] == 21
    assert sizes["train"] + sizes["validation"] == 140
    assert 14 <= sizes["validation"] <= 28
    assert "no validation split is published" in data.notes[0]


def test_folders_of_validation_and_test_are_used(tmp_path: Path) -> None:
    data = reader("fer2013")(lay(tmp_path, Train=3, Validation=2, Test=1))
    assert data.rows["split"].value_counts().to_dict() == {"train": 21, "validation": 14, "test": 7}
    assert data.notes == ()


def test_a_class_that_is_none_of_the_seven(tmp_path: Path) -> None:
    lay(tmp_path, train=1)
    (tmp_path / "train/contempt").mkdir()
    (tmp_path / "train/contempt/1.jpg").write_bytes(jpeg(1))
    with pytest.raises(DataError, match=r"FER2013's classes angry, .*; got 'contempt'\. For other classes"):
        fer2013.read(tmp_path, {})


def test_a_csv_wins_over_folders(tmp_path: Path) -> None:
    lay(tmp_path, train=1)
    write(tmp_path / "fer2013.csv", ["emotion,pixels,Usage", f"3,{pixels(1)},Training"])
    assert fer2013.read(tmp_path, {}).rows["sample_id"].tolist() == ["fer0000000"]


def test_icml_face_data_has_blanks_in_its_columns_names(tmp_path: Path) -> None:
    lines = ["emotion, Usage, pixels"]
    lines += [f"{k},{usage},{pixels(k)}" for usage in fer2013.SPLIT_OF_USAGE for k in range(7)]
    write(tmp_path / "icml_face_data.csv", lines)
    data = reader("fer2013")(tmp_path)
    assert data.rows["split"].tolist() == ["train"] * 7 + ["validation"] * 7 + ["test"] * 7
    assert data.rows["emotion"].tolist() == list(range(7)) * 3
    assert all(picture is not None for _, picture in data.pictures())


def test_an_error_names_the_file_that_is_there(tmp_path: Path) -> None:
    write(tmp_path / "icml_face_data.csv", ["emotion, Usage, pixels", "7,Training,0 0"])
    with pytest.raises(DataError, match=r"icml_face_data\.csv, line 2: expected an emotion from 0 to 6"):
        fer2013.read(tmp_path, {})


def test_nothing_of_the_kind(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"is empty; expected there, as published: fer2013\.csv, or icml_face_data\.csv"
    ):
        fer2013.read(tmp_path, {})
    (tmp_path / "original").mkdir()
    with pytest.raises(DataError, match="has no class folders with pictures"):
        fer2013.read(tmp_path, {})
