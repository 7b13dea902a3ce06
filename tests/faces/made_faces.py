"""Made-up pictures with faces that a made-up detector finds: white rectangles, each with its five points."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd

from fer_core.faces.detect import Faces
from fer_core.manifest import empty_columns

# of a face in its box, as shares of width and height
PLACES = np.array([[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.35, 0.8], [0.65, 0.8]])


def encode(picture: np.ndarray, ending: str = ".png") -> bytes:
    return cv2.imencode(ending, picture[..., ::-1] if picture.ndim == 3 else picture)[1].tobytes()


def points_in(box: Sequence[float]) -> np.ndarray:
    left, top, right, bottom = box
    return np.array([left, top]) + PLACES * np.array([right - left, bottom - top])


def scene(*boxes: tuple[int, int, int, int], height: int = 120, width: int = 160) -> np.ndarray:
    """Return a picture of noise below 100 with white boxes (left, top, right, bottom, the last pixel included)."""
    picture = np.random.default_rng(len(boxes)).integers(0, 100, (height, width, 3), np.uint8)
    for left, top, right, bottom in boxes:
        picture[top : bottom + 1, left : right + 1] = 255
    return picture


class White:
    """Finds white rectangles from 100 pixels on; remembers how many pictures each call had."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, pictures: Sequence[np.ndarray]) -> list[Faces]:
        self.calls.append(len(pictures))
        return [self._faces(picture) for picture in pictures]

    def _faces(self, picture: np.ndarray) -> Faces:
        white = (picture.min(axis=2) > 240).astype(np.uint8)
        _, _, found, _ = cv2.connectedComponentsWithStats(white, connectivity=4)
        boxes = np.array([[x, y, x + w - 1, y + h - 1] for x, y, w, h, area in found[1:] if area >= 100], float)
        boxes = boxes.reshape(-1, 4)
        points = np.array([points_in(box) for box in boxes]).reshape(-1, 5, 2)
        return Faces(boxes, np.linspace(0.9, 0.5, len(boxes)), points)


def manifest(count: int, **changes: list[object]) -> pd.DataFrame:
    table = pd.DataFrame(empty_columns("ingest", count))
    table["sample_id"] = [f"{k:04d}" for k in range(count)]
    table["source"], table["picture"], table["split"] = "made up", "x.jpg", "pool"
    for name, values in changes.items():
        table[name] = pd.Series(values, dtype=object)
    return table


def batches(pictures: Sequence[bytes | None], each: int = 2) -> list[list[tuple[str, bytes | None]]]:
    named = [(f"{k:04d}", data) for k, data in enumerate(pictures)]
    return [named[k : k + each] for k in range(0, len(named), each)]
