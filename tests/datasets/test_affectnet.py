"""AffectNet on made-up files in the published form."""

import time
from pathlib import Path

import numpy as np
import pytest
from made_up_sets import edit, jpeg, reader, write

from fer_core.datasets import affectnet
from fer_core.datasets.dataset import NO_PICTURE
from fer_core.errors import ConfigError, DataError

HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
POINTS = ";".join(f"{k}.5;{1000 + k}" for k in range(68))  # point k is (k + 0.5, 1000 + k)
LISTS, IMAGES = "Manually_Annotated_file_lists", "Manually_Annotated_Images"


def line(name: str, expression: object, box: str = "10,20,100,50", points: str = POINTS) -> str:
    return f"{name},{box},{points},{expression},0.1,-0.2"


def lay(root: Path, images: str = IMAGES, lists: str = LISTS) -> Path:
    """Write ten train pictures with the expressions 0 to 10 but 7, twice, and eight test pictures."""
    train = [line(f"{k}/a{k}.jpg", k) for k in range(11)] + [line(f"{k}/b{k}.JPG", k) for k in range(8)]
    test = [line(f"9/t{k}.jpg", k) for k in range(8)]
    (root / lists).mkdir(parents=True, exist_ok=True)
    write(root / lists / "training.csv", [HEADER, *train])
    write(root / lists / "validation.csv", [HEADER, *test])
    for number, text in enumerate(train + test):
        picture = root / images / text.split(",")[0]
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(jpeg(number))
    return root


def test_splits_labels_boxes_and_points(tmp_path: Path) -> None:
    found = affectnet.read(lay(tmp_path), {})
    rows = found.rows.set_index("sample_id")
    assert rows["split"].value_counts().to_dict() == {"train": 19, "test": 8}
    assert rows.loc["4/a4", "picture"] == "Manually_Annotated_Images/4/a4.jpg"
    names = [found.labels.classes[k] for k in rows.loc[[f"9/t{k}" for k in range(8)], "emotion"]]
    assert names == ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]
    assert rows.loc["4/a4", "box"].tolist() == [10, 20, 110, 70]
    # eyes: means of points 36..41 and 42..47; then points 30, 48 and 54
    expected = [39.0, 1038.5, 45.0, 1044.5, 30.5, 1030, 48.5, 1048, 54.5, 1054]
    np.testing.assert_array_equal(rows.loc["4/a4", "landmarks"], np.array(expected, np.float32))
    assert found.split_notes == (
        "the published validation pictures are the test split: the test pictures were not published",
    )


def test_labels_that_are_no_emotion_are_dropped_with_reason_and_count(tmp_path: Path) -> None:
    found = affectnet.read(lay(tmp_path), {})
    rows = found.rows.set_index("sample_id")
    reasons = rows["drop_reason"].dropna().to_dict()
    assert reasons == {
        "8/a8": "its published label is None",
        "9/a9": "its published label is Uncertain",
        "10/a10": "its published label is No-Face",
    }
    assert rows.loc[list(reasons), "emotion"].isna().all()
    assert found.notes == ("3 of 27 pictures are dropped for their labels: No-Face 1, None 1, Uncertain 1",)
    pictures = dict(found.pictures(found.rows))
    assert pictures["8/a8"] is None, "nobody needs the pictures of dropped rows"
    assert pictures["1/a1"] == jpeg(1)


def test_seven_classes_drop_contempt(tmp_path: Path) -> None:
    found = affectnet.read7(lay(tmp_path), {})
    assert found.labels.classes[-1] == "anger"
    assert len(found.labels.classes) == 7
    reasons = found.rows.set_index("sample_id")["drop_reason"].dropna()
    assert sorted(reasons[reasons == "its published label is contempt"].index) == ["7/a7", "7/b7", "9/t7"]
    assert found.rows["emotion"].max() == 6


@pytest.mark.parametrize("images", ["Manually_Annotated/Manually_Annotated_Images", "."])
def test_other_places(tmp_path: Path, images: str) -> None:
    found = affectnet.read(lay(tmp_path, images, "."), {})
    assert not found.rows["drop_reason"].eq(NO_PICTURE).any()
    assert found.rows["picture"][0] == f"{images}/0/a0.jpg".removeprefix("./")


def test_a_list_without_its_first_line_and_windows_files(tmp_path: Path) -> None:
    plain = affectnet.read(lay(tmp_path), {}).rows
    path = tmp_path / LISTS / "validation.csv"
    lines = path.read_text().splitlines()
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines[1:4], "", *(f"{text}  " for text in lines[4:])]).encode())
    assert affectnet.read(tmp_path, {}).rows.equals(plain)


@pytest.mark.parametrize("box", ["NULL,NULL,NULL,NULL", ",,,", "10,20,-1,-1", "10,20,0,50", "nan,20,10,50"])
def test_faces_that_were_not_found(tmp_path: Path, box: str) -> None:
    lay(tmp_path)
    edit(tmp_path / LISTS / "training.csv", 2, line("0/a0.jpg", 0, box, "NULL"))
    rows = affectnet.read(tmp_path, {}).rows
    assert rows["box"][0] is None
    assert rows["landmarks"][0] is None
    assert rows["box"][1] is not None
    assert rows["drop_reason"].isna()[0]


def test_missing_pictures_and_pictures_in_no_list(tmp_path: Path) -> None:
    lay(tmp_path)
    (tmp_path / IMAGES / "2/a2.jpg").unlink()
    (tmp_path / IMAGES / "2/new.jpg").write_bytes(b"")
    (tmp_path / IMAGES / "2/._b2.jpg").write_bytes(b"")
    found = affectnet.read(tmp_path, {})
    assert found.rows["sample_id"][found.rows["drop_reason"] == NO_PICTURE].tolist() == ["2/a2"]
    assert found.notes[-1] == "1 pictures stand in neither list and were left out"


@pytest.mark.parametrize(
    ("number", "text", "message"),
    [
        (3, line("0/a0.jpg", 1), r"training\.csv, line 3: '0/a0\.jpg' stands already in .*training\.csv, line 2"),
        (3, line("1/a1.jpg", 11), "line 3, column `expression`: expected an expression from 0 to 10; got '11'"),
        (3, line("1/a1.jpg", "happy"), "column `expression`: expected an expression from 0 to 10; got 'happy'"),
        (3, line("1/a1.jpg", ""), "column `expression`: .* got ''"),
        (
            3,
            line("../a1.jpg", 1),
            r"line 3: expected the name of a file inside the data set's folder; got '\.\./a1\.jpg'",
        ),
        (3, line("/etc/a1.jpg", 1), "line 3: expected the name of a file inside"),
        (3, line("1/a1.jpg", 1, points="1;2;3"), "line 3, column `facial_landmarks`: expected 68 points"),
        (3, line("1/a1.jpg", 1, points=POINTS.replace("30.5;", "x;")), "line 3, column `facial_landmarks`"),
        (3, line("1/a1.jpg", 1, points=POINTS.replace("30.5;", "inf;")), "line 3, column `facial_landmarks`"),
        (
            3,
            line("1/a1.jpg", 1, box="10,20,wide,5"),
            "line 3, column `face_width`: expected a number of pixels; got 'wide'",
        ),
        (3, "1/a1.jpg,1", "line 3: expected 9 cells; got 2: '1/a1.jpg,1'"),
        (
            1,
            "picture,label",
            "line 1: expected the columns subDirectory_filePath, .*; subDirectory_filePath is missing",
        ),
    ],
)
def test_a_bad_line_names_file_line_and_column(tmp_path: Path, number: int, text: str, message: str) -> None:
    edit(lay(tmp_path) / LISTS / "training.csv", number, text)
    with pytest.raises(DataError, match=message):
        affectnet.read(tmp_path, {})


def test_a_picture_in_both_lists_is_refused(tmp_path: Path) -> None:
    edit(lay(tmp_path) / LISTS / "validation.csv", 4, line("1/b1.JPG", 1))
    with pytest.raises(
        DataError, match=r"validation\.csv, line 4: '1/b1.JPG' stands already in .*training\.csv, line 14"
    ):
        affectnet.read(tmp_path, {})


def test_another_folder_and_options(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=f"lacks {LISTS}/training.csv, {LISTS}/validation.csv; expected there, as publ"):
        affectnet.read(tmp_path, {})
    with pytest.raises(ConfigError, match=r"sets\.affectnet"):
        affectnet.read(tmp_path, {"x": 1})


def test_the_road_holds_validation_out_of_train(tmp_path: Path) -> None:
    rows = reader("affectnet")(lay(tmp_path)).rows
    assert rows["split"].value_counts()["validation"] >= 1
    assert (rows["split"] == "test").sum() == 8


def test_fifty_thousand_rows_are_quick(tmp_path: Path) -> None:
    """450,000 in well under a minute is 50,000 in 5 s; it takes about 1 s."""
    lay(tmp_path)
    write(tmp_path / LISTS / "training.csv", [HEADER, *(line(f"1/{k}.jpg", k % 8) for k in range(50_000))])
    start = time.perf_counter()
    assert len(affectnet.read(tmp_path, {}).rows) == 50_008
    assert time.perf_counter() - start < 10
