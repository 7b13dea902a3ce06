"""Can the class be guessed without looking at the face? Linear probes on what should say nothing.

Balanced accuracy of a logistic regression, cross-validated over all labelled pictures: the rarest class has one test
picture, so that the test split alone would move by 7 points with it. Chance is 1/14.
"""

import warnings

import cv2
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.standin.faces import SIZE, Faces
from fer_core.faces.pixels import decode
from fer_core.faces.similarity import similarity, template

MUST_BE_BLIND = ("border colour", "file size", "picture size", "identity", "index")
BOUND = 0.11


def shortcuts(faces: Faces) -> dict[str, float]:
    """Return probe -> balanced accuracy."""
    return {name: probe(features, faces.labels) for name, features in _features(faces).items()}


def probe(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the cross-validated balanced accuracy of a class-weighted logistic regression."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=300))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        guess = cross_val_predict(model, features, labels, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    return float(balanced_accuracy_score(labels, guess))


def _features(faces: Faces) -> dict[str, np.ndarray]:
    place = np.arange(len(faces.planned)) / len(faces.planned)
    waves = [f(2 * np.pi * k * place) for k in (1, 2, 4, 8, 16) for f in (np.sin, np.cos)]
    people = np.array([planned.person for planned in faces.planned])
    sides = np.array([_size(data) for data in faces.files], float)
    matrix = similarity(faces.points.astype(np.float64), template(SIZE, 1.0))
    aligned = np.einsum("nij,nkj->nki", matrix[:, :, :2], faces.points) + matrix[:, None, :, 2]
    return {
        "border colour": _border(faces.crops),
        "file size": np.log([[len(data)] for data in faces.files]),
        "picture size": np.column_stack([sides, sides.prod(axis=1), sides[:, 0] / sides[:, 1]]),
        "identity": (people[:, None] == np.unique(people)[None]).astype(float),
        "index": np.column_stack([place, *waves]),
        "thumbnail 4x4": _thumbnails(faces.crops),
        "annotated landmarks": aligned.reshape(len(aligned), -1),
    }


def _size(data: bytes) -> tuple[int, int]:
    picture = decode(data, False)
    return (0, 0) if picture is None else picture.shape[:2]


def _border(crops: np.ndarray, wide: int = 4, parts: int = 4) -> np.ndarray:
    """Mean colours along the four edges of the aligned faces, in four parts each, `(N, 48)`."""
    edges = [crops[:, :wide], crops[:, -wide:], crops[:, :, :wide].swapaxes(1, 2), crops[:, :, -wide:].swapaxes(1, 2)]
    means = [edge.reshape(len(crops), wide, parts, -1, 3).mean(axis=(1, 3)) for edge in edges]
    return np.concatenate(means, axis=1).reshape(len(crops), -1)


def _thumbnails(crops: np.ndarray) -> np.ndarray:
    small = [cv2.resize(crop, (4, 4), interpolation=cv2.INTER_AREA).ravel() for crop in crops]
    return np.array(small, float)
