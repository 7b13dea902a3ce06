"""What people said of RAF-DB's faces beside their emotion: five points, a box, gender, race and age.

One small file a picture, in pixels of the original:

    Annotation/manual/train_00001_manu_attri.txt         five lines `x y` (a tab between them): the viewer's left eye,
                                                         right eye, nose, left and right corner of the mouth; then
                                                         one line each, the codes of gender, race and age
    Annotation/boundingbox/train_00001_boundingbox.txt   left top right bottom

Taken from public programs that read them: those agree on the codes, on the box and on the eyes coming first, the left
before the right, and the mouth last. None shows which corner of the mouth is first, so the corners are put in the
order of the eyes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from fer_core.datasets.lines import bad_line, read_text

T = TypeVar("T")

GENDER = ("male", "female", "unsure")
RACE = ("Caucasian", "African-American", "Asian")
AGE = ("0-3", "4-19", "20-39", "40-69", "70+")
_CODES = {"attr_gender": GENDER, "attr_race": RACE, "attr_age": AGE}
_POINTS = 5


class Folders(NamedTuple):
    """Where the files lie, or None."""

    manual: Path | None
    boxes: Path | None


class Annotation(NamedTuple):
    """By picture key: landmarks float32 `(10,)`, box float32 `(4,)`, attributes; and notes with counts."""

    landmarks: dict[str, np.ndarray]
    boxes: dict[str, np.ndarray]
    attributes: dict[str, dict[str, str]]
    notes: list[str]


def folders(root: Path) -> Folders:
    """Return where the annotation lies: `Annotation/manual`, `manual`, or unpacked inside a folder of its own name."""

    def place(kind: str) -> Path | None:
        names = (f"Annotation/{kind}/{kind}", f"Annotation/{kind}", kind)
        return next((root / name for name in names if (root / name).is_dir()), None)

    return Folders(place("manual"), place("boundingbox"))


def read(places: Folders, keys: Sequence[str]) -> Annotation:
    """Read the annotation of these pictures; one without a file has none, which is counted in the notes.

    Raises:
        DataError: a file does not parse (file, line, text).
    """
    manual = _read_each(places.manual, "manu_attri", keys, read_manual)
    boxes = _read_each(places.boxes, "boundingbox", keys, read_box)
    notes = [
        f"{len(keys) - len(found)} of {len(keys)} pictures have no file in Annotation/{kind}"
        for place, found, kind in ((places.manual, manual, "manual"), (places.boxes, boxes, "boundingbox"))
        if place and len(found) < len(keys)
    ]
    good = {key: box for key, box in boxes.items() if box[2] > box[0] and box[3] > box[1]}
    if len(good) < len(boxes):
        notes.append(f"{len(boxes) - len(good)} boxes have no area and are left out")
    landmarks = {key: points for key, (points, _) in manual.items()}
    return Annotation(landmarks, good, {key: words for key, (_, words) in manual.items()}, notes)


def read_manual(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    """Read `.._manu_attri.txt`: the landmarks, float32 `(10,)`, and `attr_gender`, `attr_race`, `attr_age` as words.

    Raises:
        DataError: as `read`.
    """
    lines = [(k, line.split()) for k, line in enumerate(read_text(path).splitlines(), start=1) if line.strip()]
    wanted = _POINTS + len(_CODES)
    if len(lines) != wanted:
        number, cells = lines[wanted] if len(lines) > wanted else (lines[-1] if lines else (1, []))
        expected = f"{wanted} lines (five points, gender, race, age), not {len(lines)}"
        raise bad_line(path, number, " ".join(cells), expected)
    points = np.concatenate([_numbers(path, k, cells, 2, "a point x y") for k, cells in lines[:_POINTS]])
    words = {}
    for (number, cells), (name, meanings) in zip(lines[_POINTS:], _CODES.items(), strict=True):
        codes = [str(code) for code in range(len(meanings))]
        if len(cells) != 1 or cells[0] not in codes:
            what = f"the {name.removeprefix('attr_')}, from 0 to {len(meanings) - 1}"
            raise bad_line(path, number, " ".join(cells), what)
        words[name] = meanings[int(cells[0])]
    return _mouth_as_eyes(points), words


def read_box(path: Path) -> np.ndarray:
    """Read `.._boundingbox.txt`: left, top, right, bottom, float32 `(4,)`; raises DataError as `read`."""
    return _numbers(path, 1, read_text(path).split(), 4, "a box: left top right bottom")


def _read_each(folder: Path | None, suffix: str, keys: Sequence[str], parse: Callable[[Path], T]) -> dict[str, T]:
    if folder is None:
        return {}
    there = {path.name for path in folder.iterdir()}
    names = {key: f"{key}_{suffix}.txt" for key in keys}
    return {key: parse(folder / name) for key, name in names.items() if name in there}


def _numbers(path: Path, number: int, cells: list[str], count: int, expected: str) -> np.ndarray:
    try:
        values = np.array([float(cell) for cell in cells], np.float32)
    except ValueError:
        values = np.full(count, np.nan, np.float32)
    if len(values) != count or not np.isfinite(values).all():
        raise bad_line(path, number, " ".join(cells), expected)
    return values


def _mouth_as_eyes(points: np.ndarray) -> np.ndarray:
    """Return the points with the corner of the mouth first that lies on the side of the first eye."""
    left_eye, right_eye, nose, one, other = points.reshape(_POINTS, 2)
    if (right_eye - left_eye) @ (other - one) < 0:
        one, other = other, one
    return np.concatenate([left_eye, right_eye, nose, one, other])
