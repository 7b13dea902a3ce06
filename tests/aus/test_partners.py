import pandas as pd
import pytest
from made_up_rows import clip, rows

from fer_core.aus.partners import Partners
from fer_core.errors import DataError


def partners(*tables: pd.DataFrame) -> Partners:
    return Partners(pd.concat(tables, ignore_index=True))


def test_a_picture_is_known_by_its_key_name_or_path() -> None:
    found = partners(rows(["0001", "pool/0001", "0002"], ["original/0001.jpg", "pool/0001.jpg", "original/0002.jpg"]))
    for name in ("0001", "0001.jpg", "0001_aligned.png", "/home/me/original/0001.jpg", r"C:\faces\0001.jpg"):
        assert found.of_picture(name, "x") == ["0001"], name
    assert found.of_picture("/home/me/pool/0001.jpg", "x") == ["pool/0001"]
    assert found.of_picture("0003.jpg", "x") == []


def test_of_equal_names_the_path_decides_or_nothing_does() -> None:
    found = partners(rows(["train/angry/1", "train/happy/1"], ["train/angry/1.jpg", "train/happy/1.jpg"]))
    assert found.of_picture("/data/train/happy/1.jpg", "x") == ["train/happy/1"]
    with pytest.raises(
        DataError, match=r"a\.csv, line 2: .* only one picture has; got '1\.jpg', as train/angry/1\.jpg"
    ):
        found.of_picture("1.jpg", "a.csv, line 2")


def test_a_still_and_the_frame_of_a_clip_may_be_one_picture() -> None:
    still = rows(["S005_001_00000011"], ["images/S005_001_00000011.png"])
    frame = clip("clips/S005_001", [11], "images/S005_001_000000{number}.png")
    found = partners(still, frame)
    assert found.of_picture("S005_001_00000011.png", "x") == ["S005_001_00000011"]
    assert found.of_picture("S005_001_00000011", "x", frames=True) == ["S005_001_00000011", "clips/S005_001/11"]


def test_a_frame_is_no_picture_of_its_bare_name() -> None:
    found = partners(rows(["0001"]), clip("clips/0007", [0, 1, 2]))
    assert found.of_picture("1.jpg", "x", frames=True) == []
    assert found.of_picture("clips/0007/1.jpg", "x", frames=True) == ["clips/0007/1"]


def test_frames_by_order_and_by_number() -> None:
    found = partners(clip("clips/a", [3, 5, 9]), clip("clips/b", [1, 2, 4]), clip("clips/c", [0, 10]))
    assert found.of_frames("a", [0, 1, 2]) == {0: "clips/a/3", 1: "clips/a/5", 2: "clips/a/9"}
    assert found.of_frames("clips/b", [0, 1, 2, 3]) == {0: "clips/b/1", 1: "clips/b/2", 3: "clips/b/4"}
    assert found.of_frames("c.mp4", range(20)) == {0: "clips/c/0", 10: "clips/c/10"}
    assert found.of_frames("d", [0]) == {}


def test_frames_of_a_video_that_was_not_taken_apart() -> None:
    video = rows(["SN001/1", "SN001/21"], ["Videos/LeftVideoSN001_comp.avi#1", "Videos/LeftVideoSN001_comp.avi#21"])
    assert partners(video).of_frames("LeftVideoSN001_comp", range(30)) == {0: "SN001/1", 20: "SN001/21"}
