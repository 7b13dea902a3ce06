"""Decode the pictures that are not plain 8-bit grey or colour: see the table of rules in `fer_core.faces.pixels`."""

import io

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from fer_core.faces.reasons import CUT_SHORT, DEEP, HUGE, LARGEST, SMALLEST, TINY, UNDECODABLE

_BACKGROUND = 128.0
_DEPTHS = (8, 10, 12, 14, 16)
_ORIENTATION = 0x0112  # Exif's tag


def with_pillow(data: bytes, grey: bool) -> tuple[np.ndarray | str, int]:
    """Decode with Pillow.

    Returns:
        uint8 `(H, W, C)`, C = 1 grey or 3 RGB, or the reason why not; and the Exif orientation, 1 to 8.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
            if min(width, height) < SMALLEST:
                return TINY, 1
            if width * height > LARGEST:
                return HUGE, 1
            # an animation stands at its first frame
            pixels, orientation = _pixels(picture, grey), _orientation(picture)
    except UnidentifiedImageError:
        return UNDECODABLE, 1
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return HUGE, 1
    except Exception as error:  # of damaged bytes Pillow's readers raise whatever they meet
        return CUT_SHORT if "truncated" in str(error) else UNDECODABLE, 1
    return pixels, orientation


def sixteen_bits(data: bytes, grey: bool) -> np.ndarray | None:
    """Decode a PNG of 16 bits a channel to uint8 `(H, W, C)`; None where OpenCV cannot."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is None or pixels.dtype != np.uint16:
        return None
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    channels = pixels.shape[2]
    colour, alpha = (pixels[..., :-1], pixels[..., -1:]) if channels in (2, 4) else (pixels, None)
    if colour.shape[2] == 3:
        colour = colour[..., ::-1]
    return _in_channels(_on_grey(to_eight_bits(colour), alpha, 65535), grey)


def to_eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale uint16 values to float32 in 0..255 by the smallest of `_DEPTHS` that holds the largest of them.

    Example:
        >>> to_eight_bits(np.array([0, 4095], np.uint16)).tolist()
        [0.0, 255.0]
    """
    largest = int(values.max())
    depth = next(bits for bits in _DEPTHS if largest < 2**bits)
    return values.astype(np.float32) * (255 / (2**depth - 1))


def _pixels(picture: Image.Image, grey: bool) -> np.ndarray | str:
    if picture.mode.startswith("I;16"):
        values = np.asarray(picture)[..., None]
        return _in_channels(_on_grey(to_eight_bits(values), None, 255), grey)
    if picture.mode in ("I", "F"):
        return DEEP
    colourless = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        whole = np.asarray(picture.convert("LA" if colourless else "RGBA"), np.float32)
        return _in_channels(_on_grey(whole[..., :-1], whole[..., -1:], 255), grey)
    flat = np.asarray(picture.convert("L" if colourless else "RGB"))
    return _in_channels(flat.reshape(*flat.shape[:2], -1), grey)


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged block turns nothing
        return 1
    return value if value in range(1, 9) else 1


def _on_grey(colour: np.ndarray, alpha: np.ndarray | None, opaque: int) -> np.ndarray:
    """Lay a picture with values in 0..255 on mid-grey."""
    if alpha is not None:
        share = alpha.astype(np.float32) / opaque
        colour = colour * share + _BACKGROUND * (1 - share)
    return np.clip(np.rint(colour), 0, 255).astype(np.uint8)


def _in_channels(pixels: np.ndarray, grey: bool) -> np.ndarray:
    """Bring uint8 `(H, W, 1 or 3)` to the number of channels that crops have."""
    if grey and pixels.shape[2] == 3:
        return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)[..., None]
    if not grey and pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels)
