"""YuNet: what we make of OpenCV's rows, by a made-up network; and the real one, where FER_YUNET names its file."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import get_ident
from typing import ClassVar

import cv2
import numpy as np
import pytest
from drawn import ODD, Sample, error, find, in_scene, tight

from fer_core.errors import ConfigError
from fer_core.faces.detect import DETECTORS, Detector
from fer_core.faces.yunet import SEARCHES

MODEL = os.environ.get("FER_YUNET", "")
real = pytest.mark.skipif(not Path(MODEL).is_file(), reason="FER_YUNET does not name a YuNet model file")
# x, y, width, height; the person's right eye (viewer's left), left eye, nose, right and left mouth corner; score
ROW = [60.0, 80, 120, 160, 90, 120, 150, 122, 120, 160, 95, 200, 145, 202, 0.91]


class Stub:
    """Says ROW twice about a canvas of the side `only` that holds a blue picture, None about others; checks each."""

    made: ClassVar[list["Stub"]] = []
    only = 320

    def __init__(self, model: str, config: str, size: tuple[int, int], score: float, overlap: float, most: int) -> None:
        self.model, self.size, self.score, self.thread = model, size, score, get_ident()
        assert (config, overlap, most) == ("", 0.3, 5000)
        Stub.made.append(self)

    def detect(self, picture: np.ndarray) -> tuple[int, np.ndarray | None]:
        assert picture.dtype == np.uint8 and picture.flags.c_contiguous
        assert picture.shape == (*self.size, 3)
        assert get_ident() == self.thread, "OpenCV's networks are not for several threads"
        coloured = picture[(picture != 127).any(axis=2)]
        if self.size[0] != self.only or not len(coloured) or coloured[0].tolist() != [255, 0, 0]:  # BGR
            return 1, None
        return 1, np.array([ROW, ROW], np.float32)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    Stub.made, Stub.only = [], 320
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", Stub)
    (tmp_path / "yunet.onnx").write_bytes(b"made up")
    return tmp_path / "yunet.onnx"


def blue(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.array([0, 0, 255], np.uint8), (height, width, 3)).copy()


def test_rows_become_faces_in_pixels_of_the_picture(stub: Path) -> None:
    faces, none = DETECTORS["yunet"](stub)([blue(64, 128), ODD["black"]])
    assert len(none) == 0
    # 256 of 320 px are left: twice as large, 32 px off the left, (320 - 128) / 2 = 96 off the top
    assert faces.boxes.tolist() == [[13.5, -8.5, 73.5, 71.5]] * 2
    expected = [[28.5, 11.5], [58.5, 12.5], [43.5, 31.5], [31, 51.5], [56, 52.5]]
    assert faces.points.tolist() == [expected] * 2, "order kept: the person's right is the viewer's left"
    assert faces.scores.tolist() == pytest.approx([0.91] * 2)
    assert faces.boxes.dtype == faces.points.dtype == faces.scores.dtype == np.float64
    assert {made.model for made in Stub.made} == {str(stub)}


def test_searches_are_tried_until_one_finds_a_face(stub: Path) -> None:
    Stub.only = 640
    (faces,) = DETECTORS["yunet"](stub)([blue(64, 128)])
    assert len(faces) == 2
    assert faces.boxes[0, 0] == (60 - 64) / 4 - 0.5, "in the scale of the last canvas"
    assert [(made.size[0], made.score) for made in Stub.made] == [(s.canvas, s.score) for s in SEARCHES]


def test_every_thread_has_networks_of_its_own(stub: Path) -> None:
    detector = DETECTORS["yunet"](stub)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(detector, [[blue(64, 128), blue(100, 90)]] * 12))
    assert all(len(faces) == 2 for batch in found for faces in batch)
    assert len(Stub.made) <= 4, "and makes them once"


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", b"\0" * 999]
)
def test_a_file_that_is_no_network_is_refused(
    content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(
        ConfigError, match=rf"model\.onnx, {len(content)} bytes, is not a YuNet .* opencv_zoo .* Git LFS"
    ):
        DETECTORS["yunet"](path)
    assert capfd.readouterr() == ("", ""), "OpenCV adds nothing"


def test_without_a_file_the_sentence_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"needs its network's file as `align.model`. The file is face_detection_yunet"
    ):
        DETECTORS["yunet"](None)
    with pytest.raises(ConfigError, match=r"there is no file .*absent\.onnx\. The file is .*opencv_zoo"):
        DETECTORS["yunet"](tmp_path / "absent.onnx")
    with pytest.raises(ConfigError, match="there is no file"):
        DETECTORS["yunet"](tmp_path)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return DETECTORS["yunet"](Path(MODEL))


@real
@pytest.mark.parametrize(
    ("change", "share", "most"), [(lambda sample: sample, 0.97, 0.2), (tight, 0.9, 0.22), (in_scene, 0.9, 0.2)]
)
def test_the_real_network_finds_the_points(
    change: Callable[[Sample], Sample], share: float, most: float, samples: list[Sample], detector: Detector
) -> None:
    changed = [change(sample) for sample in samples]
    pairs = [(find(detector, picture), points) for picture, points in changed]
    errors = [error(face, points) for face, points in pairs if face]
    assert len(errors) >= share * len(samples)
    assert np.median(errors) < most
    for face, _ in pairs:
        if face:
            five = face.points[0]
            assert five[0, 0] < five[1, 0] and five[3, 0] < five[4, 0], "viewer's left first"


@real
def test_the_real_network_follows_a_mirrored_picture(samples: list[Sample], detector: Detector) -> None:
    apart = []
    for picture, points in samples[:20]:
        face, other = find(detector, picture), find(detector, picture[:, ::-1])
        if face and other:
            back = (np.array([picture.shape[1] - 1, 0]) + other.points[0] * [-1, 1])[[1, 0, 2, 4, 3]]
            apart.append((back - face.points[0]) / np.linalg.norm(points[1] - points[0]))
    assert len(apart) >= 18
    assert np.abs(np.median(apart, axis=(0, 1))).max() < 0.05


@real
def test_the_real_network_finds_no_face_where_none_is_and_threads_agree(
    samples: list[Sample], detector: Detector
) -> None:
    assert [len(faces) for faces in detector(list(ODD.values()))] == [0] * len(ODD)
    pictures = [picture for picture, _ in samples[:12]]
    expected = detector(pictures)
    with ThreadPoolExecutor(3) as pool:
        again = list(pool.map(lambda picture: detector([picture])[0], pictures))
    for one, two in zip(expected, again, strict=True):
        np.testing.assert_array_equal(one.points, two.points)
