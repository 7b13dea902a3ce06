"""Soft steps and bumps that the face is modelled from; all keep float32."""

import numpy as np

Array = np.ndarray


def sigmoid(x: Array) -> Array:
    """Return the logistic function, through tanh because that cannot overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def smoothstep(start: float | Array, end: float | Array, x: Array) -> Array:
    """Return 0 before `start`, 1 after `end` (or the reverse when end < start), cubic between."""
    t = np.clip((x - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def bell(x: Array, width: float | Array) -> Array:
    """Return exp(-(x / width)^2): the cross-section of a line."""
    t = x / width
    return np.exp(-t * t)


def blob(x: Array, y: Array, cx: float | Array, cy: float | Array, sx: float, sy: float) -> Array:
    """Return a Gaussian bump with standard deviations `sx`, `sy`; cheap where x is a row and y a column."""
    return bell(x - cx, sx * 1.41421356) * bell(y - cy, sy * 1.41421356)
