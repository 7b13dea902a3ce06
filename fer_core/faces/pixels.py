"""Decode a picture, odd ones by a stated rule each, and warp or resize it to a crop without aliasing.

    picture                     rule
    grey, 1 to 8 bits           as it is; where crops have colour, the value stands in all three channels
    grey and alpha, RGBA,       laid on mid-grey (128): black or white would add an edge of full contrast
      transparent palette
    palette                     its colours; never counted as grey
    16 bits                     scaled to 8 by the smallest of 8, 10, 12, 14 and 16 bits that holds its largest value: a
                                camera's 12 bits are not black, and a dark picture is not stretched beyond a factor of 4
    32 bits, floating point     dropped: the range is not known
    CMYK, YCCK (JPEG)           as Adobe writes them (inverted), without colour profile: R = (1 - C)(1 - K)
    colour profiles             not applied
    Exif orientation            turned upright before anything else; annotated landmarks and boxes are pixels of the
                                picture as stored, and are turned with it (mirrored: left and right change places)
    animated GIF, WebP, PNG     the first frame
    cut short                   dropped: decoders would fill the rest with grey. A JPEG with something behind its end
                                (a phone's short film) is not cut short
    more than 2^26 pixels       a JPEG is shrunk by 2, 4 or 8 while decoding, annotations with it; dropped otherwise
                                (a progressive JPEG would need all of its coefficients in memory)
    a side below 8 pixels       dropped
    no file, empty, unknown     dropped

Each reason is a constant here and ends as `drop_reason` in the manifest.
"""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from fer_core.faces.header import Header, read_header
from fer_core.faces.odd import sixteen_bits, with_pillow
from fer_core.faces.reasons import CUT_SHORT, EMPTY, HUGE, LARGEST, SMALLEST, TINY, UNDECODABLE
from fer_core.faces.turning import MIRRORED, turn, turning

_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION  # we turn, so that points turn by the same rule
_REDUCED = {
    2: (cv2.IMREAD_REDUCED_GRAYSCALE_2, cv2.IMREAD_REDUCED_COLOR_2),
    4: (cv2.IMREAD_REDUCED_GRAYSCALE_4, cv2.IMREAD_REDUCED_COLOR_4),
    8: (cv2.IMREAD_REDUCED_GRAYSCALE_8, cv2.IMREAD_REDUCED_COLOR_8),
}


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright.

    Attributes:
        pixels: uint8 `(H, W, C)`, C = 1 grey or 3 RGB.
        matrix: `(2, 3)`, from pixels of the picture as stored to these; None where they are the same.
        mirrored: whether left and right changed places.
    """

    pixels: np.ndarray
    matrix: np.ndarray | None = None
    mirrored: bool = False


def is_grey(data: bytes) -> bool | None:
    """Return whether a picture is grey-coded, from its header alone; None where it is no picture."""
    header = read_header(data)
    if header:
        return header.grey
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.mode in ("L", "1", "LA", "I;16")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def decode(data: bytes, grey: bool) -> np.ndarray | None:
    """Decode a picture by the rules of this module.

    Returns:
        uint8 `(H, W, C)`, C = 1 grey or 3 RGB; None where the rules drop it.
    """
    picture = read_picture(data, grey)
    return None if isinstance(picture, str) else picture.pixels


def read_picture(data: bytes, grey: bool) -> Picture | str:
    """Decode a picture by the rules of this module, or return the reason why it is dropped."""
    if not data:
        return EMPTY
    header = read_header(data)
    if header and min(header.width, header.height) < SMALLEST:
        return TINY
    shrunk = 1
    if header and header.width * header.height > LARGEST:
        if header.kind != "jpeg" or header.progressive or not header.plain:
            return HUGE
        if not header.complete:
            return CUT_SHORT
        shrunk = next(by for by in _REDUCED if header.width * header.height <= LARGEST * by * by)
    pixels: np.ndarray | str | None = None
    orientation = header.orientation if header else 1
    if header and header.complete:
        pixels = _with_opencv(data, header, grey, shrunk)
    if pixels is None and shrunk == 1:
        pixels, orientation = with_pillow(data, grey)
        if isinstance(pixels, str) and header and not header.complete:
            pixels = CUT_SHORT
    if pixels is None or isinstance(pixels, str):
        return pixels or UNDECODABLE
    if orientation == 1 and shrunk == 1:
        return Picture(pixels)
    matrix = np.array([[1, 0, (1 - shrunk) / 2], [0, 1, (1 - shrunk) / 2]]) / shrunk  # x' + 0.5 = (x + 0.5) / by
    spin = turning(pixels.shape[0], pixels.shape[1], orientation)
    whole = spin @ np.vstack([matrix, [0, 0, 1]])
    return Picture(turn(pixels, orientation), whole, orientation in MIRRORED)


def _with_opencv(data: bytes, header: Header, grey: bool, shrunk: int) -> np.ndarray | None:
    """Decode what OpenCV decodes as everyone does; None leaves it to Pillow."""
    if header.kind == "png" and header.bits == 16:
        return sixteen_bits(data, grey)
    if not header.plain:
        return None
    mode = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB
    if shrunk > 1:
        mode = _REDUCED[shrunk][0 if grey else 1]
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode | _AS_STORED)
    except cv2.error:
        return None
    if pixels is None:
        return None
    if shrunk > 1 and not grey:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, np.uint8).reshape(*pixels.shape[:2], -1)


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
