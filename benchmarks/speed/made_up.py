"""Made-up faces for speed: smooth noise in colour, whose JPEG files are about as large as those of faces."""

from pathlib import Path

import cv2
import numpy as np
import torch

from fer_core.labels import LabelSet
from fer_core.training.faces import FaceSet

CLASSES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
LABELS = LabelSet(CLASSES, ())
UNITS = tuple(f"AU{number}" for number in (1, 2, 4, 5, 6, 7, 9, 12, 15, 17, 25, 26))
DISTINCT = 512  # pictures that differ; the others repeat them
QUALITY = 92


def pictures(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Return uint8 (count, size, size, 3), `DISTINCT` of them drawn and repeated."""
    rng = np.random.default_rng(seed)
    drawn = min(count, DISTINCT)
    coarse = rng.integers(30, 220, (drawn, 8, 8, 3), np.uint8)
    smooth = np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in coarse])
    noise = rng.integers(-6, 7, (drawn, size, size, 1), np.int16)
    some = np.clip(smooth.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    return some[np.arange(count) % drawn]


def faces(count: int, size: int, seed: int = 0) -> FaceSet:
    """Return so many faces of seven classes, half of them with AUs, as a set with AU labels has them."""
    rng = np.random.default_rng(seed)
    aus = (rng.random((count, len(UNITS))) < 0.3).astype(np.float32)
    aus[rng.random(count) < 0.5] = np.nan
    landmarks = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]], np.float32) * size
    return FaceSet(
        ids=[f"{row}" for row in range(count)],
        pixels=torch.from_numpy(pictures(count, size, seed)),
        labels=torch.from_numpy(np.arange(count) % len(CLASSES)),
        aus=torch.from_numpy(aus),
        landmarks=torch.from_numpy(np.repeat(landmarks[None], count, axis=0)),
        subjects=torch.full((count,), -1),
        votes=torch.zeros(count, 0),
        intensities=torch.full((count, len(UNITS)), torch.nan),
        au_names=UNITS,
    )


def folder_of_pictures(folder: Path, count: int, size: int, split: str = "train") -> Path:
    """Write `count` JPEG files into `folder`/`split`/<class>/, links to `DISTINCT` of them; return `folder`."""
    files = []
    for row, picture in enumerate(pictures(min(count, DISTINCT), size)):
        place = folder / split / CLASSES[row % len(CLASSES)] / f"{row:07d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        files.append(place)
    for row in range(len(files), count):
        source = files[row % len(files)]
        source.with_name(f"{row:07d}.jpg").hardlink_to(source)
    return folder
