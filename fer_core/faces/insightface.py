"""The detector of the package insightface (SCRFD), where it is installed.

Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022. The package and its
models have terms of their own: read them. It was not run here, since neither was at hand: this follows the published
source (`FaceAnalysis` of insightface 0.7), and its tests a made-up stand-in.
"""

import importlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_core.errors import ConfigError
from fer_core.faces.canvas import place
from fer_core.faces.detect import Detector, Faces, no_faces

CANVAS, BORDER = 640, 0.1  # the package's own size; what is left empty helps with faces that fill the picture
MODELS = "models/buffalo_l"  # where the package looks in its folder
INSTALL = "pip install insightface onnxruntime"
FETCH = 'python -c "from insightface.app import FaceAnalysis; FaceAnalysis()"'


def load(root: Path | None = None) -> Detector:
    """Return it as a detector. Threads take turns: the package promises nothing about them.

    Args:
        root: the folder that holds `MODELS`; None is `~/.insightface`, where the package puts what it downloads.

    Raises:
        ConfigError: insightface is not installed, or its models are not there. We do not let it download them.
    """
    try:
        package = importlib.import_module("insightface.app")
    except ImportError as error:
        raise ConfigError(
            f"`align.detector: insightface` needs the package insightface, which does not import ({error}); run "
            f"`{INSTALL}`."
        ) from None
    root = root or Path.home() / ".insightface"
    if not list((root / MODELS).glob("*.onnx")):
        raise ConfigError(
            f"`align.detector: insightface` expects the package's models in {root / MODELS}; there is no .onnx file. "
            f"`{FETCH}` downloads them to ~/.insightface; `align.model` names another folder."
        )
    app = package.FaceAnalysis(root=str(root), allowed_modules=["detection"])
    app.prepare(ctx_id=0, det_size=(CANVAS, CANVAS))  # the first GPU where onnxruntime has one, else the CPU
    turn = threading.Lock()

    def detect(pictures: Sequence[np.ndarray]) -> list[Faces]:
        with turn:
            return [_faces(app, picture) for picture in pictures]

    return detect


def _faces(app: Any, picture: np.ndarray) -> Faces:
    """Find the faces of one picture, uint8 `(H, W, C)`."""
    canvas = place(picture, CANVAS, BORDER)
    found = app.get(np.ascontiguousarray(canvas.pixels[..., ::-1]))  # BGR
    if not found:
        return no_faces()
    boxes = np.stack([face.bbox for face in found]).astype(np.float64)
    points = np.stack([face.kps for face in found]).astype(np.float64)  # viewer's left first, as the paper's
    scores = np.array([face.det_score for face in found], np.float64)
    return Faces(canvas.back(boxes.reshape(-1, 2, 2)).reshape(-1, 4), scores, canvas.back(points))
