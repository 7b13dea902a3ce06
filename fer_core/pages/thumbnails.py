"""Small pictures that stand in the page itself, each of a bounded number of bytes."""

import base64
import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fer_core.pages.html import Child, Markup, tag

SIDE = 96  # px of a thumbnail's longer side, at most
MOST = 5_000  # bytes of a thumbnail's JPEG, before base64 makes it a third longer
_QUALITIES = (82, 65, 45, 25, 10)
# what decoders raise of broken files
_UNREADABLE = (
    *(OSError, ValueError, SyntaxError, KeyError, TypeError, EOFError, struct.error),
    Image.DecompressionBombError,
)
_LARGEST = 80_000_000  # pixels of a picture that is decoded only to be shown small


@dataclass(frozen=True)
class Small:
    """A picture for an `<img>`: its `data:` address, and the width and height in px that it had."""

    address: str
    width: int
    height: int


def thumbnail(image: npt.NDArray[np.uint8], side: int = SIDE, most: int = MOST) -> str:
    """Return an image uint8 (H, W, 1 or 3) as the `data:` address of a JPEG of at most `most` bytes, at most `side` px.

    Quality falls until the bytes suffice, and in the end the size: a picture of noise compresses badly.
    """
    flat = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return _address(Image.fromarray(np.ascontiguousarray(flat)), side, most)


def of_file(data: bytes | None, side: int = SIDE, most: int = MOST) -> Small | None:
    """Return an encoded picture, turned as its EXIF orientation says, or None where it cannot be shown.

    That is where it does not decode, was cut short, or has more pixels than a page needs to decode.
    """
    if not data:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of sizes below its limit, and of odd EXIF
            with Image.open(io.BytesIO(data)) as picture:
                if picture.width * picture.height > _LARGEST:
                    return None
                width, height = picture.size
                turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
                picture.draft("RGB", (side, side))  # a JPEG decodes at an eighth of its size as well
                shown = ImageOps.exif_transpose(_eight_bits(picture))
                address = _address(shown, side, most)
    except _UNREADABLE:
        return None
    return Small(address, *((height, width) if turned else (width, height)))


def tile(address: str | None, words: str, *below: Child) -> Markup:
    """Return an item of a grid of faces: the picture, or an empty place where there is none, and what stands below."""
    if address is None:
        empty = (
            "display:grid;place-items:center;aspect-ratio:1;max-width:160px;background:var(--faint);color:var(--grey)"
        )
        shown = tag(
            "div", "not shown", style=f"{empty};border-radius:6px;margin-bottom:5px", role="img", aria_label=words
        )
    else:
        shown = tag("img", src=Markup(address), alt=words, title=words, style="object-fit:contain")
    lines: list[Child] = []
    for line in below:
        lines += [*([tag("br")] if lines else []), line]
    return tag("li", shown, *lines, style="overflow-wrap:anywhere")


def grid(*tiles: Markup) -> Markup:
    """Return tiles in a grid that fits the screen."""
    return tag("ul", *tiles, class_="faces")


def _eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits: Pillow would cut them off at 255
        values = np.asarray(picture, dtype=np.float64)
        span = 256.0 if values.max(initial=0.0) > 255 else 1.0
        return Image.fromarray(np.clip(values / span, 0, 255).astype(np.uint8))
    return picture


def _address(picture: Image.Image, side: int, most: int) -> str:
    picture = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    picture = picture.copy()
    while True:
        picture.thumbnail((side, side))
        for quality in _QUALITIES:
            raw = io.BytesIO()
            picture.save(raw, "JPEG", quality=quality)
            if raw.tell() <= most:
                return f"data:image/jpeg;base64,{base64.b64encode(raw.getvalue()).decode()}"
        if side <= 8:
            return f"data:image/jpeg;base64,{base64.b64encode(raw.getvalue()).decode()}"
        side //= 2
