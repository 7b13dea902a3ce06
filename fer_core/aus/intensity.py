"""How strong each Action Unit is: `AUintensity.csv`, in sets of RAF-CE's layout that have it.

    picture,AU1,AU12       a header, then one picture a line; commas between the cells
    0001.jpg,0,C           FACS' letters A trace, B slight, C marked, D severe, E maximum are 1 to 5; 0 is absent
    0002.jpg,2.5,          numbers from 0 to 5 do as well, fractions too; an empty cell is *not known*

Ekman, Friesen & Hager, "Facial Action Coding System", 2002. Left out of the file, a picture's intensities are not known
either. Whether an AU is present is for the binary labels to say, from which these may differ: many sets count an AU
as present from B on.
"""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.aus.vocabulary import NAMES
from fer_core.datasets.lines import bad_line, picture_key, read_text
from fer_core.errors import DataError
from fer_core.manifest import STRONGEST

FILE, PICTURE = "AUintensity.csv", "picture"
LETTERS = {"A": 1.0, "B": 2.0, "C": 3.0, "D": 4.0, "E": 5.0}
_COLUMN = re.compile(r"AU([1-9]\d?)")


def parse_intensity(text: str) -> float:
    """Read one cell: a letter from A to E, a number from 0 to 5, or nothing, which is NaN.

    Raises:
        ValueError: it is none of these.

    Example:
        >>> parse_intensity("C"), parse_intensity("2.5"), parse_intensity("")
        (3.0, 2.5, nan)
    """
    if not text:
        return float("nan")
    value = LETTERS[text.upper()] if text.upper() in LETTERS else float(text)
    if not 0 <= value <= STRONGEST:  # refuses "nan" too
        raise ValueError(text)
    return value


def read_intensities(folder: Path) -> pd.DataFrame | None:
    """Read `AUintensity.csv` of a folder; None where there is none.

    Returns:
        Index picture key, in the file's order; one float32 column per AU (`AU1` ...), from 0 to 5, NaN not known.

    Raises:
        DataError: names file, line and column where the header is not `picture` and AUs that FACS has, each once, or
            a line has too many or too few cells, a value that is no intensity or a picture twice; or the file is empty.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
    header: list[str] = []
    seen: dict[str, int] = {}
    rows: list[list[float]] = []
    try:
        for cells in reader:
            line, row = reader.line_num, [cell.strip() for cell in cells]
            if not any(row):
                continue  # a blank line, or one of commas alone as a spreadsheet leaves them at the end
            if not header:
                header = _check_header(path, line, row)
                continue
            if len(row) != len(header):
                expected = f"{len(header)} cells (a picture and {len(header) - 1} AUs), commas between them"
                raise bad_line(path, line, ",".join(row), expected)
            key = picture_key(row[0])
            if not key:
                raise bad_line(path, line, ",".join(row), f"the name of a picture in the column `{PICTURE}`")
            if key in seen:
                raise DataError(f"{path}, line {line}: {row[0]!r} stands already in line {seen[key]}.")
            seen[key] = line
            rows.append([_value(path, line, column, text) for column, text in zip(header[1:], row[1:], strict=True)])
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a line of comma-separated values: {error}.") from None
    if not rows:
        raise DataError(f"{path} is empty." if not header else f"{path} has a header and no picture below it.")
    index = pd.Index(list(seen), name=PICTURE)
    return pd.DataFrame(np.array(rows, np.float32), index=index, columns=header[1:])


def _value(path: Path, line: int, column: str, text: str) -> float:
    try:
        return parse_intensity(text)
    except ValueError:
        expected = f"0 to {STRONGEST}, a letter from A to E or nothing in the column `{column}`"
        raise bad_line(path, line, text, expected) from None


def _check_header(path: Path, line: int, header: list[str]) -> list[str]:
    text = ",".join(header)
    if header[0] != PICTURE or len(header) == 1:
        raise bad_line(path, line, text, f"a header `{PICTURE},AU1,AU2,...`")
    for name in header[1:]:
        match = _COLUMN.fullmatch(name)
        if not match or int(match[1]) not in NAMES:
            raise bad_line(path, line, name, "an AU that FACS has, such as AU12, as the name of a column")
        if header.count(name) > 1:
            raise bad_line(path, line, text, f"each AU once in the header, `{name}` too")
    return header
