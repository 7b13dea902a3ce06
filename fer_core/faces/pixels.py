"""Decode a picture, and warp or resize it to a crop without aliasing."""

import io

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

_END_OF = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}  # JPEG, PNG: first bytes -> closing marker
_TAIL = 1024  # a camera's thumbnail near the head of a JPEG has a closing marker of its own


def is_grey(data: bytes) -> bool | None:
    """Return whether a picture is grey-coded, from its header alone; None where it is no picture."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.mode in ("L", "1", "LA", "I;16")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None


def decode(data: bytes, grey: bool) -> np.ndarray | None:
    """Decode a picture.

    Returns:
        uint8 `(H, W, C)`, C = 1 grey or 3 RGB; None where it is no picture or its file was cut short, which
        decoders would fill with grey.
    """
    end = _END_OF.get(data[:2])
    if not data or (end and end not in data[-_TAIL:]):
        return None
    try:
        mode = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:
        return None
    if picture is None:
        return None
    return np.asarray(picture, np.uint8).reshape(*picture.shape[:2], -1)


def warp(picture: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Warp a picture into a square crop.

    Bilinear sampling aliases when it skips pixels, so a transform that shrinks below one half first shrinks the
    picture by a whole factor with area averaging; what is left to the warp is between one half and one. Outside
    the picture its border is repeated: a black wedge would tell the face's rotation.

    Args:
        picture: uint8 `(H, W, C)`.
        matrix: `(2, 3)`, picture to crop, in pixels whose centres are whole numbers.
        size: side of the crop.

    Returns:
        uint8 `(size, size, C)`.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    factor = int(1 / scale) if scale < 0.5 else 1
    if factor > 1:
        height, width = picture.shape[:2]
        small = max(1, round(width / factor)), max(1, round(height / factor))
        ratio = np.array([width / small[0], height / small[1]])
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        # x = (x' + 0.5) * ratio - 0.5 takes a pixel of the small picture to the large one
        back = np.array([[ratio[0], 0, (ratio[0] - 1) / 2], [0, ratio[1], (ratio[1] - 1) / 2], [0, 0, 1]])
        matrix = matrix @ back
    crop = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return crop.reshape(size, size, -1)


def resize(picture: np.ndarray, size: int) -> np.ndarray:
    """Resize a whole picture to `(size, size, C)`: area averaging where it shrinks, bilinear where it grows."""
    shrinks = min(picture.shape[:2]) > size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(picture, (size, size), interpolation=how).reshape(size, size, -1)


def resize_matrix(height: int, width: int, size: int) -> np.ndarray:
    """Return the `(2, 3)` transform of points that goes with `resize`."""
    x, y = size / width, size / height
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])
