from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_rows import clip, rows

from fer_core.aus.openface import read
from fer_core.errors import DataError

HEADER = "frame, face_id, timestamp, confidence, success, AU01_r, AU12_r, AU01_c, AU12_c, AU28_c"
IMAGE = "face, confidence, gaze_0_x, AU01_r, AU12_r, AU01_c, AU12_c"


def write(folder: Path, name: str, *lines: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\ufeff".encode() + "\r\n".join([*lines, ""]).encode())


def test_one_file_a_picture(tmp_path: Path) -> None:
    write(tmp_path, "openface/0001.csv", HEADER, "1, 0, 0.000, 0.98, 1, 0.00, 2.35, 0.00, 1.00, 1.00", "")
    write(tmp_path, "openface/0002.csv", IMAGE, "0, 0.825, 0.1, 1.5, 0, 1, 0")
    write(tmp_path, "openface/0009.csv", IMAGE, "0, 0.9, 0.1, 1.5, 0, 1, 0")
    write(tmp_path, "openface/._0003.csv", "rubbish")
    labels = read(tmp_path, rows(["0001", "0002", "0003"]))
    assert labels is not None
    assert labels.table.columns.tolist() == ["AU1", "AU12", "AU28"]
    assert labels.table.fillna(-1).to_dict("index") == {
        "0001": {"AU1": 0, "AU12": 1, "AU28": 1},
        "0002": {"AU1": 1, "AU12": 0, "AU28": -1},
    }
    assert labels.intensities is not None and list(labels.intensities) == ["AU1", "AU12"], "AU28 has none"
    np.testing.assert_allclose(labels.intensities.loc["0001"], [0, 2.35], rtol=1e-6)
    assert labels.without_picture == ("0009",)
    assert (labels.table.dtypes == np.float32).all()


@pytest.mark.parametrize(("confidence", "success"), [("0.79", "1"), ("0.98", "0"), ("nan", "1"), ("-nan(ind)", "0")])
def test_a_face_that_openface_is_unsure_of_is_not_known(tmp_path: Path, confidence: str, success: str) -> None:
    write(tmp_path, "openface/0001.csv", HEADER, f"1, 0, 0.000, {confidence}, {success}, 0.00, 2.35, 0, 1, 1")
    labels = read(tmp_path, rows(["0001"]))
    assert labels is not None and labels.intensities is not None
    assert labels.table.loc["0001"].isna().all() and labels.intensities.loc["0001"].isna().all()
    assert labels.unannotated == 1


def test_the_threshold_is_a_choice(tmp_path: Path) -> None:
    write(tmp_path, "openface/0001.csv", HEADER, "1, 0, 0.000, 0.6, 1, 0.00, 2.35, 0, 1, 1")
    labels = read(tmp_path, rows(["0001"]), confidence=0.6)
    assert labels is not None and labels.table["AU12"].tolist() == [1]


def test_of_several_faces_the_surest_counts(tmp_path: Path) -> None:
    faces = ["0, 0.85, 0, 0, 0, 0, 0", "1, 0.95, 0, 0, 3, 0, 1", "2, 0.95, 0, 2, 0, 1, 0"]
    write(tmp_path, "openface/0001.csv", IMAGE, *faces)
    labels = read(tmp_path, rows(["0001"]))
    assert labels is not None and labels.table.loc["0001"].tolist() == [0, 1]


def test_a_clip_joins_frame_by_frame(tmp_path: Path) -> None:
    lines = [f"{k}, 0, 0.0, 0.98, {int(k != 2)}, 0, 0, 0, {k % 2}, 0" for k in range(1, 5)]
    write(tmp_path, "openface/0007.csv", HEADER, *lines)
    table = pd.concat([rows(["0007"]), clip("clips/0007", [0, 1, 2])], ignore_index=True)
    labels = read(tmp_path, table)
    assert labels is not None
    assert labels.table["AU12"].fillna(-1).to_dict() == {"clips/0007/0": 1, "clips/0007/1": -1, "clips/0007/2": 1}
    assert labels.without_picture == ("0007, frame 3 from 0",), "the picture 0007 has several frames in no file"


def test_one_file_of_all_pictures_needs_their_names(tmp_path: Path) -> None:
    write(tmp_path, "openface.csv", f"picture,{IMAGE}", "a/0001.jpg,0,0.9,0,0,3,0,1", "0002.jpg,0,0.9,0,0,0,0,0")
    labels = read(tmp_path, rows(["0001", "0002"]))
    assert labels is not None and labels.table["AU12"].tolist() == [1, 0]
    write(tmp_path, "openface.csv", IMAGE, "0,0.9,0,0,3,0,1")
    with pytest.raises(DataError, match=r"openface\.csv: expected a column `picture`"):
        read(tmp_path, rows(["0001"]))


def test_a_folder_without_files_has_none(tmp_path: Path) -> None:
    assert read(tmp_path, rows(["0001"])) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a, b", "1, 2"], r"0001\.csv: expected OpenFace's columns confidence, AU01_c"),
        ([IMAGE, "0, 0.9, 0, 0, 3, 0, 2"], r"line 2: expected 0 to 1 or nothing in the column `AU12_c`; got '2'"),
        ([IMAGE, "0, 0.9, 0, 0, 3, 0, 0.5"], "line 2: expected 0 or 1 in the column `AU12_c`"),
        ([IMAGE, "0, 0.9, 0, 6, 3, 0, 1"], "line 2: expected 0 to 5 or nothing in the column `AU01_r`; got '6'"),
        ([IMAGE, "0, x, 0, 0, 3, 0, 1"], "line 2: expected 0 to 1 or nothing in the column `confidence`"),
        ([IMAGE, "0, 0.9, 0"], "line 2: expected 7 cells"),
        ([HEADER, "1.5, 0, 0, 0.9, 1, 0, 0, 0, 0, 0"], "line 2: expected a whole number from 1 in the column `frame`"),
        ([IMAGE.replace("AU01", "AU03"), "0, 0.9, 0, 0, 3, 0, 1"], "expected columns of AUs that FACS has.*AU03"),
        ([IMAGE.replace("gaze_0_x", "face"), "0, 0.9, 0, 0, 3, 0, 1"], "each column once; got 'face' twice"),
        ([], r"0001\.csv is empty"),
    ],
)
def test_what_is_not_openface_s_names_file_and_line(tmp_path: Path, lines: list[str], message: str) -> None:
    write(tmp_path, "openface/0001.csv", *lines)
    with pytest.raises(DataError, match=message):
        read(tmp_path, rows(["0001"]))


def test_two_files_of_one_picture_are_refused(tmp_path: Path) -> None:
    for place in ("a", "b"):
        write(tmp_path, f"openface/{place}/0001.csv", IMAGE, "0, 0.9, 0, 0, 3, 0, 1")
    with pytest.raises(DataError, match=r"0001 has AUs already, from .*a/0001\.csv, line 2"):
        read(tmp_path, rows(["0001"]))
