"""FER2013's pictures: 48 x 48 grey values written as text in one CSV of 300 MB, read as a stream."""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fer_core.errors import DataError

SIDE = 48
_COLUMNS = ("emotion", "pixels", "Usage")


class PixelRow(NamedTuple):
    """One row of fer2013.csv as text, with its line number in the file."""

    line: int
    emotion: str
    pixels: str
    usage: str


def stream(path: Path) -> Iterator[PixelRow]:
    """Yield the rows of fer2013.csv one by one; columns are found by name, in any order.

    Raises:
        DataError: a column is missing, a row has too few fields, or the file is not text.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in _COLUMNS if name not in header]
            if missing:
                raise DataError(f"{path}, line 1: expected the columns {', '.join(_COLUMNS)}; {missing[0]} is missing.")
            at = [header.index(name) for name in _COLUMNS]
            for fields in reader:
                if not fields:
                    continue
                if len(fields) <= max(at):
                    shown = ",".join(fields)[:60]
                    raise DataError(f"{path}, line {reader.line_num}: expected {len(header)} fields; got {shown!r}.")
                emotion, pixels, usage = (fields[k].strip() for k in at)
                yield PixelRow(reader.line_num, emotion, pixels, usage)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path}, after line {reader.line_num}: not CSV text ({error}).") from None


def picture_hash(pixels: str) -> bytes:
    """Return a hash of the pixel values, the same on every machine and for every spelling of the blanks."""
    return hashlib.blake2b(" ".join(pixels.split()).encode(), digest_size=8).digest()


def encode(pixels: str) -> bytes | None:
    """Encode a row's pixels as PNG, lossless and quick to decode; None when they do not parse.

    Example:
        >>> cv2.imdecode(np.frombuffer(encode("7 " * 2304), np.uint8), cv2.IMREAD_UNCHANGED).shape
        (48, 48)
    """
    try:
        values = np.array(pixels.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    if values.size != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        return None
    picture = values.astype(np.uint8).reshape(SIDE, SIDE)
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
