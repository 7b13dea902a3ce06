"""AffectNet (Mollahosseini et al., IEEE TAC 2017): the part that people annotated, as it was published.

    Manually_Annotated_file_lists/training.csv, validation.csv     also directly in the folder
        subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal
        689/x.jpg,134,134,899,899,181.6;530.9;..,1,0.78,-0.01      68 points x;y;x;y .., pixels of the picture
    Manually_Annotated_Images/689/x.jpg    also in Manually_Annotated/Manually_Annotated_Images/ or in the folder

Copies of validation.csv without the first line are about. Expressions 0 to 7 are the classes in the order of
`labels.AFFECTNET`; 8 (None), 9 (Uncertain) and 10 (No-Face) are no emotions: such rows are dropped, with the reason.
`affectnet7` leaves contempt out too. Faces that the publishers did not find have NULL or a negative size for a box.
Valence and arousal are not read. The test pictures were not published, so validation.csv is the test split, as in
most papers. The format is taken from programs that read it, not from the files.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fer_core.datasets.columns import Columns, column_names, read_columns
from fer_core.datasets.dataset import NO_PICTURE, Info, Published
from fer_core.datasets.lines import require_files
from fer_core.datasets.options import read_options
from fer_core.datasets.pictures import read_pictures
from fer_core.datasets.rows import make_rows
from fer_core.datasets.safe_paths import relative, walk_pictures, without_ending
from fer_core.errors import DataError
from fer_core.labels import AFFECTNET, LabelSet

LISTS, IMAGES = "Manually_Annotated_file_lists", "Manually_Annotated_Images"
SPLIT_OF_FILE = {"training.csv": "train", "validation.csv": "test"}
BOX = ("face_x", "face_y", "face_width", "face_height")
PICTURE, POINTS, EXPRESSION = "subDirectory_filePath", "facial_landmarks", "expression"
HEADER = (PICTURE, *BOX, POINTS, EXPRESSION, "valence", "arousal")
NO_EMOTION = {8: "None", 9: "Uncertain", 10: "No-Face"}
AFFECTNET7 = LabelSet(AFFECTNET.classes[:7])
# of the 68 points: the contours of the eyes, the tip of the nose, the corners of the mouth
_TAKEN = (*range(36, 42), *range(42, 48), 30, 48, 54)
_UNKNOWN = ("", "NULL", "null", "NaN", "nan")

INFO = Info(
    title="AffectNet",
    page="mohammadmahoor.com/affectnet",
    files=(f"{LISTS}/training.csv, validation.csv", f"{IMAGES}/<number>/*.jpg"),
    obtain="By a request of a research group's head, as the page says; the pictures may not be passed on.",
    marks=(f"{LISTS}/training.csv", f"{LISTS}/validation.csv"),
    verified="made-up files in the published form, from programs that read it",
)
INFO7 = Info(
    title="AffectNet without contempt",
    page=INFO.page,
    files=INFO.files,
    obtain=INFO.obtain,
    marks=INFO.marks,
    verified=INFO.verified,
)


def read(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read AffectNet with its eight classes.

    Args:
        folder: where the published folders lie.
        options: none.

    Raises:
        ConfigError: there are options.
        DataError: a file is missing, a cell does not parse (file, line, column), or a picture stands twice.
    """
    read_options("affectnet", options, {})
    return _read(folder, AFFECTNET)


def read7(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read AffectNet without contempt, whose rows are dropped; see `read`."""
    read_options("affectnet7", options, {})
    return _read(folder, AFFECTNET7)


def _read(folder: Path, labels: LabelSet) -> Published:
    lists = "" if all((folder / name).is_file() for name in SPLIT_OF_FILE) else f"{LISTS}/"
    require_files(folder, [lists + name for name in SPLIT_OF_FILE], f" and the pictures in {IMAGES}/")
    images = next((p for p in (IMAGES, f"Manually_Annotated/{IMAGES}") if (folder / p).is_dir()), "")
    files, notes = walk_pictures(folder / images)
    start = len(str(folder / images)) + 1
    found = {str(file)[start:]: file for file in files}

    records: list[dict[str, Any]] = []
    lines: dict[str, str] = {}  # sample_id -> where it stands
    dropped: dict[str, int] = {}
    kept: dict[str, Path] = {}
    for name, split in SPLIT_OF_FILE.items():
        table = _table(folder / lists / name)
        reasons = [_reason(table, row, len(labels.classes)) for row in range(len(table.numbers))]
        used = [row for row, reason in enumerate(reasons) if reason is None]
        boxes, points = _boxes(table, used), _five_points(table, used)
        for row, (cell, reason) in enumerate(zip(table.cells[PICTURE], reasons, strict=True)):
            path = relative(cell, table.where(row))
            sample = without_ending(path)
            if sample in lines:
                raise DataError(f"{table.where(row)}: {cell!r} stands already in {lines[sample]}.")
            lines[sample] = table.where(row)
            file = found.pop(path, None)
            if reason is not None:
                dropped[reason] = dropped.get(reason, 0) + 1
            elif file is not None:
                kept[sample] = file
            records.append(
                {
                    "sample_id": sample,
                    "picture": f"{images}/{path}".lstrip("/"),
                    "split": split,
                    "emotion": None if reason else int(table.cells[EXPRESSION][row]),
                    "landmarks": points.get(row),
                    "box": boxes.get(row),
                    "drop_reason": reason or (None if file else NO_PICTURE),
                }
            )
    if dropped:
        told = ", ".join(f"{reason.rsplit(' ', 1)[1]} {count}" for reason, count in sorted(dropped.items()))
        notes.append(f"{sum(dropped.values())} of {len(records)} pictures are dropped for their labels: {told}")
    if found:
        notes.append(f"{len(found)} pictures stand in neither list and were left out")
    return Published(
        rows=make_rows(records),
        pictures=partial(read_pictures, kept),
        labels=labels,
        notes=tuple(notes),
        split_notes=("the published validation pictures are the test split: the test pictures were not published",),
    )


def _table(path: Path) -> Columns:
    """Read a list, with or without its first line."""
    first = column_names(path, ",")
    bare = len(first) == len(HEADER) and first[6].isdigit()
    lacking = [name for name in HEADER[:7] if name not in first]
    if lacking and not bare:
        raise DataError(f"{path}, line 1: expected the columns {', '.join(HEADER)}; {lacking[0]} is missing.")
    table = read_columns(path, HEADER[:7], header=HEADER if bare else None, delimiter=",")
    if not table.numbers:
        raise DataError(f"{path} has a header but no rows.")
    return table


def _reason(table: Columns, row: int, classes: int) -> str | None:
    """Return why a row has no emotion, or None where it has one."""
    text = table.cells[EXPRESSION][row]
    if not (text.isascii() and text.isdigit() and int(text) < len(AFFECTNET.classes) + len(NO_EMOTION)):
        raise table.bad(row, EXPRESSION, "an expression from 0 to 10")
    number = int(text)
    if number < classes:
        return None
    return f"its published label is {NO_EMOTION.get(number) or AFFECTNET.classes[number]}"


def _boxes(table: Columns, rows: Sequence[int]) -> dict[int, np.ndarray]:
    """Return row -> left, top, right, bottom, float32 `(4,)`, of the rows that have a box."""
    cells = [table.cells[name] for name in BOX]
    numbers = np.full((len(rows), 4), np.nan, np.float32)
    for k, row in enumerate(rows):
        for j, (name, column) in enumerate(zip(BOX, cells, strict=True)):
            if column[row] not in _UNKNOWN:
                try:
                    numbers[k, j] = float(column[row])
                except ValueError:
                    raise table.bad(row, name, "a number of pixels") from None
    usable = np.asarray(np.isfinite(numbers).all(1) & (numbers[:, 2:] > 0).all(1))
    numbers[:, 2:] += numbers[:, :2]
    return {row: numbers[k] for k, row in enumerate(rows) if usable[k]}


def _five_points(table: Columns, rows: Sequence[int]) -> dict[int, np.ndarray]:
    """Return row -> x0, y0 .. x4, y4, float32 `(10,)`: eyes, tip of the nose, corners of the mouth."""
    known = [row for row in rows if table.cells[POINTS][row] not in _UNKNOWN]
    numbers = np.empty((len(known), len(_TAKEN), 2), np.float32)
    places = [place for point in _TAKEN for place in (2 * point, 2 * point + 1)]
    for k, row in enumerate(known):
        parts = table.cells[POINTS][row].rstrip(";").split(";")
        try:
            if len(parts) != 2 * 68:
                raise ValueError(len(parts))
            numbers[k] = np.array([float(parts[place]) for place in places]).reshape(-1, 2)
        except ValueError:
            raise table.bad(row, POINTS, "68 points x;y;x;y ..") from None
    finite = np.isfinite(numbers).reshape(len(known), 2 * len(_TAKEN)).sum(axis=1) == 2 * len(_TAKEN)
    for k in np.flatnonzero(~finite)[:1]:
        raise table.bad(known[k], POINTS, "68 points of finite numbers")
    five = np.stack([numbers[:, :6].mean(1), numbers[:, 6:12].mean(1), *numbers[:, 12:].swapaxes(0, 1)], axis=1)
    return dict(zip(known, five.reshape(-1, 10), strict=True))
