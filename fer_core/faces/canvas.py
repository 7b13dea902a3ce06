"""Scale pictures into grey squares of one size, where a detector looks at them, and cut squares out of those."""

from dataclasses import dataclass

import cv2
import numpy as np

GREY = 127  # becomes about 0 in the range of most networks


@dataclass(frozen=True)
class Canvas:
    """A picture in a grey square.

    Attributes:
        pixels: uint8 `(S, S, 3)`.
        scale: `(2,)`, of x and y, from the picture to the canvas.
        shift: `(2,)`, the picture's left and top edge in the canvas.
    """

    pixels: np.ndarray
    scale: np.ndarray
    shift: np.ndarray

    def back(self, edges: np.ndarray) -> np.ndarray:
        """Return points `(..., 2)`, given as the canvas's edges count (its left edge is 0), in pixels of the picture.

        Those are counted by their centres: the left edge of the picture is -0.5.
        """
        return (edges - self.shift) / self.scale - 0.5


def place(picture: np.ndarray, side: int, border: float) -> Canvas:
    """Scale a picture, up or down, into the middle of a grey square.

    Args:
        picture: uint8 `(H, W, C)`, C = 1 grey or 3 RGB.
        side: of the square, in pixels.
        border: share of the square that the longer side of the picture leaves empty at each end.
    """
    height, width = picture.shape[:2]
    ratio = side * (1 - 2 * border) / max(height, width)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(picture, size, interpolation=how).reshape(size[1], size[0], -1)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    pixels = np.full((side, side, 3), GREY, np.uint8)
    pixels[top : top + size[1], left : left + size[0]] = scaled  # one channel fills all three
    return Canvas(pixels, np.array(size) / np.array([width, height]), np.array([left, top], np.float64))


def crops(canvas: np.ndarray, boxes: np.ndarray, out: np.ndarray) -> None:
    """Cut squares out of a canvas, grey where they reach beyond it.

    Args:
        canvas: uint8 `(S, S, 3)`.
        boxes: whole numbers `(F, 4)`, left, top, right, bottom edges; square.
        out: uint8 `(F, size, size, 3)`, is written.
    """
    if not len(boxes):
        return
    room = max(0, -int(boxes.min()), int(boxes.max()) - len(canvas))
    wide = cv2.copyMakeBorder(canvas, room, room, room, room, cv2.BORDER_CONSTANT, value=(GREY,) * 3)
    size = out.shape[1]
    for k, (x0, y0, x1, y1) in enumerate((boxes + room).tolist()):
        how = cv2.INTER_AREA if x1 - x0 > size else cv2.INTER_LINEAR
        cv2.resize(wide[y0:y1, x0:x1], (size, size), dst=out[k], interpolation=how)
