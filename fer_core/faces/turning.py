"""Turn a picture upright as its Exif orientation says, and the points and boxes annotated in it likewise.

CIPA DC-008 (Exif), tag 0x0112: 1 as stored, 2 mirrored, 3 turned by half, 4 mirrored top to bottom, 5 transposed,
6 to be turned a quarter clockwise, 7 transposed along the other diagonal, 8 to be turned a quarter anticlockwise.
"""

import numpy as np

MIRRORED = (2, 4, 5, 7)
_OTHER_SIDE = [1, 0, 2, 4, 3]  # where each of the five points stands in a mirrored face


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return a picture `(H, W, C)` turned upright; a quarter turn swaps height and width."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def turning(height: int, width: int, orientation: int) -> np.ndarray:
    """Return the `(2, 3)` transform of points that goes with `turn`; height and width are those before it."""
    matrix = np.eye(2, 3)
    if orientation in (5, 6, 7, 8):
        matrix, height, width = matrix[::-1], width, height
    if orientation in (2, 3, 6, 7):
        matrix = np.array([[-1, 1], [1, 1]])[:, :1] * matrix + np.array([[0, 0, width - 1], [0, 0, 0]])
    if orientation in (3, 4, 7, 8):
        matrix = np.array([[1], [-1]]) * matrix + np.array([[0, 0, 0], [0, 0, height - 1]])
    return matrix


def moved_points(points: np.ndarray, matrix: np.ndarray, mirrored: bool) -> np.ndarray:
    """Return five points `(5, 2)` after a transform `(2, 3)`; in a mirrored face left and right change places."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return moved[_OTHER_SIDE] if mirrored else moved


def moved_box(box: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return a box `(4,)` (left, top, right, bottom) after a transform `(2, 3)` by quarter turns, mirrors and scale."""
    corners = box.reshape(2, 2) @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])
