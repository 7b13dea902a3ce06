"""Cut crops out of encoded pictures, a few at a time: decode, find the face, warp. Stage and predictions share it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fer_core.errors import ConfigError
from fer_core.faces.alignment import RESIZED, Alignment
from fer_core.faces.config import ANNOTATED, BOX, FITTING, WHOLE
from fer_core.faces.detect import BATCH, Detector, Faces, central, nearest
from fer_core.faces.pixels import Picture, read_picture, resize, resize_matrix, warp
from fer_core.faces.quality import sharpness
from fer_core.faces.reasons import EMPTY, NO_BOX, NO_FACE, NO_LANDMARKS, NO_MATCH, NO_SPAN
from fer_core.faces.similarity import apply, similarity
from fer_core.faces.turning import moved_box, moved_points

__all__ = ["NO_BOX", "NO_FACE", "NO_LANDMARKS", "NO_MATCH", "Cut", "Cutter", "Item"]

PIXELS = 2**24  # decoded at once for a detector, unless one picture alone has more
_NO_POINTS, _NO_BOX = np.full((5, 2), np.nan), np.full(4, np.nan)


def _unknown() -> np.ndarray:
    return _NO_POINTS


@dataclass(frozen=True)
class Item:
    """One picture to cut.

    Attributes:
        data: the encoded picture, None where there is none.
        points: annotated landmarks `(5, 2)` in pixels of the picture as stored, None where unknown.
        box: the annotated box `(4,)` in the same pixels, None where unknown.
    """

    data: bytes | None
    points: np.ndarray | None = None
    box: np.ndarray | None = None


@dataclass(frozen=True)
class Cut:
    """One picture after cutting.

    Attributes:
        crop: uint8 `(size, size, C)`, or the reason why there is none.
        landmarks: `(5, 2)`, x and y in pixels of the crop; NaN where unknown.
        points: the same in pixels of the decoded picture.
        score: the detector's, in 0..1; NaN where none ran or it found nothing.
        faces: that it found; -1 where none ran.
        height: of the decoded picture; -1 where it did not decode.
        width: the same.
        sharpness: see `fer_core.faces.quality`; NaN where there is no crop.
    """

    crop: np.ndarray | str
    landmarks: np.ndarray = field(default_factory=_unknown)
    points: np.ndarray = field(default_factory=_unknown)
    score: float = np.nan
    faces: int = -1
    height: int = -1
    width: int = -1
    sharpness: float = np.nan


@dataclass(frozen=True)
class _Face:
    """The face to cut, in pixels of the decoded picture; NaN where unknown."""

    points: np.ndarray
    box: np.ndarray
    score: float = np.nan
    faces: int = -1


class Cutter:
    """Cuts by one alignment; may be called from several threads at once.

    Raises:
        ConfigError: the alignment's detector was not given.
    """

    def __init__(self, alignment: Alignment, detector: Detector | None = None) -> None:
        if detector is None and alignment.detector not in (ANNOTATED, WHOLE):
            raise ConfigError(f"Expected the detector {alignment.detector} to be loaded; it is not.")
        self._how = alignment
        self._detector = detector if alignment.detector not in (ANNOTATED, WHOLE) else None
        self._target = None if alignment.points is None else np.array(alignment.points)

    def __call__(self, items: Sequence[Item]) -> list[Cut]:
        """Return one `Cut` per item, in order."""
        if self._detector is None:
            return [self._annotated(item) for item in items]
        cuts: list[Cut | None] = [None] * len(items)
        waiting: list[tuple[int, Picture]] = []
        for row, item in enumerate(items):
            picture = self._decoded(item)
            if isinstance(picture, str):
                cuts[row] = Cut(picture)
                continue
            waiting.append((row, picture))
            pixels = sum(one.pixels.shape[0] * one.pixels.shape[1] for _, one in waiting)
            if pixels >= PIXELS or len(waiting) == BATCH:
                self._detected(items, waiting, cuts)
                waiting = []
        self._detected(items, waiting, cuts)
        return [cut for cut in cuts if cut is not None]

    def _decoded(self, item: Item) -> Picture | str:
        return read_picture(item.data, self._how.grey) if item.data else EMPTY

    def _annotated(self, item: Item) -> Cut:
        picture = self._decoded(item)
        return Cut(picture) if isinstance(picture, str) else self._cut(picture, _annotation(item, picture))

    def _detected(self, items: Sequence[Item], waiting: Sequence[tuple[int, Picture]], cuts: list[Cut | None]) -> None:
        if not waiting or self._detector is None:
            return
        found = self._detector([picture.pixels for _, picture in waiting])
        for (row, picture), faces in zip(waiting, found, strict=True):
            height, width = picture.pixels.shape[:2]
            chosen = self._chosen(faces, items[row], picture)
            if isinstance(chosen, str):
                cuts[row] = Cut(chosen, faces=len(faces), height=height, width=width)
                continue
            face = _Face(faces.points[chosen], faces.boxes[chosen], float(faces.scores[chosen]), len(faces))
            cuts[row] = self._cut(picture, face)

    def _chosen(self, faces: Faces, item: Item, picture: Picture) -> int | str:
        """Return which face is cut, or why none is."""
        if not len(faces):
            return NO_FACE
        if self._how.face == FITTING:
            known = _annotation(item, picture)
            for annotation in (known.points, known.box):
                if np.isfinite(annotation).all():
                    fits = nearest(faces, annotation)
                    return NO_MATCH if fits is None else fits
        return central(faces, *picture.pixels.shape[:2])

    def _cut(self, picture: Picture, face: _Face) -> Cut:
        height, width = picture.pixels.shape[:2]
        known = {"score": face.score, "faces": face.faces, "height": height, "width": width, "points": face.points}
        size = self._how.size
        if self._how.crop == RESIZED:
            matrix, crop = resize_matrix(height, width, size), resize(picture.pixels, size)
        else:
            if self._target is None:
                matrix = around(face.box, size, self._how.margin)
            else:
                matrix = similarity(face.points[None], self._target)[0]
            if not np.isfinite(matrix).all():
                return Cut(self._why_not(), **known)
            crop = warp(picture.pixels, matrix, size)
        landmarks = apply(matrix[None], face.points[None])[0]
        return Cut(crop, landmarks, sharpness=sharpness(crop), **known)

    def _why_not(self) -> str:
        if self._how.crop == BOX:
            return NO_BOX
        return NO_LANDMARKS if self._detector is None else NO_SPAN


def around(box: np.ndarray, size: int, margin: float) -> np.ndarray:
    """Return the transform of a picture to a square crop around a box, not turned.

    Args:
        box: `(4,)`, left, top, right, bottom in pixels whose centres are whole numbers.
        size: side of the crop in pixels.
        margin: on each side, as share of the longer side of the box.

    Returns:
        `(2, 3)`; NaN where the box has no area or is not known.

    Example:
        >>> around(np.array([10, 20, 30, 40]), 24, 0.1).round(6).tolist()
        [[1.0, 0.0, -8.5], [0.0, 1.0, -18.5]]
    """
    sides = box[2:] - box[:2]
    if not (np.isfinite(box).all() and sides.min() > 0):
        return np.full((2, 3), np.nan)
    scale = size / (sides.max() * (1 + 2 * margin))
    x, y = (size - 1) / 2 - scale * (box[:2] + box[2:]) / 2
    return np.array([[scale, 0, x], [0, scale, y]])


def _annotation(item: Item, picture: Picture) -> _Face:
    """Return the annotated face in pixels of the decoded picture."""
    points = _NO_POINTS if item.points is None else item.points
    box = _NO_BOX if item.box is None else item.box
    if picture.matrix is not None:
        points, box = moved_points(points, picture.matrix, picture.mirrored), moved_box(box, picture.matrix)
    return _Face(points, box)
