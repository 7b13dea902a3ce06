"""Find picture files where the publishers of RAF-CE and their users put them."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from fer_core.datasets.lines import picture_key
from fer_core.datasets.safe_paths import ENDINGS

FOLDERS = ("", "original", "images", "image", "Image", "Image/original", "Image/aligned", "aligned")


def in_folder(folder: Path) -> dict[str, Path]:
    """Return picture key -> file of the pictures that lie directly in a folder, sorted by name."""
    return _by_key(pictures_in(folder)) if folder.is_dir() else {}


def find(folder: Path, wanted: list[str], originals_first: bool) -> tuple[dict[str, Path], bool]:
    """Find the pictures of a label file.

    All come from one folder and are all originals or all `_aligned`, because landmarks are in pixels of the
    originals. The place with the most of the wanted pictures wins; of equals, originals where
    `originals_first`, else aligned ones (without landmarks nothing here could crop a face out of an original).

    Args:
        folder: the data set's folder.
        wanted: picture keys.
        originals_first: preference between two equally complete places.

    Returns:
        Picture key -> file, empty where none is anywhere, and whether the files are the publisher's aligned crops.
    """
    best: tuple[int, bool, dict[str, Path], bool] | None = None
    keys = set(wanted)
    for name in FOLDERS:
        place = folder / name
        if not place.is_dir():
            continue
        files = pictures_in(place)
        for aligned in (False, True):
            found = _by_key([path for path in files if path.stem.endswith("_aligned") == aligned])
            found = {key: path for key, path in found.items() if key in keys}
            is_crop = aligned or place.name == "aligned"
            score = (len(found), is_crop != originals_first)
            if found and (best is None or score > best[:2]):
                best = (*score, found, is_crop)
    return (best[2], best[3]) if best else ({}, False)


def read_pictures(files: dict[str, Path], rows: pd.DataFrame) -> Iterator[tuple[str, bytes | None]]:
    """Yield (sample_id, file content) in the order of `rows`; None where there is no file.

    Args:
        files: `sample_id` -> file.
        rows: of the manifest.
    """
    for sample in rows["sample_id"]:
        path = files.get(sample)
        yield sample, path.read_bytes() if path else None


def pictures_in(folder: Path) -> list[Path]:
    """Return the files that lie directly in a folder and end as pictures do, sorted by name; hidden ones are none.

    Copies from a Mac leave a hidden `._0001.jpg` beside every picture, which is no picture.
    """
    files = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in files if path.suffix.lower() in ENDINGS)


def _by_key(files: list[Path]) -> dict[str, Path]:
    """Return picture key -> file; of 0001.jpg and 0001.png the first by name."""
    found: dict[str, Path] = {}
    for path in files:
        found.setdefault(picture_key(path.name), path)
    return found
