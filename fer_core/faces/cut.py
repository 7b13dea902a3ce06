"""Cut the crop out of one decoded picture: whole, by annotated landmarks, or by those that a detector finds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fer_core.faces.detect import Detector
from fer_core.faces.pixels import resize, resize_matrix, warp
from fer_core.faces.similarity import apply, similarity, template

NO_LANDMARKS, NO_FACE = "no usable landmarks", "no face found"


@dataclass(frozen=True)
class Cut:
    """One crop.

    Attributes:
        crop: uint8 `(size, size, C)`.
        landmarks: `(5, 2)`, x and y in pixels of the crop; NaN where unknown.
        score: the detector's, in 0..1; NaN where none ran.
    """

    crop: np.ndarray
    landmarks: np.ndarray
    score: float = np.nan


Cutter = Callable[
    [int, np.ndarray], Cut | str
]  # row of the manifest, uint8 (H, W, C) -> the crop, or why there is none


def whole(points: np.ndarray, size: int) -> Cutter:
    """Return a cutter that resizes whole pictures; `points` are annotated landmarks `(N, 5, 2)`, NaN where unknown."""

    def cut(row: int, picture: np.ndarray) -> Cut | str:
        matrix = resize_matrix(picture.shape[0], picture.shape[1], size)
        return Cut(resize(picture, size), apply(matrix[None], points[row][None])[0])

    return cut


def annotated(points: np.ndarray, size: int, zoom: float) -> Cutter:
    """Return a cutter that brings annotated landmarks `(N, 5, 2)` onto the template."""
    target = template(size, zoom)

    def cut(row: int, picture: np.ndarray) -> Cut | str:
        return _onto(target, size, picture, points[row]) or NO_LANDMARKS

    return cut


def detected(detector: Detector, size: int, zoom: float) -> Cutter:
    """Return a cutter that brings the points that `detector` finds onto the template; annotated ones are not seen."""
    target = template(size, zoom)

    def cut(row: int, picture: np.ndarray) -> Cut | str:
        face = detector(picture)
        return (_onto(target, size, picture, face.points, face.score) if face else None) or NO_FACE

    return cut


def _onto(target: np.ndarray, size: int, picture: np.ndarray, points: np.ndarray, score: float = np.nan) -> Cut | None:
    matrix = similarity(points[None], target)
    if not np.isfinite(matrix).all():
        return None
    return Cut(warp(picture, matrix[0], size), apply(matrix, points[None])[0], score)
