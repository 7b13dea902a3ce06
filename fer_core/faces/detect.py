"""Find the faces and their five points in pictures that nobody prepared.

A detector takes a list of pictures and returns the faces of each; `DETECTORS` has one row per name in params.yaml
(`align.detector`) that builds it. A picture's faces do not depend on the pictures beside it, beyond the rounding of
floating-point numbers. Every detector may be called from several threads at once; on a CPU that is quickest, one
thread per core, each with a batch, PyTorch and OpenCV kept to one thread in each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_core.faces.boxes import iou

BATCH = 32  # pictures that a detector takes at once with profit; more only cost memory
FITS_BOX = 0.3  # IoU from which on a face is the annotated one: detectors draw tight boxes, annotators often wide ones
FITS_POINTS = 0.5  # mean distance of the five points, in annotated eye distances, up to which it is


@dataclass(frozen=True)
class Faces:
    """All faces of one picture, in no particular order; F may be 0.

    Attributes:
        boxes: float64 `(F, 4)`, left, top, right, bottom in pixels of the picture; the centre of the first pixel is
            (0, 0). May reach a little outside.
        scores: float64 `(F,)`, how sure the detector is, in 0..1.
        points: float64 `(F, 5, 2)`, x and y in the same pixels: left eye, right eye, nose tip, left and right mouth
            corner, viewer's left first. May lie a little outside.
    """

    boxes: np.ndarray
    scores: np.ndarray
    points: np.ndarray

    def __len__(self) -> int:
        """Return how many faces there are."""
        return len(self.boxes)


Detector = Callable[[Sequence[np.ndarray]], list[Faces]]  # of uint8 (H, W, C), C = 1 grey or 3 RGB, each its own size


def mtcnn(model: Path | None = None) -> Detector:
    """Return MTCNN, on the GPU where there is one; see `fer_core.faces.mtcnn`.

    Args:
        model: not used; the weights come with the package.

    Raises:
        ConfigError: facenet-pytorch is not installed.
    """
    from fer_core.faces.mtcnn import load  # noqa: PLC0415  PyTorch takes a second, and only this detector needs it

    return load().faces


def yunet(model: Path | None) -> Detector:
    """Return OpenCV's YuNet; see `fer_core.faces.yunet`.

    Args:
        model: the network's ONNX file.

    Raises:
        ConfigError: there is no file, or OpenCV cannot read it.
    """
    from fer_core.faces.yunet import load  # noqa: PLC0415  as above

    return load(model)


def insightface(model: Path | None = None) -> Detector:
    """Return the detector of the package insightface; see `fer_core.faces.insightface`.

    Args:
        model: the folder that holds `models/buffalo_l`; None: the package's own, `~/.insightface`.

    Raises:
        ConfigError: insightface is not installed, or the folder does not hold its models.
    """
    from fer_core.faces.insightface import load  # noqa: PLC0415  as above

    return load(model)


DETECTORS: dict[str, Callable[[Path | None], Detector]] = {"mtcnn": mtcnn, "yunet": yunet, "insightface": insightface}


def no_faces() -> Faces:
    """Return the faces of a picture that has none."""
    return Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))


def central(faces: Faces, height: int, width: int) -> int:
    """Return which of several faces the picture is of: a large one near the middle.

    Each box counts with its area times (1 - d / D): d is how far its centre lies from the picture's, D half the
    picture's diagonal. So a face in a corner must be several times as large as one in the middle to be taken.

    Args:
        faces: one at least.
        height: of the picture, in pixels.
        width: of the picture.

    Example:
        >>> boxes = np.array([[0, 0, 24, 24], [40, 40, 60, 60]])
        >>> central(Faces(boxes, np.ones(2), np.zeros((2, 5, 2))), 100, 100)
        1
    """
    boxes = faces.boxes
    middle = np.array([width - 1, height - 1]) / 2
    sides = boxes[:, 2:] - boxes[:, :2]
    off = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - middle, axis=1)
    return int(np.argmax(sides.prod(axis=1) * np.clip(1 - off / (np.hypot(width, height) / 2), 0, 1)))


def nearest(faces: Faces, annotation: np.ndarray) -> int | None:
    """Return which of several faces is the annotated one.

    Args:
        faces: any number.
        annotation: a box `(4,)` or five points `(5, 2)` in the pixels, and in the order, of `Faces`.

    Returns:
        With a box, the face whose box has the largest IoU with it, at least `FITS_BOX`. With points, the face whose
        five points lie closest on average, at most `FITS_POINTS` annotated eye distances off. None where none fits.

    Raises:
        ValueError: `annotation` has another shape.

    Example:
        >>> boxes = np.array([[0, 0, 24, 24], [40, 40, 60, 60]])
        >>> nearest(Faces(boxes, np.ones(2), np.zeros((2, 5, 2))), np.array([38, 40, 60, 64]))
        1
    """
    known = np.asarray(annotation, np.float64)
    if known.shape not in ((4,), (5, 2)):
        raise ValueError(f"Expected an annotation of shape (4,) or (5, 2); got {known.shape}.")
    if not len(faces):
        return None
    if known.shape == (4,):
        fit = iou(faces.boxes, known)
        best = int(np.argmax(fit))
        return best if fit[best] >= FITS_BOX else None
    off = np.linalg.norm(faces.points - known, axis=2).mean(axis=1)
    best = int(np.argmin(off))
    return best if off[best] <= FITS_POINTS * np.linalg.norm(known[1] - known[0]) else None
