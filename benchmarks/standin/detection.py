"""Does a detector that never saw such faces take them for faces, and does alignment by it cost accuracy?"""

import cv2
import numpy as np

from benchmarks.standin.baseline import one_thread
from benchmarks.standin.faces import SIZE, ZOOM, Faces
from benchmarks.standin.training import face_set, fit, recipe
from fer_core.evaluation.intervals import clusters_of
from fer_core.evaluation.paired import Judge
from fer_core.faces.detect import BATCH, DETECTORS, central
from fer_core.faces.pixels import decode, warp
from fer_core.faces.similarity import similarity, template
from fer_core.progress import Bar
from fer_core.standin.config import StandinConfig
from fer_core.standin.published import CLASSES
from fer_core.standin.traits import BINS
from fer_core.training.predict import predict

ALL, EVERY_BIN = 0.97, 0.95
COMPARED = 1000
NEAR = 0.5
"""A face counts as found if the mean distance of the five points is below this many eye distances."""


def detection(faces: Faces, config: StandinConfig) -> dict:
    """Find every labelled face with MTCNN; share found in all and in every bin, error of the points."""
    error = point_errors(faces, detected(faces))
    found = error < NEAR
    bins = faces.bins(config)
    return {
        "faces": len(found),
        "found": float(found.mean()),
        "point_error": float(np.median(error[found])),
        "bins": {
            f"{name}: {value}": float(found[bins[name] == value].mean())
            for name, values in BINS.items()
            for value in values
        },
    }


def alignment(faces: Faces) -> dict:
    """Train the baseline on faces aligned by annotated points; score it on both alignments of the same 1,000 faces.

    The faces are the test split's and, to make 1,000, some of validation. A face that MTCNN does not find counts as
    wrong.
    """
    sets = {split: face_set(*_of(faces, split)) for split in ("train", "validation")}
    one_thread()
    model = fit(recipe(0), sets, "baseline").model.float()
    test = np.flatnonzero(faces.splits == "test")
    chosen = faces.take(np.concatenate([test, np.flatnonzero(faces.splits == "validation")])[:COMPARED])
    points = detected(chosen)
    missed = point_errors(chosen, points) >= NEAR
    crops = [_align(data, points[k]) if not missed[k] else chosen.crops[k] for k, data in enumerate(chosen.files)]
    guesses = {"landmarks": chosen.crops, "mtcnn": np.stack(crops)}
    guess = {name: predict(model, face_set(c, chosen.labels))[0].argmax(1).numpy() for name, c in guesses.items()}
    guess["mtcnn"][missed] = (chosen.labels[missed] + 1) % len(CLASSES)
    units = clusters_of([str(planned.person) for planned in chosen.planned])
    judge = Judge(chosen.labels, guess, len(CLASSES), units)
    gain = judge.compare("mtcnn", "landmarks")
    return {
        "faces": len(chosen.files),
        "not_found": int(missed.sum()),
        **{name: float((guess[name] == chosen.labels).mean()) for name in guess},
        "difference": [gain.accuracy.value, gain.accuracy.low, gain.accuracy.high],
        "p": gain.p_value,
    }


def detected(faces: Faces) -> np.ndarray:
    """Return MTCNN's five points of every picture, `(N, 5, 2)` in pixels; NaN where it finds no face."""
    detect = DETECTORS["mtcnn"](None)
    points = np.full((len(faces.files), 5, 2), np.nan)
    cv2.setNumThreads(1)
    with Bar("find faces", len(points), "picture") as bar:
        for start in range(0, len(points), BATCH):
            pictures = [decode(data, False) for data in faces.files[start : start + BATCH]]
            usable = [(row, picture) for row, picture in enumerate(pictures, start) if picture is not None]
            for (row, picture), found in zip(usable, detect([picture for _, picture in usable]), strict=True):
                if len(found):
                    points[row] = found.points[central(found, *picture.shape[:2])]
            bar.advance(len(pictures))
    return points


def point_errors(faces: Faces, points: np.ndarray) -> np.ndarray:
    """Mean distance from the annotated points in eye distances, `(N,)`; infinite where nothing was found."""
    eyes = np.linalg.norm(faces.points[:, 1] - faces.points[:, 0], axis=1)
    mouth = np.linalg.norm(faces.points[:, :2].mean(axis=1) - faces.points[:, 3:].mean(axis=1), axis=1)
    distance = np.linalg.norm(points - faces.points, axis=2).mean(axis=1) / np.maximum(eyes, 0.9 * mouth)
    return np.where(np.isfinite(distance), distance, np.inf)


def _of(faces: Faces, split: str) -> tuple[np.ndarray, np.ndarray]:
    rows = faces.splits == split
    return faces.crops[rows], faces.labels[rows]


def _align(data: bytes, points: np.ndarray) -> np.ndarray:
    picture = decode(data, False)
    if picture is None:
        raise ValueError("a generated picture does not decode")
    return warp(picture, similarity(points[None], template(SIZE, ZOOM))[0], SIZE)
