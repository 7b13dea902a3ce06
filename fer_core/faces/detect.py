"""Find the face and its five points in a picture that comes without annotated ones.

A detector is a callable `picture -> Face | None`; `DETECTORS` has one row per name in params.yaml (`align.detector`)
that builds it. Each picture is searched on its own, so its points do not depend on the pictures beside it; callers
may search several pictures at once from threads.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Face:
    """One face.

    Attributes:
        points: float64 `(5, 2)`, x and y in pixels of the picture, the centre of the first pixel is (0, 0): left eye,
            right eye, nose tip, left and right mouth corner, viewer's left first. May lie a little outside.
        box: float64 `(4,)`, left, top, right, bottom in the same pixels.
        score: how sure the detector is, in 0..1.
    """

    points: np.ndarray
    box: np.ndarray
    score: float


Detector = Callable[[np.ndarray], Face | None]


def mtcnn(device: str | None = None) -> Detector:
    """Return MTCNN as a detector.

    Args:
        device: where to compute; None is the GPU where there is one, else the CPU.

    Returns:
        A callable that takes uint8 `(H, W, C)`, C = 1 grey or 3 RGB, of any size, and returns the face that
        `choose` prefers, or None where there is none.

    Raises:
        ConfigError: facenet-pytorch is not installed.
    """
    from fer_core.faces.mtcnn import load  # noqa: PLC0415  PyTorch takes a second, and only a detector needs it

    network = load(device)

    def detect(picture: np.ndarray) -> Face | None:
        boxes, scores, points = network.faces(picture)
        if not len(boxes):
            return None
        best = choose(boxes, picture.shape[0], picture.shape[1])
        return Face(points[best], boxes[best], float(scores[best]))

    return detect


DETECTORS: dict[str, Callable[[], Detector]] = {"mtcnn": mtcnn}


def choose(boxes: np.ndarray, height: int, width: int) -> int:
    """Return which of several faces the picture is of: a large one near the middle.

    Each box counts with its area times (1 - d / D): d is how far its centre lies from the picture's, D half the
    picture's diagonal. So a face in a corner must be several times as large as one in the middle to be taken.

    Args:
        boxes: `(F, 4)`, left, top, right, bottom in pixels; F >= 1.
        height: of the picture.
        width: of the picture.

    Example:
        >>> choose(np.array([[0, 0, 24, 24], [40, 40, 60, 60]]), 100, 100)
        1
    """
    middle = np.array([width - 1, height - 1]) / 2
    sides = boxes[:, 2:] - boxes[:, :2]
    off = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - middle, axis=1)
    return int(np.argmax(sides.prod(axis=1) * np.clip(1 - off / (np.hypot(width, height) / 2), 0, 1)))
