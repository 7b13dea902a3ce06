"""The set's labelled faces in memory: drawn, aligned by their annotated landmarks, with their truth."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import cv2
import numpy as np

from fer_core.faces.pixels import decode, warp
from fer_core.faces.similarity import similarity, template
from fer_core.standin.config import StandinConfig
from fer_core.standin.layout import Planned, attributes, plan
from fer_core.standin.picture import draw_picture, truth

SIZE, ZOOM = 64, 0.9
"""As the default profile aligns."""

_CHUNK = 64


@dataclass(frozen=True)
class Faces:
    """N faces.

    Attributes:
        planned: their lines in the plan.
        files: JPEG files.
        points: annotated landmarks `(N, 5, 2)`, pixels of the picture.
        crops: aligned faces, uint8 `(N, 64, 64, 3)`.
        intensity: true intensities `(N, 22, 2)`.
    """

    planned: list[Planned]
    files: list[bytes]
    points: np.ndarray
    crops: np.ndarray
    intensity: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """Class indices, `(N,)`."""
        return np.array([planned.label for planned in self.planned])

    @property
    def splits(self) -> np.ndarray:
        """Names of the splits, `(N,)`."""
        return np.array([planned.split for planned in self.planned])

    def bins(self, config: StandinConfig) -> dict[str, np.ndarray]:
        """Return attribute -> bin of every face."""
        rows = [attributes(config, planned.person, planned.yaw) for planned in self.planned]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def take(self, rows: Sequence[int] | np.ndarray) -> "Faces":
        """Return some of the faces."""
        index = np.asarray(rows)
        planned, files = [self.planned[k] for k in index], [self.files[k] for k in index]
        return Faces(planned, files, self.points[index], self.crops[index], self.intensity[index])


def labelled(config: StandinConfig) -> list[Planned]:
    """Return the plan without its pool."""
    return [planned for planned in plan(config) if planned.split != "pool"]


def draw(config: StandinConfig, planned: list[Planned], workers: int = 2, intensity: np.ndarray | None = None) -> Faces:
    """Draw and align faces on `workers` processes; `intensity` `(N, 22, 2)` replaces their own."""
    if intensity is None:
        intensity = np.stack([truth(config, one.label, one.index)[1] for one in planned])
    parts_of = [slice(start, start + _CHUNK) for start in range(0, len(planned), _CHUNK)]
    jobs = [(config, planned[part], intensity[part]) for part in parts_of]
    with ProcessPoolExecutor(workers, get_context("spawn")) as executor:
        parts = list(executor.map(_draw, jobs))
    files = [data for part in parts for data in part[0]]
    points, crops = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
    return Faces(planned, files, points, crops, intensity)


def align(data: bytes, points: np.ndarray) -> np.ndarray:
    """Return the aligned face of a JPEG file, uint8 `(64, 64, 3)`."""
    picture = decode(data, False)
    if picture is None:
        raise ValueError("a generated picture does not decode")
    return warp(picture, similarity(points[None].astype(np.float64), template(SIZE, ZOOM))[0], SIZE)


def _draw(job: tuple[StandinConfig, list[Planned], np.ndarray]) -> tuple[list[bytes], np.ndarray, np.ndarray]:
    config, planned, intensity = job
    cv2.setNumThreads(1)
    drawn = [draw_picture(config, one, shown) for one, shown in zip(planned, intensity, strict=True)]
    crops = [align(data, points) for data, points in drawn]
    return [data for data, _ in drawn], np.stack([points for _, points in drawn]), np.stack(crops)
