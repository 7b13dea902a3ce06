from pathlib import Path

import pytest
from made_up_rows import clip, rows

from fer_core.aus.pyfeat import read
from fer_core.errors import DataError

HEADER = "frame,FaceRectX,FaceRectY,FaceScore,AU01,AU12,anger,input"


def write(folder: Path, name: str, *lines: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]))


def test_probabilities_become_present_from_a_half_on(tmp_path: Path) -> None:
    write(
        tmp_path,
        "pyfeat.csv",
        HEADER,
        "0.0,10,10,0.99,0.49,0.5,0.1,/home/me/original/0001.jpg",
        r"1.0,,,,,,,C:\faces\0002.jpg",
        "2.0,10,10,0.8,1,0,0.1,0003.jpg",
        "2.0,10,10,0.9,0,1,0.1,0003.jpg",
        "3.0,10,10,0.9,0,1,0.1,0009.jpg",
    )
    labels = read(tmp_path, rows(["0001", "0002", "0003", "0004"]))
    assert labels is not None
    assert labels.table.fillna(-1).to_dict("index") == {
        "0001": {"AU1": 0, "AU12": 1},
        "0002": {"AU1": -1, "AU12": -1},
        "0003": {"AU1": 0, "AU12": 1},
    }, "no face: null; of two faces the surer"
    assert labels.intensities is None, "a probability is no intensity"
    assert (labels.without_picture, labels.unannotated) == (("0009.jpg",), 1)


def test_frames_of_a_video_count_from_0(tmp_path: Path) -> None:
    lines = [f"{k},0,0,0.9,0,{k % 2},0,/v/0007.mp4" for k in range(3)]
    write(tmp_path, "pyfeat/0007.csv", HEADER, *lines)
    labels = read(tmp_path, clip("clips/0007", [0, 1, 2]))
    assert labels is not None and labels.table["AU12"].tolist() == [0, 1, 0]


def test_without_input_the_file_s_name_counts(tmp_path: Path) -> None:
    write(tmp_path, "pyfeat/0001.csv", "frame,FaceScore,AU01", "0,0.9,0.7")
    labels = read(tmp_path, rows(["0001"]))
    assert labels is not None and labels.table["AU1"].to_dict() == {"0001": 1}
    assert read(tmp_path / "pyfeat", rows(["0001"])) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,input", "1,0001.jpg"], r"pyfeat\.csv: expected Py-Feat's columns AU01, AU02"),
        (["AU01", "1"], r"pyfeat\.csv: expected the column `input`"),
        (["AU01,input", "1.1,0001.jpg"], "line 2: expected 0 to 1 or nothing in the column `AU01`; got '1.1'"),
        (["AU01,input", "x,0001.jpg"], "line 2: expected 0 to 1 or nothing in the column `AU01`"),
        (["AU01,input", "1,0001.jpg", "1,b/0001.jpg"], "line 3: 0001 has AUs already, from .*line 2"),
    ],
)
def test_what_is_not_py_feat_s_names_file_and_line(tmp_path: Path, lines: list[str], message: str) -> None:
    write(tmp_path, "pyfeat.csv", *lines)
    with pytest.raises(DataError, match=message):
        read(tmp_path, rows(["0001"]))
