"""What programs that estimate AUs write: CSV files with one row a face, brought to the rows of the manifest.

Shared by `openface` and `pyfeat`. A file of one picture is called as the picture is; a column `picture` (a user's own)
or `input` (Py-Feat's) names the pictures in a file of many. Rows with several numbers in `frame` are those of a clip or
a video. Of several faces in a picture the one that the program is surest of counts.
"""

import csv
import math
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.aus.labels import AuLabels
from fer_core.aus.partners import Partners
from fer_core.aus.vocabulary import NAMES, column
from fer_core.datasets.lines import bad_line, read_text
from fer_core.errors import DataError

PICTURE_COLUMNS = ("picture", "input")
_NAN = re.compile(r"[-+]?(nan.*|1\.#.*|)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Face:
    """One face in one picture; a set may have a million of them.

    Attributes:
        path: the file.
        line: its line.
        name: of the picture or the video, perhaps with folders and an ending.
        frame: as the program counts, from 0; None where it counts none.
        score: how sure the program is that this is a face; the largest counts.
        present_aus: the AUs of `present`, one tuple for all faces of a file.
        present: for each 1, 0 or NaN.
        strong_aus: the AUs of `strong`.
        strong: for each its intensity from 0 to 5, or NaN.
    """

    path: Path
    line: int
    name: str
    frame: int | None
    score: float
    present_aus: tuple[int, ...]
    present: "array[float]"
    strong_aus: tuple[int, ...] = ()
    strong: "array[float]" = field(default_factory=lambda: floats(()))

    @property
    def where(self) -> str:
        """File and line, for errors."""
        return f"{self.path}, line {self.line}"


def floats(values: Iterable[float]) -> "array[float]":
    """Return float32 numbers packed, 4 bytes each."""
    return array("f", values)


def csv_files(folder: Path, name: str) -> list[Path]:
    """Return `<name>.csv` and all of `<name>/**/*.csv`, sorted; hidden ones are no part of it."""
    inside = sorted(path for path in (folder / name).rglob("*.csv") if not path.name.startswith("."))
    alone = folder / f"{name}.csv"
    return [*([alone] if alone.is_file() else []), *(path for path in inside if path.is_file())]


def read_csv(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and column -> cell of each row, blanks around names and cells taken off.

    Raises:
        DataError: the file is empty, has a column twice, or a line has too many or too few cells. A header alone is no
            fault: there was no face in the picture.
    """
    header: list[str] = []
    try:
        with path.open(encoding="utf-8-sig") as file:  # line by line: a file of a million faces has 250 MB
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            for cells in reader:
                row = [cell.strip() for cell in cells]
                if not any(row):
                    continue
                if not header:
                    header = row
                    twice = next((name for name in header if header.count(name) > 1), None)
                    if twice:
                        raise DataError(
                            f"{path}, line {reader.line_num}: expected each column once; got {twice!r} twice."
                        )
                elif len(row) != len(header):
                    raise bad_line(path, reader.line_num, ",".join(row), f"{len(header)} cells")
                else:
                    yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a line of comma-separated values: {error}.") from None
    except (FileNotFoundError, UnicodeDecodeError):
        read_text(path)  # says what is wrong
        raise
    if not header:
        raise DataError(f"{path} is empty.")


def number(path: Path, line: int, name: str, text: str, top: float) -> float:
    """Read a cell from 0 to `top`; empty, `nan` and what C programs print for it are NaN.

    Raises:
        DataError: names file, line and column.
    """
    value = _parsed(text)
    if value < 0 or value > top:
        raise bad_line(path, line, text, f"0 to {top:g} or nothing in the column `{name}`")
    return value


@lru_cache(2**16)  # programs write two decimals: the same few hundred texts again and again
def _parsed(text: str) -> float:
    try:
        return math.nan if _NAN.fullmatch(text) else float(text)
    except ValueError:
        return math.inf


def frame_of(path: Path, line: int, row: Mapping[str, str], first: int) -> int | None:
    """Return the row's frame, counted from 0; None where the file counts none.

    Args:
        path: the file.
        line: its line.
        row: column -> cell.
        first: the number that the program gives the first frame.
    """
    if not row.get("frame"):
        return None
    value = number(path, line, "frame", row["frame"], math.inf)
    if not math.isfinite(value) or value != int(value) or value < first:
        raise bad_line(path, line, row["frame"], f"a whole number from {first} in the column `frame`")
    return int(value) - first


def units(path: Path, header: Mapping[str, str], pattern: re.Pattern[str]) -> dict[str, int]:
    """Return column -> AU of the columns that match; group 1 is the number.

    Raises:
        DataError: FACS has no such AU.
    """
    found = {name: int(match[1]) for name in header if (match := pattern.fullmatch(name))}
    for name, unit in found.items():
        if unit not in NAMES:
            raise DataError(f"{path}: expected columns of AUs that FACS has, such as AU12; got {name!r}.")
    return found


def join_faces(faces: list[Face], rows: pd.DataFrame, where: str) -> AuLabels:
    """Bring faces to the rows of the manifest.

    Args:
        faces: in the files' order.
        rows: the set's rows of the manifest, with the set's own names.
        where: the folder of the files, for the error.

    Returns:
        Labels with a column for every AU that any face has, ascending. `unannotated` counts faces without a known AU.

    Raises:
        DataError: there is no face at all, a name fits several pictures, or two names one.
    """
    if not faces:
        raise DataError(f"{where}: expected rows of faces below the headers; got none in any file.")
    partners = Partners(rows)
    best: dict[str, dict[int | None, Face]] = {}
    for face in faces:
        of_name = best.setdefault(face.name, {})
        other = of_name.get(face.frame)
        if other is None or face.score > other.score:
            of_name[face.frame] = face
    placed: dict[str, Face] = {}
    alone: list[str] = []
    for name, of_name in best.items():
        for face, samples in _places(partners, name, of_name):
            if not samples:
                alone.append(name if len(of_name) == 1 else f"{name}, frame {face.frame} from 0")
            for sample in samples:
                if sample in placed:
                    raise DataError(f"{face.where}: {sample} has AUs already, from {placed[sample].where}.")
                placed[sample] = face
    index = pd.Index(list(placed), name="sample_id")
    chosen = list(placed.values())
    numbers = [sorted({unit for units in found for unit in units}) for found in _units_of(faces)]
    present = _table([(face.present_aus, face.present) for face in chosen], numbers[0], index)
    strong = _table([(face.strong_aus, face.strong) for face in chosen], numbers[1], index)
    unknown = sum(all(map(math.isnan, face.present)) for of_name in best.values() for face in of_name.values())
    return AuLabels(
        present, len(faces), unknown, intensities=None if strong.empty else strong, without_picture=tuple(alone)
    )


def _places(partners: Partners, name: str, faces: Mapping[int | None, Face]) -> Iterator[tuple[Face, list[str]]]:
    if len(faces) == 1:
        face = next(iter(faces.values()))
        samples = partners.of_picture(name, face.where, frames=True)
        if samples or face.frame is None:
            yield face, samples
            return
    numbers = [frame for frame in faces if frame is not None]
    found = partners.of_frames(name, numbers)
    for frame, face in faces.items():
        yield face, [found[frame]] if frame in found else []


def _units_of(faces: Sequence[Face]) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]]]:
    return {face.present_aus for face in faces}, {face.strong_aus for face in faces}


def _table(
    values: Sequence[tuple[tuple[int, ...], "array[float]"]], numbers: list[int], index: pd.Index
) -> pd.DataFrame:
    """Return a table with a column for each of the AUs `numbers`; NaN where a row has none of it."""
    out = np.full((len(values), len(numbers)), np.nan, np.float32)
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, (units, _) in enumerate(values):
        rows.setdefault(units, []).append(row)
    for units, own in rows.items():
        packed = np.frombuffer(b"".join(values[row][1] for row in own), np.float32).reshape(len(own), len(units))
        for k, unit in enumerate(units):
            out[own, numbers.index(unit)] = packed[:, k]
    return pd.DataFrame(out, index=index, columns=[column(unit) for unit in numbers])
