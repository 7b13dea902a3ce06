"""Boxes `(F, 4)` as left, top, right, bottom in pixels: their areas and how far they cover each other."""

import numpy as np


def area(boxes: np.ndarray) -> np.ndarray:
    """Return the areas `(...,)` of boxes `(..., 4)`; 0 where right or bottom lie before left or top."""
    return np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(axis=-1)


def shared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the areas that boxes `(..., 4)` share with others; the shapes are broadcast."""
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    return np.clip(high - low, 0, None).prod(axis=-1)


def iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the shared area as share of the union, in 0..1; 0 where both are empty.

    Example:
        >>> iou(np.array([0, 0, 2, 2]), np.array([[0, 0, 2, 4], [2, 0, 4, 2]])).tolist()
        [0.5, 0.0]
    """
    both = shared(one, other)
    union = area(one) + area(other) - both
    return np.divide(both, union, out=np.zeros_like(union, dtype=float), where=union > 0)


def suppress(
    boxes: np.ndarray, scores: np.ndarray, most: float, of_smaller: bool = False, limit: int = 256
) -> np.ndarray:
    """Keep the surest of boxes that overlap by more than `most`.

    Args:
        boxes: `(F, 4)`.
        scores: `(F,)`.
        most: largest overlap of boxes that are kept, as share of their union, in 0..1.
        of_smaller: take the share of the smaller box instead.
        limit: how many are kept at most.

    Returns:
        Row numbers of those kept, surest first.

    Example:
        >>> suppress(np.array([[0, 0, 2, 2], [0, 0, 2, 3], [5, 5, 6, 6]]), np.array([0.5, 0.9, 0.7]), 0.6).tolist()
        [1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    areas = area(boxes)
    kept: list[int] = []
    while len(order) and len(kept) < limit:
        first, rest = order[0], order[1:]
        kept.append(int(first))
        both = shared(boxes[first], boxes[rest])
        whole = np.minimum(areas[first], areas[rest]) if of_smaller else areas[first] + areas[rest] - both
        order = rest[both <= most * whole]
    return np.array(kept, int)
