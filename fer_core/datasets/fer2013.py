"""FER2013 (Goodfellow et al., ICONIP 2013): `fer2013.csv` with columns emotion, pixels, Usage.

Usage Training is train, PublicTest validation, PrivateTest test. Copies without PrivateTest are common: then
PublicTest is halved by a hash of the picture, so that identical pictures stay on one side, whatever else the
file holds. FER2013 repeats pictures across its own splits; the card says how many.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from fer_core.datasets.dataset import Dataset, check
from fer_core.datasets.folds import Folds, deal, told
from fer_core.datasets.limit import limit_rows
from fer_core.datasets.lines import require_files
from fer_core.datasets.pixels import encode, picture_hash, stream
from fer_core.errors import DataError
from fer_core.labels import FER2013
from fer_core.manifest import OWNED, without_clips

CSV = "fer2013.csv"
SPLIT_OF_USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}


def read(folder: Path, limit: int | None, seed: int, *, folds: Folds | None = None) -> Dataset:
    """Read `fer2013.csv`.

    Args:
        folder: where it lies.
        limit: labelled pictures to keep, or None for all.
        seed: of the draw that `limit` makes, and of the folds.
        folds: take these instead of the published split.

    Raises:
        DataError: the file is missing or a row does not parse (file, line, what was expected).
    """
    require_files(folder, (CSV,))
    rows, notes = read_rows(folder / CSV, source="fer2013")
    rows = deal(limit_rows(rows, limit, seed), folds, seed)
    return check(
        Dataset(
            rows=rows[list(OWNED["ingest"])],
            pictures=partial(read_pictures, folder / CSV, rows),
            title="FER2013",
            labels=FER2013,
            notes=tuple(told(folds, published=True) or notes),
        )
    )


def read_rows(path: Path, source: str) -> tuple[pd.DataFrame, list[str]]:
    """Read everything but the pixels: the ingest columns, and `row` (0-based), `usage` and `hash`.

    Raises:
        DataError: an emotion outside 0..6, an unknown Usage, or no row for one of the splits.
    """
    emotions, usages, hashes = [], [], []
    for row in stream(path):
        if not row.emotion.isdigit() or int(row.emotion) >= len(FER2013.classes):
            expected = f"an emotion from 0 to {len(FER2013.classes) - 1}"
            raise DataError(f"{path}, line {row.line}: expected {expected}; got {row.emotion!r}.")
        if row.usage not in SPLIT_OF_USAGE:
            raise DataError(
                f"{path}, line {row.line}: expected a Usage of {', '.join(SPLIT_OF_USAGE)}; got {row.usage!r}."
            )
        emotions.append(int(row.emotion))
        usages.append(row.usage)
        hashes.append(picture_hash(row.pixels))
    if not emotions:
        raise DataError(f"{path} has a header but no rows.")

    rows = pd.DataFrame({"emotion": pd.Series(emotions, dtype="Int16"), "usage": usages, "hash": hashes})
    rows["row"] = range(len(rows))
    rows["sample_id"] = [f"fer{row:07d}" for row in rows["row"]]
    rows["source"] = source
    rows["picture"] = rows["sample_id"] + ".png"
    rows["split"] = [SPLIT_OF_USAGE[usage] for usage in usages]
    for column in ("subject", "votes", "landmarks", "drop_reason"):
        rows[column] = None
    rows = without_clips(rows)
    notes = []
    if "PrivateTest" not in usages:
        moved = (rows["split"] == "validation") & pd.Series([digest[0] % 2 == 1 for digest in hashes])
        rows.loc[moved, "split"] = "test"
        notes.append("PrivateTest is absent: PublicTest was halved by picture hash into validation and test")
    return rows, notes


def read_pictures(path: Path, rows: pd.DataFrame) -> Iterator[tuple[str, bytes | None]]:
    """Yield (sample_id, PNG) in the order of `rows`, which is the file's; None where pixels do not parse."""
    wanted = dict(zip(rows["row"], rows["sample_id"], strict=True))
    for number, row in enumerate(stream(path)):
        if number in wanted:
            yield wanted[number], encode(row.pixels)
