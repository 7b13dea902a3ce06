"""insightface's detector, by a made-up stand-in for the package: it was never run itself."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fer_core.errors import ConfigError
from fer_core.faces.detect import DETECTORS

POINTS = np.array([[200.0, 260], [300, 260], [250, 320], [210, 380], [290, 380]], np.float32)


class FaceAnalysis:
    """Has the methods of insightface's class of that name that we call; finds a face where the canvas has blue."""

    def __init__(self, name: str = "buffalo_l", root: str = "~/.insightface", allowed_modules: Any = None) -> None:
        assert (name, allowed_modules) == ("buffalo_l", ["detection"])
        self.root, self.prepared, self.busy = root, False, False
        FaceAnalysis.last = self

    def prepare(self, ctx_id: int, det_thresh: float = 0.5, det_size: tuple[int, int] = (640, 640)) -> None:
        self.prepared = det_size == (640, 640) and ctx_id == 0

    def get(self, img: np.ndarray, max_num: int = 0) -> list[SimpleNamespace]:
        assert self.prepared and not self.busy, "threads take turns"
        self.busy = True
        assert img.shape == (640, 640, 3) and img.dtype == np.uint8 and img.flags.c_contiguous
        found = (img == [255, 0, 0]).all(axis=2).any()  # BGR
        self.busy = False
        box = np.array([164.0, 184, 364, 464], np.float32)
        return [SimpleNamespace(bbox=box, kps=POINTS, det_score=np.float32(0.75))] if found else []


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    package, app = ModuleType("insightface"), ModuleType("insightface.app")
    app.FaceAnalysis = FaceAnalysis  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "insightface", package)
    monkeypatch.setitem(sys.modules, "insightface.app", app)
    (tmp_path / "models/buffalo_l").mkdir(parents=True)
    (tmp_path / "models/buffalo_l/det_10g.onnx").write_bytes(b"made up")
    return tmp_path


def test_faces_in_pixels_of_the_picture(folder: Path) -> None:
    blue = np.zeros((128, 64, 3), np.uint8)
    blue[...] = [0, 0, 255]
    faces, none = DETECTORS["insightface"](folder)([blue, np.full((9, 9, 1), 3, np.uint8)])
    assert len(none) == 0
    # 512 of 640 px are left: four times as large, 64 px off the top, (640 - 256) / 2 = 192 off the left
    assert faces.boxes.tolist() == [[-7.5, 29.5, 42.5, 99.5]]
    assert faces.points.tolist() == [[[1.5, 48.5], [26.5, 48.5], [14, 63.5], [4, 78.5], [24, 78.5]]]
    assert faces.scores.tolist() == [0.75]
    assert faces.boxes.dtype == faces.points.dtype == faces.scores.dtype == np.float64
    assert FaceAnalysis.last.root == str(folder)


def test_threads_take_turns(folder: Path) -> None:
    detector = DETECTORS["insightface"](folder)
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(detector, [[np.zeros((400, 300, 3), np.uint8)] * 3] * 12))) == 12


def test_without_models_it_downloads_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"expects the package's models in .*other/models/buffalo_l; there is no"):
        DETECTORS["insightface"](folder / "other")
    monkeypatch.setenv("HOME", str(folder / "home"))
    with pytest.raises(ConfigError, match=r"home/\.insightface/models/buffalo_l; .*`align\.model` names another"):
        DETECTORS["insightface"](None)


def test_without_the_package_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "insightface", None)
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    with pytest.raises(ConfigError, match=r"needs the package insightface, .*; run `pip install insightface"):
        DETECTORS["insightface"](None)
