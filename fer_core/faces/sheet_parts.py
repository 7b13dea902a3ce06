"""What the contact sheet shows: which rows, their crops with landmarks, and mean faces."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from fer_core.pages.histogram import short

_SAMPLE = 500  # crops of which a mean face is taken: more look the same, and each is a read from the disk
_CHUNK = 64  # crops in memory at once
_DRAWN = 112  # px from which on landmarks can be told apart
_DOT, _RIM = (230, 159, 0), (0, 0, 0)


@dataclass(frozen=True)
class Measure:
    """A measure of quality: its column, what its worst faces are called, its unit, and which end is worse.

    `worst` is "low", "high" or "far" (from 0, either way).
    """

    column: str
    title: str
    faces: str
    unit: str
    worst: str

    def badness(self, table: pd.DataFrame) -> pd.Series:
        """Return per row how bad it is, larger is worse; NaN where not known."""
        values = table[self.column].astype("float64")
        return -values if self.worst == "low" else values.abs() if self.worst == "far" else values

    def written(self, value: float) -> str:
        """Return a value with its unit."""
        return short(value) + self.unit


MEASURES = (
    Measure("sharpness", "Sharpness (variance of the Laplacian)", "Least sharp", "", "low"),
    Measure("inter_ocular", "Distance between the eyes in the picture", "Smallest in the picture", " px", "low"),
    Measure("yaw", "Yaw", "Turned most to a side (yaw)", "°", "far"),
    Measure("pitch", "Pitch", "Turned most up or down (pitch)", "°", "far"),
    Measure("roll", "Roll", "Most tilted in the picture (roll)", "°", "far"),
    Measure("detection_score", "Detection score", "Least sure detections", "", "low"),
)


def worst(table: pd.DataFrame, measure: Measure, most: int) -> pd.DataFrame:
    """Return the rows with a crop that are worst by a measure, worst first; of a clip only its worst frame."""
    bad = measure.badness(table).where(table["crop_index"].notna()).dropna()
    found = table.loc[bad.sort_values(ascending=False, kind="stable").index]
    again = found["clip_id"].notna() & found["clip_id"].duplicated()
    return found[~again].head(most)


def drawn_from(table: pd.DataFrame, most: int, random: np.random.Generator) -> pd.DataFrame:
    """Return up to `most` rows of a table, drawn without replacement, in the table's order."""
    if len(table) <= most:
        return table
    return table.iloc[np.sort(random.choice(len(table), most, replace=False))]


def spread(rejects: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return up to `most` rejects: the first of every reason, then the second of every reason, and so on."""
    turn = rejects.groupby("drop_reason").cumcount()
    return rejects.loc[turn.sort_values(kind="stable").index[:most]]


def with_landmarks(crop: np.ndarray, points: Sequence[float] | np.ndarray | None) -> np.ndarray:
    """Return a crop (S, S, C) as RGB, enlarged if it is small, with its five points drawn.

    Args:
        crop: uint8, C is 1 or 3.
        points: x0, y0 .. x4, y4 in pixels of the crop, or None.
    """
    shown = np.repeat(crop, 3, axis=2) if crop.shape[2] == 1 else np.array(crop)
    scale = -(-_DRAWN // crop.shape[0])
    if scale > 1:
        shown = cv2.resize(shown, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    if isinstance(points, list | tuple | np.ndarray):
        radius = max(2, round(0.022 * shown.shape[0]))
        for x, y in np.asarray(points, np.float64).reshape(-1, 2):
            if not (np.isfinite([x, y]).all() and max(abs(x), abs(y)) < 10 * crop.shape[0]):
                continue
            at = round((x + 0.5) * scale - 0.5), round((y + 0.5) * scale - 0.5)
            cv2.circle(shown, at, radius + 1, _RIM, -1, cv2.LINE_AA)
            cv2.circle(shown, at, radius, _DOT, -1, cv2.LINE_AA)
    return shown


def mean_face(faces: np.ndarray, index: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, int]:
    """Return the mean of the crops `index`, uint8 (S, S, C), and of how many: at most 500 are drawn."""
    if len(index) > _SAMPLE:
        index = random.choice(index, _SAMPLE, replace=False)
    index = np.sort(index)
    total = np.zeros(faces.shape[1:], np.float64)
    for start in range(0, len(index), _CHUNK):
        total += faces[index[start : start + _CHUNK]].sum(axis=0, dtype=np.float64)
    return np.round(total / len(index)).astype(np.uint8), len(index)
