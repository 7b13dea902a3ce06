from pathlib import Path

import cv2
import numpy as np
import pytest
from made_up_sets import edit, pixels, reader, write, write_fer2013

from fer_core.datasets.dataset import card
from fer_core.errors import DataError

read = reader("fer2013")


def test_usages_labels_and_lossless_pictures(fer_folder: Path) -> None:
    data = read(fer_folder, None, 1)
    assert data.rows["split"].value_counts().to_dict() == {"train": 21, "validation": 21, "test": 21}
    assert data.rows["emotion"].tolist() == [k % 7 for k in range(21)] * 3
    pictures = list(data.pictures())
    assert [sample for sample, _ in pictures] == data.rows["sample_id"].tolist()
    decoded = cv2.imdecode(np.frombuffer(pictures[4][1] or b"", np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == (48, 48)
    np.testing.assert_array_equal(decoded.ravel(), np.array(pixels(5).split(), int))
    assert data.notes == ()


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    plain = write_fer2013(tmp_path / "plain")
    turned = tmp_path / "turned"
    turned.mkdir()
    lines = [line.split(",") for line in (plain / "fer2013.csv").read_text().splitlines()]
    text = "\r\n".join(", ".join((emotion, usage, values)) for emotion, values, usage in lines)
    (turned / "fer2013.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    a, b = read(plain, None, 1), read(turned, None, 1)
    assert a.rows.equals(b.rows)
    assert list(a.pictures()) == list(b.pictures())


def test_without_private_test_public_test_is_halved_and_duplicates_stay_together(tmp_path: Path) -> None:
    folder = write_fer2013(tmp_path / "fer2013", private=False, per_class=30)
    lines = (folder / "fer2013.csv").read_text().splitlines()
    write(folder / "fer2013.csv", [*lines, *lines[-100:]])  # every one of these stands twice now
    data = read(folder, None, 1)
    split = data.rows["split"].tolist()
    assert split[:210] == ["train"] * 210
    assert split[-100:] == split[-200:-100], "identical pictures must stay in one split"
    sizes = data.rows["split"].value_counts()
    assert sizes["validation"] + sizes["test"] == 310
    assert 100 < sizes["test"] < 210
    assert "PublicTest was halved by picture hash" in card(data, "fer2013")["notes"][0]


def test_the_half_of_a_picture_does_not_depend_on_the_rest_of_the_file(tmp_path: Path) -> None:
    large = write_fer2013(tmp_path / "large", private=False, per_class=10)
    small = tmp_path / "small"
    small.mkdir()
    lines = (large / "fer2013.csv").read_text().splitlines()
    write(small / "fer2013.csv", [lines[0], *lines[1:71], *lines[75:]])
    whole = read(large, None, 1).rows
    part = read(small, None, 1).rows
    assert whole["split"].tolist()[:70] + whole["split"].tolist()[74:] == part["split"].tolist()


@pytest.mark.parametrize("values", ["1 2 3", pixels(1) + " 7", pixels(1)[:-1] + "x", pixels(1).replace("255", "256")])
def test_pixels_that_do_not_parse_lose_the_picture_not_the_row(fer_folder: Path, values: str) -> None:
    edit(fer_folder / "fer2013.csv", 3, f"1,{values},Training")
    data = read(fer_folder, None, 1)
    assert len(data.rows) == 63
    assert [sample for sample, picture in data.pictures() if picture is None] == ["fer0000001"]


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (1, "emotion,Usage", "line 1: expected the columns emotion, pixels, Usage; pixels is missing"),
        (2, "7,0 0 0,Training", "line 2: expected an emotion from 0 to 6; got '7'"),
        (2, ",0 0 0,Training", "line 2: expected an emotion from 0 to 6; got ''"),
        (2, "1,0 0 0,Train", "line 2: expected a Usage of Training, PublicTest, PrivateTest; got 'Train'"),
        (2, "1,0 0 0", "line 2: expected 3 fields; got '1,0 0 0'"),
    ],
)
def test_a_bad_row_names_file_and_line(fer_folder: Path, line: int, text: str, message: str) -> None:
    edit(fer_folder / "fer2013.csv", line, text)
    with pytest.raises(DataError, match=f"fer2013.csv, {message}"):
        read(fer_folder, None, 1)


def test_missing_files_header_only_and_an_absent_class(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fer2013 does not exist; expected there, as published: fer2013\.csv"):
        read(tmp_path / "fer2013", None, 1)
    folder = write_fer2013(tmp_path / "fer2013")
    lines = (folder / "fer2013.csv").read_text().splitlines()
    write(folder / "fer2013.csv", lines[:1])
    with pytest.raises(DataError, match="has a header but no rows"):
        read(folder, None, 1)
    write(folder / "fer2013.csv", [line for line in lines if not line.startswith("1,")])
    with pytest.raises(DataError, match=r"no train picture of class 'disgust' \(1\)"):
        read(folder, None, 1)
    write(folder / "fer2013.csv", [line for line in lines if "Training" not in line])
    with pytest.raises(DataError, match="the train split has no labelled picture"):
        read(folder, None, 1)


def test_without_public_test_validation_is_held_out_of_train(fer_folder: Path) -> None:
    lines = (fer_folder / "fer2013.csv").read_text().splitlines()
    write(fer_folder / "fer2013.csv", [line for line in lines if "PublicTest" not in line])
    data = read(fer_folder, None, 1)
    assert data.rows["split"].value_counts().to_dict() == {"test": 21, "train": 14, "validation": 7}
    assert data.notes[0].startswith("no validation split is published: 1 of 3 train pictures (7) became it")
