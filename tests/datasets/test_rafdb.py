"""RAF-DB's adapter, on tiny made-up files in the published form; the expected values are worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from made_up_sets import edit, jpeg, write

from fer_core.datasets.dataset import NO_PICTURE, check
from fer_core.datasets.ingest import Reading, read_dataset
from fer_core.datasets.rafdb import read, read_compound
from fer_core.errors import ConfigError, DataError
from fer_core.labels import RAFDB, RAFDB_COMPOUND

LINES = ["train_00001.jpg 5", "train_00002.jpg 7", "test_0001.jpg 1", "test_0002.jpg 3"]
KEYS = [line.split(".")[0] for line in LINES]
LIST = "EmoLabel/list_patition_label.txt"
MANUAL = ["10.5\t20", "30\t21", "20\t30", "12\t40", "28\t41", "1", "2", "3"]


def write_part(root: Path, lines: list[str] = LINES, kinds: tuple[str, ...] = ("aligned",)) -> Path:
    """Write the label file and pictures of `basic/` or `compound/`: aligned ones have values from 100."""
    (root / "EmoLabel").mkdir(parents=True)
    write(root / LIST, lines)
    for kind in kinds:
        (root / "Image" / kind).mkdir(parents=True)
        for number, line in enumerate(lines):
            key = line.split(".")[0]
            name, value = (f"{key}_aligned.jpg", 100 + number) if kind == "aligned" else (f"{key}.jpg", number)
            (root / "Image" / kind / name).write_bytes(jpeg(value))
    return root


def write_annotation(root: Path, keys: list[str] = KEYS) -> None:
    for kind in ("manual", "boundingbox"):
        (root / "Annotation" / kind).mkdir(parents=True)
    for key in keys:
        write(root / "Annotation" / "manual" / f"{key}_manu_attri.txt", MANUAL)
        write(root / "Annotation" / "boundingbox" / f"{key}_boundingbox.txt", ["4.0 5.0 44.0 50.5"])


def write_kaggle(folder: Path) -> Path:
    for split, rows in (("train", [("train_00001", 5), ("train_00002", 7)]), ("test", [("test_0001", 1)])):
        (folder / "DATASET" / split).mkdir(parents=True)
        write(folder / f"{split}_labels.csv", ["image,label", *(f"{k}_aligned.jpg,{v}" for k, v in rows)])
        for key, label in rows:
            place = folder / "DATASET" / split / str(label)
            place.mkdir()
            (place / f"{key}_aligned.jpg").write_bytes(jpeg(label))
    return folder


def test_labels_splits_and_aligned_pictures(tmp_path: Path) -> None:
    write_part(tmp_path / "basic")
    found = read(tmp_path, {})
    rows = found.rows
    assert found.labels == RAFDB
    assert rows["sample_id"].tolist() == ["train_00001", "train_00002", "test_0001", "test_0002"]
    assert rows["split"].tolist() == ["train", "train", "test", "test"]
    assert [RAFDB.classes[k] for k in rows["emotion"]] == ["sadness", "neutral", "surprise", "disgust"]
    assert rows["picture"][0] == "basic/Image/aligned/train_00001_aligned.jpg"
    assert rows["landmarks"].isna().all() and rows["box"].isna().all() and rows["drop_reason"].isna().all()
    assert list(found.pictures(rows.iloc[[2, 0]])) == [("test_0001", jpeg(102)), ("train_00001", jpeg(100))]
    assert found.notes == () and not found.aus and "attr_gender" not in rows


def test_originals_with_landmarks_box_and_attributes(tmp_path: Path) -> None:
    write_annotation(write_part(tmp_path / "basic", kinds=("aligned", "original")))
    found = read(tmp_path, {})
    first = found.rows.iloc[0]
    assert first["picture"] == "basic/Image/original/train_00001.jpg"
    assert next(found.pictures(found.rows))[1] == jpeg(0)
    assert first["landmarks"].tolist() == [10.5, 20, 30, 21, 20, 30, 12, 40, 28, 41]
    assert first["landmarks"].dtype == np.float32
    assert first["box"].tolist() == [4, 5, 44, 50.5]
    assert first[["attr_gender", "attr_race", "attr_age"]].tolist() == ["female", "Asian", "40-69"]
    assert found.notes == ()


def test_the_mouth_is_put_in_the_order_of_the_eyes(tmp_path: Path) -> None:
    write_annotation(write_part(tmp_path, kinds=("original",)))
    path = tmp_path / "Annotation" / "manual" / "train_00001_manu_attri.txt"
    edit(path, 4, "28 41")
    edit(path, 5, "12 40")
    points = read(tmp_path, {}).rows["landmarks"]
    assert points[0].tolist() == points[1].tolist() == [10.5, 20, 30, 21, 20, 30, 12, 40, 28, 41]


def test_without_landmarks_aligned_pictures_come_before_originals(tmp_path: Path) -> None:
    write_part(tmp_path / "basic", kinds=("original", "aligned"))
    assert next(read(tmp_path, {}).pictures(read(tmp_path, {}).rows))[1] == jpeg(100)


def test_landmarks_are_not_given_to_aligned_pictures(tmp_path: Path) -> None:
    write_annotation(write_part(tmp_path / "basic"))
    found = read(tmp_path, {})
    assert found.rows["landmarks"].isna().all() and found.rows["box"].isna().all()
    assert found.rows["attr_age"].tolist() == ["40-69"] * 4
    assert any("the landmarks were not used" in note for note in found.notes)


def test_all_pictures_are_of_one_kind(tmp_path: Path) -> None:
    write_annotation(write_part(tmp_path / "basic", kinds=("aligned", "original")))
    (tmp_path / "basic" / "Image" / "original" / "test_0001.jpg").unlink()
    found = read(tmp_path, {})
    assert found.rows["picture"].str.endswith("_aligned.jpg").all()
    assert found.rows["landmarks"].isna().all()


@pytest.mark.parametrize("part", ["basic", ""])
@pytest.mark.parametrize("place", ["EmoLabel", ""])
@pytest.mark.parametrize("name", ["list_patition_label.txt", "list_partition_label.txt"])
def test_other_places_and_the_right_spelling(tmp_path: Path, part: str, place: str, name: str) -> None:
    root = write_part(tmp_path / part)
    text = (root / LIST).read_text()
    (root / LIST).unlink()
    (root / place / name).write_text(text)
    assert read(tmp_path, {}).rows["emotion"].tolist() == [4, 6, 0, 2]


def test_an_archive_unpacked_inside_a_folder_of_its_own_name(tmp_path: Path) -> None:
    root = write_part(tmp_path / "basic")
    (root / "Image" / "aligned").rename(root / "Image" / "a")
    (root / "Image" / "aligned").mkdir()
    (root / "Image" / "a").rename(root / "Image" / "aligned" / "aligned")
    rows = read(tmp_path, {}).rows
    assert rows["picture"][0] == "basic/Image/aligned/aligned/train_00001_aligned.jpg"
    assert rows["drop_reason"].isna().all()


def test_compound(tmp_path: Path) -> None:
    write_part(tmp_path / "basic")
    write_part(tmp_path / "compound", [f"train_{k:04d}.jpg {k}" for k in range(1, 12)])
    found = read_compound(tmp_path, {})
    assert found.labels == RAFDB_COMPOUND
    assert found.rows["emotion"].tolist() == list(range(11))
    assert found.rows["picture"][0] == "compound/Image/aligned/train_0001_aligned.jpg"
    assert len(read(tmp_path, {}).rows) == 4


def test_basic_labels_are_not_taken_for_compound_ones(tmp_path: Path) -> None:
    write_part(tmp_path)
    with pytest.raises(DataError, match=r"labels from 1 to 11, but none is above 7, .*set `data: rafdb`"):
        read_compound(tmp_path, {})
    write_part(tmp_path / "c", ["train_0001.jpg 8", "test_0001.jpg 2"])
    assert read_compound(tmp_path / "c", {}).rows["emotion"].tolist() == [7, 1]
    with pytest.raises(DataError, match=r"line 1: expected a label from 1 to 7; got 'train_0001\.jpg 8'"):
        read(tmp_path / "c", {})


def test_kaggle_form(tmp_path: Path) -> None:
    rows = read(write_kaggle(tmp_path), {}).rows
    assert rows["sample_id"].tolist() == ["train_00001", "train_00002", "test_0001"]
    assert rows["split"].tolist() == ["train", "train", "test"]
    assert rows["emotion"].tolist() == [4, 6, 0]
    assert rows["picture"][0] == "DATASET/train/5/train_00001_aligned.jpg"
    assert dict(read(tmp_path, {}).pictures(rows))["test_0001"] == jpeg(1)


def test_kaggle_form_quirks(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    plain = read(tmp_path, {}).rows
    text = (tmp_path / "train_labels.csv").read_text().replace("\n", " \r\n") + "\r\n"
    (tmp_path / "train_labels.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / "DATASET" / "train" / "5" / "._train_00001_aligned.jpg").write_bytes(b"")
    (tmp_path / "DATASET" / "train" / "loop").symlink_to(tmp_path / "DATASET")
    (tmp_path / "DATASET" / "train" / "5" / "train_00009_aligned.jpg").write_bytes(jpeg(9))
    found = read(tmp_path, {})
    assert found.rows.equals(plain)
    assert any(
        note.startswith("1 pictures have no line in train_labels.csv or test_labels.csv") for note in found.notes
    )
    assert any("the link train/loop" in note for note in found.notes)


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (1, "name,class", "train_labels.csv, line 1: expected the columns image,label; got 'name,class'"),
        (2, "train_00001_aligned.jpg,8", "train_labels.csv, line 2: expected a label from 1 to 7"),
        (2, "train_00001_aligned.jpg", "train_labels.csv, line 2: expected a label from 1 to 7"),
        (2, "test_0009_aligned.jpg,5", "train_labels.csv, line 2: expected the name of a picture such as train_00001"),
        (2, "../train_00001.jpg,5", "train_labels.csv, line 2: expected the name of a picture"),
        (3, "train_00001.jpg,5", "train_labels.csv, line 3: 'train_00001.jpg' stands already in line 2"),
        (2, "train_00001_aligned.jpg,4", "train_00001 has the label 4, but its picture lies in DATASET/train/5"),
    ],
)
def test_a_bad_row_of_the_kaggle_form(tmp_path: Path, line: int, text: str, message: str) -> None:
    edit(write_kaggle(tmp_path) / "train_labels.csv", line, text)
    with pytest.raises(DataError, match=message):
        read(tmp_path, {})


def test_half_of_the_kaggle_form(tmp_path: Path) -> None:
    (write_kaggle(tmp_path) / "test_labels.csv").unlink()
    with pytest.raises(DataError, match=r"lacks test_labels\.csv; expected there.*: train_labels\.csv, test"):
        read(tmp_path, {})


def test_windows_line_ends_byte_order_mark_trailing_spaces_and_blank_lines(tmp_path: Path) -> None:
    root = write_part(tmp_path / "basic", kinds=("original",))
    write_annotation(root)
    plain = read(tmp_path, {}).rows
    manual = root / "Annotation" / "manual" / "train_00001_manu_attri.txt"
    box = root / "Annotation" / "boundingbox" / "train_00001_boundingbox.txt"
    for path in (root / LIST, manual, box):
        lines = path.read_text().splitlines()
        path.write_bytes(b"\xef\xbb\xbf" + "  \r\n".join([*lines, "", ""]).encode())
    assert read(tmp_path, {}).rows.equals(plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train_00002.jpg", "line 2: expected a name, a space and a value; got 'train_00002.jpg'"),
        ("train_00002.jpg 0", "line 2: expected a label from 1 to 7; got 'train_00002.jpg 0'"),
        ("train_00002.jpg 8", "line 2: expected a label from 1 to 7"),
        ("train_00002.jpg happy", "line 2: expected a label from 1 to 7"),
        ("train_00002.jpg 1 2", "line 2: expected a label from 1 to 7"),
        ("train_00001.jpg 5", "line 2: 'train_00001.jpg' stands already in line 1"),
        ("0002.jpg 5", "line 2: expected the name of a picture such as train_00001.jpg or test_0001.jpg"),
        ("../train_00002.jpg 5", "line 2: expected the name of a picture"),
        ("/etc/train_00002.jpg 5", "line 2: expected the name of a picture"),
        ("train_00002.jpg/../../x 5", "line 2: expected the name of a picture"),
    ],
)
def test_a_bad_line_names_file_line_and_text(tmp_path: Path, text: str, message: str) -> None:
    edit(write_part(tmp_path / "basic") / LIST, 2, text)
    with pytest.raises(DataError, match=rf"basic/EmoLabel/list_patition_label\.txt, {message}"):
        read(tmp_path, {})


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (1, "10", "line 1: expected a point x y; got '10'"),
        (2, "10 nan", "line 2: expected a point x y"),
        (6, "3", "line 6: expected the gender, from 0 to 2; got '3'"),
        (7, "Asian", "line 7: expected the race, from 0 to 2; got 'Asian'"),
        (8, "5", "line 8: expected the age, from 0 to 4; got '5'"),
        (8, "3\n0", "line 9: expected 8 lines .five points, gender, race, age., not 9"),
        (8, "", "line 7: expected 8 lines .five points, gender, race, age., not 7"),
    ],
)
def test_a_bad_annotation_names_file_and_line(tmp_path: Path, line: int, text: str, message: str) -> None:
    root = write_part(tmp_path, kinds=("original",))
    write_annotation(root)
    edit(root / "Annotation" / "manual" / "test_0002_manu_attri.txt", line, text)
    with pytest.raises(DataError, match=f"test_0002_manu_attri.txt, {message}"):
        read(tmp_path, {})


def test_boxes(tmp_path: Path) -> None:
    root = write_part(tmp_path, kinds=("original",))
    write_annotation(root)
    place = root / "Annotation" / "boundingbox"
    write(place / "train_00002_boundingbox.txt", ["44 5 4 50"])
    (place / "test_0001_boundingbox.txt").unlink()
    found = read(tmp_path, {})
    assert found.rows["box"].notna().tolist() == [True, False, False, True]
    assert "1 of 4 pictures have no file in Annotation/boundingbox" in found.notes
    assert "1 boxes have no area and are left out" in found.notes
    write(place / "train_00002_boundingbox.txt", ["44 5 4"])
    with pytest.raises(DataError, match=r"train_00002_boundingbox\.txt, line 1: expected a box: left top"):
        read(tmp_path, {})


def test_a_picture_without_annotation_has_nulls(tmp_path: Path) -> None:
    write_annotation(write_part(tmp_path, kinds=("original",)), KEYS[:3])
    found = read(tmp_path, {})
    assert found.rows["landmarks"].notna().tolist() == [True, True, True, False]
    assert found.rows["attr_race"].isna().tolist() == [False, False, False, True]
    assert "1 of 4 pictures have no file in Annotation/manual" in found.notes


def test_missing_pictures_keep_their_rows_and_others_are_counted(tmp_path: Path) -> None:
    place = write_part(tmp_path / "basic") / "Image" / "aligned"
    (place / "test_0001_aligned.jpg").unlink()
    (place / "test_0077_aligned.jpg").write_bytes(jpeg(7))
    (place / "._test_0078_aligned.jpg").write_bytes(b"")
    found = read(tmp_path, {})
    rows = found.rows.set_index("sample_id")
    assert rows["drop_reason"].dropna().to_dict() == {"test_0001": NO_PICTURE}
    assert rows.loc["test_0001", "picture"] == "basic/Image/aligned/test_0001_aligned.jpg"
    assert dict(found.pictures(found.rows))["test_0001"] is None
    assert found.notes == (
        "1 pictures have no line in basic/EmoLabel/list_patition_label.txt and are left out, such as test_0077",
    )


def test_labels_without_pictures_are_no_error_here(tmp_path: Path) -> None:
    write_part(tmp_path / "basic", kinds=())
    found = read(tmp_path, {})
    assert found.rows["drop_reason"].eq(NO_PICTURE).all()
    assert found.rows["picture"][0] == "basic/Image/aligned/train_00001_aligned.jpg"


def test_a_folder_of_another_set_is_told_what_is_expected(tmp_path: Path) -> None:
    write(tmp_path / "RAFCE_emolabel.txt", ["0001.jpg 3"])
    with pytest.raises(DataError, match=r"lacks basic/EmoLabel/list_patition_label\.txt; .*train_labels\.csv"):
        read(tmp_path, {})
    with pytest.raises(DataError, match=r"lacks compound/EmoLabel/list_patition_label\.txt; .*compound/Image"):
        read_compound(tmp_path, {})
    with pytest.raises(DataError, match="does not exist; expected there"):
        read(tmp_path / "nowhere", {})


def test_no_options(tmp_path: Path) -> None:
    write_part(tmp_path / "basic")
    with pytest.raises(ConfigError, match=r"Expected `sets\.rafdb` to be empty"):
        read(tmp_path, {"crops": True})
    with pytest.raises(ConfigError, match=r"Expected `sets\.rafdb_compound` to be empty"):
        read_compound(tmp_path, {"crops": True})


def test_through_the_core_validation_is_held_out(tmp_path: Path) -> None:
    lines = [f"train_{k:05d}.jpg {k % 7 + 1}" for k in range(140)] + [
        f"test_{k:04d}.jpg {k % 7 + 1}" for k in range(14)
    ]
    write_part(tmp_path / "basic", lines)
    dataset = check(read_dataset("rafdb", tmp_path, Reading(hold_out=0.2)))
    assert dataset.rows["split"].value_counts().to_dict() == {"train": 112, "validation": 28, "test": 14}
    assert dataset.rows["source"].eq("rafdb").all()
