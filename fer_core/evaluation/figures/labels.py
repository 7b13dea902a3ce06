"""Where to write the names of points so that they cover neither points nor each other: a greedy search, repeated."""

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fer_core.evaluation.metrics import Floats

Point = tuple[float, float]

_STARTS, _ROUNDS = 24, 4
_MARK = 7.0  # px from the middle of a mark to its edge, with some air
_DISTANCES = (0.0, 8.0, 16.0, 26.0, 38.0, 54.0, 76.0, 100.0)  # px from a mark's edge to its name
_ANGLES = (0, 180, 90, 270, 35, 325, 145, 215, 60, 300, 120, 240)  # degrees; where names are read best comes first
_COVERED, _OUTSIDE = 3.0, 12.0  # cost of a px² over something, and beyond the frame; a px of distance costs about 3


def placed(points: Sequence[Point], sizes: Sequence[tuple[float, float]], bounds: Sequence[float]) -> Floats:
    """Return a box near each point, all in px with y upwards: (N, 4), left, bottom, right, top.

    Names choose one after another the nearest place that overlaps least with marks and other names, and then choose
    again, as the first could not know of the later ones. Of some orders of choosing, the best one counts.

    Args:
        points: N places of marks (x, y).
        sizes: N widths and heights of the names.
        bounds: left, bottom, right, top of the frame that names should not leave.
    """
    centres = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    marks = np.hstack([centres - _MARK, centres + _MARK])
    candidates = [_candidates(point, size) for point, size in zip(centres, sizes, strict=True)]
    frame = np.asarray([bounds], dtype=np.float64)
    own = [_own_costs(boxes, marks, frame) for boxes in candidates]
    order = list(range(len(centres)))
    shuffled = random.Random(0)  # the same picture every time
    best, least = np.zeros((len(order), 4)), np.inf
    for _ in range(_STARTS):
        found = np.full((len(order), 4), np.nan)
        total = 0.0
        for _ in range(_ROUNDS):
            total = 0.0
            for index in order:
                found[index] = np.nan  # covers nothing
                costs = own[index] + _COVERED * _shared(candidates[index], found).sum(axis=1)
                choice = int(costs.argmin())
                found[index] = candidates[index][choice]
                total += float(costs[choice])
        if total < least:
            best, least = found, total
        shuffled.shuffle(order)
    return best


def _candidates(point: npt.NDArray[np.float64], size: tuple[float, float]) -> Floats:
    """Return all boxes that a name may take, nearest first: (places, 4)."""
    half = np.asarray(size) / 2
    angles = np.radians(_ANGLES)
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    middles = np.concatenate([point + ways * (_MARK + distance + half) for distance in _DISTANCES])
    return np.hstack([middles - half, middles + half])


def _own_costs(boxes: Floats, marks: Floats, frame: Floats) -> Floats:
    """Return what each box costs (places,) whatever the other names do."""
    ranks = np.tile(np.arange(len(_ANGLES)), len(_DISTANCES)) + 2.0 * np.repeat(_DISTANCES, len(_ANGLES)) ** 1.2
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    outside = area - _shared(boxes, frame)[:, 0]
    return ranks + _COVERED * _shared(boxes, marks).sum(axis=1) + _OUTSIDE * outside


def _shared(boxes: Floats, others: Floats) -> Floats:
    """Return the areas (n, m) that each of `boxes` (n, 4) shares with each of `others` (m, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.nan_to_num(np.clip(high - low, 0, None)).prod(axis=2)
