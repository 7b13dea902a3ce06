"""FER2013 (Goodfellow et al., ICONIP 2013), as one CSV of pixels or as folders of pictures.

    fer2013.csv                      columns emotion, pixels, Usage
    icml_face_data.csv               the same in another order, names with leading blanks, from the challenge's page
    train/angry/*.jpg, test/..       the pictures in folders, as often passed on; read as `folder` does

Usage Training is train, PublicTest validation, PrivateTest test. Copies without PrivateTest are common: then
PublicTest is halved by a hash of the picture, so that identical pictures stay on one side, whatever else the
file holds. FER2013 repeats pictures across its own splits; the card says how many. Folders have train and test, where
test is PublicTest and PrivateTest together; some have validation too.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from fer_core.datasets.dataset import Info, Published
from fer_core.datasets.folder import members_of, published
from fer_core.datasets.lines import require_files
from fer_core.datasets.options import read_options
from fer_core.datasets.pixels import encode, picture_hash, stream
from fer_core.datasets.rows import make_rows
from fer_core.errors import DataError
from fer_core.labels import FER2013, canonical

CSV, ICML_CSV = "fer2013.csv", "icml_face_data.csv"
SPLIT_OF_USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}


INFO = Info(
    title="FER2013",
    page="kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
    files=(
        "fer2013.csv (or icml_face_data.csv) with the columns emotion, pixels, Usage",
        "or train/angry/*.jpg, test/angry/*.jpg .., one folder per class",
    ),
    obtain="From the challenge's page, with an account there.",
    marks=(CSV, ICML_CSV, "train/angry/Training_*.jpg", "test/angry/*Test_*.jpg"),
    verified="published fer2013.csv without PrivateTest; made-up files in the form of the others",
)


def read(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read `fer2013.csv`, else `icml_face_data.csv`, else folders of pictures.

    Args:
        folder: where they lie.
        options: none.

    Raises:
        ConfigError: there are options.
        DataError: the file is missing or a row does not parse (file, line, what was expected), or there is a folder
            of a class that is none of the seven.
    """
    read_options("fer2013", options, {})
    csv = next((name for name in (CSV, ICML_CSV) if (folder / name).is_file()), None)
    if csv is None and folder.is_dir() and any(path.is_dir() for path in folder.glob("[!._]*")):
        return _read_folders(folder)
    require_files(folder, (csv or CSV,), f", or {ICML_CSV}, or folders train/angry/ .. with pictures")
    rows, notes, _ = read_rows(folder / (csv or CSV))
    return Published(rows, partial(read_pictures, folder / (csv or CSV)), FER2013, split_notes=tuple(notes))


def _read_folders(folder: Path) -> Published:
    members, notes = members_of(folder)
    for member in members:
        if member.label and canonical(member.label) not in FER2013.classes:
            raise DataError(
                f"{folder}: expected folders of FER2013's classes angry, disgust, fear, happy, neutral, sad, surprise; "
                f"got {member.label!r}. For other classes there is `data: folder`."
            )
    return published(members, FER2013, notes)


def read_rows(path: Path) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Read everything but the pixels.

    Returns:
        The rows, notes, and the Usage of every row.

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

    rows = make_rows(
        {
            "sample_id": f"fer{number:07d}",
            "picture": f"fer{number:07d}.png",
            "split": SPLIT_OF_USAGE[usage],
            "emotion": emotion,
        }
        for number, (emotion, usage) in enumerate(zip(emotions, usages, strict=True))
    )
    notes = []
    if "PrivateTest" not in usages:
        moved = (rows["split"] == "validation") & pd.Series([digest[0] % 2 == 1 for digest in hashes])
        rows.loc[moved, "split"] = "test"
        notes.append("PrivateTest is absent: PublicTest was halved by picture hash into validation and test")
    return rows, notes, usages


def read_pictures(path: Path, rows: pd.DataFrame) -> Iterator[tuple[str, bytes | None]]:
    """Yield (sample_id, PNG) in the order of `rows`, which is the file's; None where pixels do not parse."""
    wanted = set(rows["sample_id"])
    for number, row in enumerate(stream(path)):
        if (sample := f"fer{number:07d}") in wanted:
            yield sample, encode(row.pixels)
