"""YuNet: one small network that finds faces and five points in each, run by OpenCV from a local model file.

Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023. The network is not
part of OpenCV; `WHERE` says where its file lies.

Every picture is scaled, up or down, into a square with an empty border, as for MTCNN: the network finds faces of
about 10 to 300 px. `SEARCHES` are tried in turn until one finds a face. Share of generated faces found by the first,
by two, by all three, with the network yunet_n of its authors' training repository (SHA-256 25a606a1...; three exports
of it, for 320 px, 640 px and any size, gave the same figures):
    547 pictures, 120-160 px on the longer side      100    100    100  %
    the same as tight grey crops of 48 px             95.1   99.6   99.6 %
    a third of them in a picture four times as wide   96.7   97.3  100   %
    100 pictures of noise                              0      0      0   %
Points were 0.15 to 0.17 eye distances (median) from the annotated ones. MTCNN on the same: 99.8, 90.1 and 98.4 %, and
0.10 to 0.11.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import ConfigError
from fer_core.faces.canvas import place
from fer_core.faces.detect import Detector, Faces, no_faces

WHERE = (
    "The file is face_detection_yunet_2023mar.onnx, in the folder models/face_detection_yunet of OpenCV's model "
    "collection opencv_zoo on GitHub"
)
_OVERLAP = 0.3  # IoU from which on two boxes are one face, as in OpenCV's examples
_MOST = 5000  # candidates before that, likewise


@dataclass(frozen=True)
class Search:
    """One way to look for faces.

    Attributes:
        canvas: side in pixels of the square that every picture is scaled into; a multiple of 32.
        border: share of the canvas left empty on each side.
        score: what a face must exceed, in 0..1.
    """

    canvas: int
    border: float
    score: float


SEARCHES = (Search(320, 0.1, 0.7), Search(320, 0.25, 0.6), Search(640, 0.1, 0.7))


def load(model: Path | None) -> Detector:
    """Return YuNet as a detector that several threads may call: each has networks of its own, as OpenCV's hold state.

    Args:
        model: the network's ONNX file.

    Raises:
        ConfigError: there is no such file, or OpenCV cannot read it or run it as a YuNet.
    """
    if model is None:
        raise ConfigError(f"`align.detector: yunet` needs its network's file as `align.model`. {WHERE}.")
    if not model.is_file():
        raise ConfigError(f"`align.model`: there is no file {model}. {WHERE}.")
    own, turn = threading.local(), threading.Lock()

    def network(search: Search) -> cv2.FaceDetectorYN:
        """Return this thread's network of a search. One each: changing a network's size costs as much as a picture."""
        networks = own.__dict__.setdefault("networks", {})
        if search not in networks:
            side = (search.canvas, search.canvas)
            with turn, _quiet():
                networks[search] = cv2.FaceDetectorYN.create(str(model), "", side, search.score, _OVERLAP, _MOST)
        return networks[search]

    try:
        network(SEARCHES[0]).detect(np.zeros((SEARCHES[0].canvas, SEARCHES[0].canvas, 3), np.uint8))
    except cv2.error as error:
        raise ConfigError(
            f"`align.model`: {model}, {model.stat().st_size} bytes, is not a YuNet that OpenCV {cv2.__version__} can "
            f"run ({' '.join(str(error.err or error).split())}). {WHERE}; fetched without Git LFS it is a text of "
            "about 130 bytes."
        ) from None
    return lambda pictures: [_faces(picture, network) for picture in pictures]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from writing to stderr that it takes its standard engine, and what our error says better."""
    log = cv2.utils.logging
    before = log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(before)


def _faces(picture: np.ndarray, network: Callable[[Search], cv2.FaceDetectorYN]) -> Faces:
    """Find the faces of one picture, uint8 `(H, W, C)`."""
    for search in SEARCHES:
        canvas = place(picture, search.canvas, search.border)
        _, rows = network(search).detect(np.ascontiguousarray(canvas.pixels[..., ::-1]))
        if rows is not None and len(rows):
            return _from_rows(rows.astype(np.float64), canvas.back)
    return no_faces()


def _from_rows(rows: np.ndarray, back: Callable[[np.ndarray], np.ndarray]) -> Faces:
    """Read OpenCV's rows `(F, 15)`: left, top, width, height, five points, score.

    The points begin with the person's right eye and right mouth corner, which are the viewer's left: our order. They
    count from the canvas's edge: in pictures and their mirror images x and its image sum to the width, or a little
    more, not to the width less one.
    """
    corners = np.stack([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    return Faces(back(corners).reshape(-1, 4), rows[:, 14], back(rows[:, 4:14].reshape(-1, 5, 2)))
