"""Look at a sample of a data set's pictures: sizes, modes, which cannot be read, which are the same."""

import hashlib
import io
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fer_core.datasets.dataset import NO_PICTURE, Published

SAMPLE = 500  # pictures
_LISTED = 5
_SMALL = 128  # pixels: square pictures up to here were cut by somebody
_TURNED = 0x0112  # EXIF's orientation


def look_at(published: Published, most: int = SAMPLE) -> dict[str, Any]:
    """Decode a sample, spread evenly over the rows whose picture is there.

    Args:
        published: the set.
        most: pictures that are looked at.

    Returns:
        `sampled` (pictures), `width` and `height` (each min, median, max of those that decode), `modes` (name of PIL ->
        pictures), `cropped` (whether they look it: all square, and of one size or small), `turned` (by EXIF),
        `unreadable` (names) and `same` (pairs of names with equal bytes). Sizes are of the file as stored.
    """
    there = published.rows[published.rows["drop_reason"].ne(NO_PICTURE).fillna(True)]
    at = np.unique(np.linspace(0, len(there) - 1, min(most, len(there))).round().astype(int))
    sample: pd.DataFrame = there.iloc[at]
    sizes: list[tuple[int, int]] = []
    modes: Counter[str] = Counter()
    unreadable: list[str] = []
    seen: dict[bytes, str] = {}
    same: list[list[str]] = []
    turned = 0
    for name, data in published.pictures(sample):
        found = _decode(data)
        if found is None or data is None:
            unreadable.append(name)
            continue
        size, mode, was_turned = found
        sizes.append(size)
        modes[mode] += 1
        turned += was_turned
        first = seen.setdefault(hashlib.blake2b(data, digest_size=16).digest(), name)
        if first != name:
            same.append([first, name])
    facts: dict[str, Any] = {"sampled": len(sample), "modes": dict(modes.most_common()), "turned": turned}
    if sizes:
        table = pd.DataFrame(sizes, columns=["width", "height"])
        for side in ("width", "height"):
            facts[side] = [int(table[side].min()), int(table[side].median()), int(table[side].max())]
    square = bool(sizes) and all(width == height for width, height in sizes)
    facts["cropped"] = square and (len(set(sizes)) == 1 or max(sizes)[0] <= _SMALL)
    return facts | {"unreadable": unreadable, "same": same}


def problems_of(facts: dict[str, Any]) -> list[str]:
    """Return what is wrong with the sample, as sentences."""
    told = []
    if facts["unreadable"]:
        count, names = len(facts["unreadable"]), facts["unreadable"][:_LISTED]
        told.append(f"{count} of {facts['sampled']} pictures looked at cannot be read: {_list(names, count)}")
    if facts["same"]:
        count, pairs = len(facts["same"]), [" = ".join(pair) for pair in facts["same"][:_LISTED]]
        told.append(f"{count} of {facts['sampled']} pictures looked at repeat another's bytes: {_list(pairs, count)}")
    return told


def _decode(data: bytes | None) -> tuple[tuple[int, int], str, bool] | None:
    if not data:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as picture:
                picture.load()  # a truncated one fails only here
                return picture.size, picture.mode, picture.getexif().get(_TURNED, 1) not in (0, 1)
    except Exception:  # decoders end in whatever they like; a picture that does not decode is unreadable
        return None


def _list(names: list[str], count: int) -> str:
    return ", ".join(names) + (" ..." if count > len(names) else "")
