from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from made_up_sets import jpeg, write, write_rafce

from fer_core.datasets import disfa
from fer_core.datasets.classes import Rule, to_common
from fer_core.datasets.dataset import NO_PICTURE, Published, card
from fer_core.datasets.disfa import INFO, read
from fer_core.datasets.ingest import Reading, ingest, read_dataset
from fer_core.errors import ConfigError, DataError
from fer_core.labels import FER2013, RAFCE, LabelSet
from fer_core.manifest import read_manifest, validate

AUS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
SIZE = (64, 48)
TWO = {"happy": RAFCE.classes[:2], "other": RAFCE.classes[2:]}  # classes of one's own


def write_labels(folder: Path, person: str, frames: int) -> None:
    place = folder / "ActionUnit_Labels" / person
    place.mkdir(parents=True)
    for au in AUS:
        write(place / f"{person}_au{au}.txt", [f"{k},{(k + au) % 6}" for k in range(1, frames + 1)])


def write_video(path: Path, values: list[int]) -> Path:
    """Write one frame of an even grey a value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, SIZE)
    assert writer.isOpened()
    for value in values:
        writer.write(np.full((SIZE[1], SIZE[0], 3), value, np.uint8))
    writer.release()
    return path


def write_frames(folder: Path, person: str, numbers: list[int], pattern: str = "{:04d}.jpg") -> Path:
    place = folder / "Images" / person
    place.mkdir(parents=True)
    for number in numbers:
        (place / pattern.format(number)).write_bytes(jpeg(number))
    return place


def grey(data: bytes | None) -> int:
    assert data is not None
    return round(float(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).mean()))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two people with videos of both cameras; frame k of SN001's left one is grey 10 k, of SN002's 200 - 10 k."""
    folder = tmp_path / "disfa"
    for person in ("SN001", "SN002"):
        write_labels(folder, person, 12)
    write_video(folder / "Videos_LeftCamera/LeftVideoSN001_comp.avi", [10 * k for k in range(1, 13)])
    write_video(folder / "Videos_LeftCamera/leftVideoSN002_Comp.avi", [200 - 10 * k for k in range(1, 13)])
    write_video(folder / "Video_RightCamera/RightVideoSN001_comp.avi", [255 - 10 * k for k in range(1, 13)])
    return folder


def test_frames_of_videos(videos: Path) -> None:
    data = read(videos, {"every": 5})
    rows = data.rows
    assert rows["sample_id"].tolist() == [f"{p}/{k}" for p in ("SN001", "SN002") for k in (1, 6, 11)]
    assert rows["subject"].tolist() == ["SN001"] * 3 + ["SN002"] * 3
    assert rows["split"].eq("pool").all() and rows["emotion"].isna().all() and rows["drop_reason"].isna().all()
    assert rows["picture"][1] == "Videos_LeftCamera/LeftVideoSN001_comp.avi#6"
    assert data.labels == LabelSet(()) and data.aus and data.intensities
    got = list(data.pictures(rows))
    assert [sample for sample, _ in got] == rows["sample_id"].tolist()
    np.testing.assert_allclose([grey(picture) for _, picture in got], [10, 60, 110, 190, 140, 90], atol=3)
    assert got[0][1][:2] == b"\xff\xd8", "a JPEG"
    assert "1 of 5 frames is taken" in data.notes
    validate(rows.assign(source="disfa"), "ingest")


def test_every_and_camera(videos: Path) -> None:
    assert read(videos, {}).rows["sample_id"].tolist() == ["SN001/1", "SN002/1"], "one of 20"
    assert len(read(videos, {"every": 1}).rows) == 24
    right = read(videos, {"every": 5, "camera": "right"})
    assert right.rows["picture"][0] == "Video_RightCamera/RightVideoSN001_comp.avi#1"
    assert right.rows["drop_reason"].fillna("").tolist() == [""] * 3 + [NO_PICTURE] * 3, "SN002 has no right video"
    got = dict(right.pictures(right.rows))
    assert abs(grey(got["SN001/6"]) - 195) <= 3 and got["SN002/6"] is None


def test_some_rows_are_read_in_one_pass_that_ends_with_the_last(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    grabbed: list[bool] = []

    real = cv2.VideoCapture

    class Counted:
        def __init__(self, path: str) -> None:
            opened.append(Path(path).name)
            self.own = real(path)

        def grab(self) -> bool:
            grabbed.append(True)
            return self.own.grab()

        def __getattr__(self, name: str) -> object:
            assert name in ("retrieve", "release"), "nothing seeks"
            return getattr(self.own, name)

    data = read(videos, {"every": 1})
    monkeypatch.setattr(disfa.cv2, "VideoCapture", Counted)
    some = data.rows[data.rows["sample_id"].isin(["SN001/2", "SN001/4", "SN001/7"])]
    assert [grey(p) // 10 for _, p in data.pictures(some)] == pytest.approx([2, 4, 7], abs=1)
    assert opened == ["LeftVideoSN001_comp.avi"] and len(grabbed) == 7
    # in any other order they are right too
    np.testing.assert_allclose([grey(p) for _, p in data.pictures(some.iloc[::-1])], [70, 40, 20], atol=3)


def test_a_video_that_is_shorter_than_its_labels_or_broken(videos: Path) -> None:
    write_video(videos / "Videos_LeftCamera/LeftVideoSN001_comp.avi", [50] * 6)
    (videos / "Videos_LeftCamera/leftVideoSN002_Comp.avi").write_bytes(b"no video")
    data = read(videos, {"every": 5})
    got = dict(data.pictures(data.rows))
    assert [sample for sample, picture in got.items() if picture] == ["SN001/1", "SN001/6"]


def test_frames_that_were_taken_out_are_preferred(videos: Path) -> None:
    place = write_frames(videos, "SN001", [1, 2, 3, 6, 7, 12, 16])
    (place / "._0001.jpg").write_bytes(b"\0")
    data = read(videos, {"every": 5})
    assert data.rows["sample_id"].tolist()[:3] == ["SN001/1", "SN001/6", "SN001/16"]
    assert data.rows["picture"][1] == "Images/SN001/0006.jpg"
    got = dict(data.pictures(data.rows))
    assert got["SN001/6"] == jpeg(6) and abs(grey(got["SN002/6"]) - 140) <= 3
    assert "1 frames have no line in ActionUnit_Labels/" in data.notes, "16"
    assert "1 frames of ActionUnit_Labels/ have no picture among those of their subject" in data.notes, "11"


@pytest.mark.parametrize(
    ("folder", "pattern"),
    [
        ("SN001", "{}.png"),
        ("SN001", "SN001_{:05d}.jpg"),
        ("LeftVideoSN001", "{:05d}.jpg"),
        ("LeftVideoSN001_comp", "LeftVideoSN001_comp_{:04d}.png"),
    ],
)
def test_names_of_frames_that_were_taken_out(tmp_path: Path, folder: str, pattern: str) -> None:
    write_frames(tmp_path, folder, [1, 2, 10], pattern)
    write_frames(tmp_path, "RightVideoSN001", [1, 2, 3, 4])
    data = read(tmp_path, {"every": 1})
    assert data.rows["sample_id"].tolist() == ["SN001/1", "SN001/2", "SN001/10"]
    assert not data.aus, "without label files there are no AUs"
    assert "3 frames have no line in ActionUnit_Labels/" in data.notes


def test_frames_of_unlike_numbers(tmp_path: Path) -> None:
    place = write_frames(tmp_path, "SN001", [20, 40])
    with pytest.raises(DataError, match=r"2 pictures, but none of the frames 1, 21, 41 .*set it to 1"):
        read(tmp_path, {})
    assert len(read(tmp_path, {"every": 1}).rows) == 2
    (place / "20.jpg").write_bytes(jpeg(0))
    with pytest.raises(DataError, match=r"frame 20 twice: 0020.jpg and 20.jpg"):
        read(tmp_path, {})
    (place / "20.jpg").rename(place / "0.jpg")
    with pytest.raises(DataError, match=r"from 1 as in ActionUnit_Labels; got '0.jpg'"):
        read(tmp_path, {})
    (place / "0.jpg").rename(place / "face.jpg")
    with pytest.raises(DataError, match=r"got 'face.jpg'"):
        read(tmp_path, {})


def test_two_folders_of_one_person(tmp_path: Path) -> None:
    write_frames(tmp_path, "SN001", [1])
    write_frames(tmp_path, "LeftVideoSN001", [1])
    with pytest.raises(DataError, match="one folder with the frames of SN001"):
        read(tmp_path, {})
    assert len(read(tmp_path, {"camera": "right"}).rows) == 1


def test_labels_without_videos_and_a_video_without_labels(tmp_path: Path) -> None:
    write_labels(tmp_path, "SN003", 41)
    write_video(tmp_path / "Videos_LeftCamera/LeftVideoSN004_comp.avi", [10] * 22)
    data = read(tmp_path, {})
    assert data.rows["sample_id"].tolist() == ["SN003/1", "SN003/21", "SN003/41", "SN004/1", "SN004/21"]
    assert data.rows["drop_reason"].fillna("").tolist() == [NO_PICTURE] * 3 + ["", ""]
    assert "2 frames have no line in ActionUnit_Labels/" in data.notes
    assert [picture is None for _, picture in data.pictures(data.rows)] == [True] * 3 + [False] * 2


def test_byte_order_mark_windows_line_ends_and_blank_lines(videos: Path) -> None:
    plain = read(videos, {"every": 5}).rows
    path = videos / "ActionUnit_Labels/SN001/SN001_au1.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "".join(f"{k}, 0 \r\n\r\n" for k in range(1, 13)).encode())
    pd.testing.assert_frame_equal(read(videos, {"every": 5}).rows, plain)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["1,0", "2,0", "1,3"], "SN001_au1.txt, line 3: frame 1 stands already in line 1"),
        (["1,0", "2 0"], "SN001_au1.txt, line 2: expected a frame from 1, a comma and an intensity; got '2 0'"),
        (["0,0"], "line 1"),
        (["x,0"], "line 1"),
        ([""], "is empty"),
    ],
)
def test_faulty_labels(videos: Path, lines: list[str], expected: str) -> None:
    write(videos / "ActionUnit_Labels/SN001/SN001_au1.txt", lines)
    with pytest.raises(DataError, match=expected):
        read(videos, {})


def test_another_data_set_and_none(tmp_path: Path) -> None:
    write_rafce(tmp_path / "rafce")
    with pytest.raises(DataError, match=r"no ActionUnit_Labels/SN001/SN001_au1.txt and no frames.*Videos_LeftCamera/"):
        read(tmp_path / "rafce", {})
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none", {})


def test_links_in_a_circle_and_hidden_files(videos: Path) -> None:
    plain = read(videos, {"every": 1}).rows
    (videos / "ActionUnit_Labels/SN009").symlink_to(videos / "ActionUnit_Labels", target_is_directory=True)
    (videos / "Frames").symlink_to(videos, target_is_directory=True)
    (videos / "Videos_LeftCamera/._LeftVideoSN007_comp.avi").write_bytes(b"\0")
    (videos / "ActionUnit_Labels/SN001/._SN001_au1.txt").write_bytes(b"\0")
    pd.testing.assert_frame_equal(read(videos, {"every": 1}).rows, plain)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        *(({"every": wrong}, "every") for wrong in (0, True, 1.5, "20")),
        ({"camera": "both"}, "camera"),
        ({"each": 3}, "each"),
    ],
)
def test_options_are_checked(videos: Path, options: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        read(videos, options)


def test_the_marks_know_it(videos: Path) -> None:
    assert all(any(videos.glob(mark)) for mark in INFO.marks)


@pytest.mark.parametrize("data", ["rafce+disfa", "disfa+rafce"])
@pytest.mark.parametrize("classes", ["own", "compound", TWO])
def test_joined_to_a_set_that_has_emotions(videos: Path, tmp_path: Path, data: str, classes: Rule) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    videos.rename(folder / "disfa")
    rafce = write_rafce(folder / "rafce")
    generator = np.random.default_rng(0)
    for path in (rafce / "original").iterdir():
        path.write_bytes(cv2.imencode(".png", generator.integers(0, 256, (32, 32), np.uint8))[1].tobytes())
    reading = Reading(classes=classes, sets={"disfa": {"every": 5}})
    ingest(data, folder, tmp_path / "out", reading)
    manifest = read_manifest(tmp_path / "out/manifest.parquet")
    pool = manifest[manifest["split"] == "pool"]
    assert pool["sample_id"].tolist() == [f"disfa/{p}/{k}" for p in ("SN001", "SN002") for k in (1, 6, 11)]
    assert pool["subject"].unique().tolist() == ["disfa/SN001", "disfa/SN002"]
    told = card(read_dataset(data, folder, reading), data)
    assert told["pool"] == 6 and told["identities"] and told["aus"]
    assert told["classes"] == (list(classes) if isinstance(classes, dict) else list(RAFCE.classes))


def test_alone_it_cannot_be_learnt_from(videos: Path) -> None:
    with pytest.raises(DataError, match=r"DISFA has no emotion labels.*join it"):
        read_dataset("disfa", videos, Reading())


def test_sets_of_different_classes_are_still_refused(videos: Path) -> None:
    alone = read(videos, {})
    parts = [(title, Published(alone.rows, alone.pictures, labels)) for title, labels in (("A", RAFCE), ("B", FER2013))]
    with pytest.raises(ConfigError, match="A and B have different classes"):
        to_common([("DISFA", alone), *parts], "own")
