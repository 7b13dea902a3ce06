"""Generated faces for the tests of detectors, and how far found points are off."""

from pathlib import Path

import cv2
import numpy as np

from fer_core.faces.detect import Detector, Faces, central
from fer_core.standin import StandinConfig, generate

Sample = tuple[np.ndarray, np.ndarray]  # uint8 (H, W, 3), annotated points (5, 2)


def draw(folder: Path) -> list[Sample]:
    """Draw 42 faces of the stand-in, about 80 to 130 px."""
    generate(folder, StandinConfig(seed=4, scale=0.001, pool=0, clips=0, scene=128, ceiling_draws=0), workers=1)
    out = []
    for line in (folder / "RAFCE_landmark.txt").read_text().splitlines():
        name, *numbers = line.split()
        picture = cv2.imread(str(folder / "original" / name), cv2.IMREAD_COLOR_RGB)
        out.append((picture, np.array(numbers, float).reshape(5, 2)))
    return out


def of_picture(faces: Faces, picture: np.ndarray) -> Faces | None:
    """Keep the face that the picture is of; None where there is none."""
    if not len(faces):
        return None
    best = central(faces, *picture.shape[:2])
    return Faces(faces.boxes[[best]], faces.scores[[best]], faces.points[[best]])


def find(detector: Detector, picture: np.ndarray) -> Faces | None:
    """Find the face that one picture is of."""
    return of_picture(detector([picture])[0], picture)


def error(face: Faces, points: np.ndarray) -> float:
    """Mean distance of the first face's points in eye distances."""
    return float(np.linalg.norm(face.points[0] - points, axis=1).mean() / np.linalg.norm(points[1] - points[0]))


def noise(seed: int = 0, blur: float = 0.0) -> np.ndarray:
    picture = np.random.default_rng(seed).integers(0, 256, (96, 80, 3), np.uint8)
    return cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture


def backdrop(height: int, width: int) -> np.ndarray:
    return np.repeat(np.linspace(60, 160, width).astype(np.uint8)[None, :, None], height, 0).repeat(3, 2)


def tight(sample: Sample) -> Sample:
    """Crop a grey square of 48 px around the points, like FER2013's; the picture has one channel."""
    picture, points = sample
    middle, side = points.mean(0), 2.4 * np.linalg.norm(points[1] - points[0])
    scale = 48 / side
    matrix = np.array([[scale, 0, 24 - scale * middle[0]], [0, scale, 24 - scale * middle[1]]])
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return cv2.warpAffine(grey, matrix, (48, 48), flags=cv2.INTER_AREA)[..., None], points * scale + matrix[:, 2]


def in_scene(sample: Sample, height: int = 500, width: int = 900, left: int = 500, top: int = 300) -> Sample:
    """Put a picture into a larger one."""
    picture, points = sample
    scene = backdrop(height, width)
    scene[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return scene, points + np.array([left, top])


ODD = {
    "noise": noise(),
    "blobs": noise(1, blur=3),
    "grey noise": noise(2)[..., :1],
    "black": np.zeros((64, 64, 3), np.uint8),
    "flat": np.full((200, 20, 1), 127, np.uint8),
    "one pixel": np.full((1, 1, 3), 9, np.uint8),
    "one row": noise(3)[:1],
    "one column": noise(4)[:, :1, :1],
    "5 x 5": noise(5)[:5, :5],
}
"""Pictures without a face."""
