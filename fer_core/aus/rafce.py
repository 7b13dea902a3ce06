"""AU labels of RAF-CE and RAF-AU: one picture a line, `0003.jpg L12+24`, `0004.jpg null`.

    RAFCE_AUlabel.txt    RAF-CE, 4,549 lines
    RAFAU_label.txt      RAF-AU, 4,601 lines in the same form, as public programs read it

`null` means *not annotated*, never *no AU active*. A token is an AU number, perhaps after a letter: L or R, one
side of the face; T or B, the upper or lower lip only. `read` and `read_file` fold the sides: `L12`, `R12` and `12` all
mean AU12 is present. `read_parts` keeps them, as columns `AU12L`, `AU12R` and `AU12`.

The rule for odd tokens (all of the real file's are in brackets; every use is counted):
- capitals do not matter [`t23`];
- `AU` or `AD` (action descriptor, FACS' name for the likes of 19) before the number is skipped [`AD19`];
- two letters, a lip and a side, may stand before the number [`BL18`, `RB18`];
- a letter after the number must repeat the one before it [`L12L`]: alone, `12B` could mean intensity B.
Anything else is an error with file, line and text.
"""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.aus.intensity import FILE as INTENSITIES
from fer_core.aus.intensity import read_intensities
from fer_core.aus.labels import AuLabels
from fer_core.aus.partners import Partners, by_sample
from fer_core.aus.sides import fold
from fer_core.aus.vocabulary import NAMES, RAFCE, column
from fer_core.datasets.lines import bad_line, picture_key, read_lines

FILE, RAFAU_FILE = "RAFCE_AUlabel.txt", "RAFAU_label.txt"
UNANNOTATED = "null"
PARTS = ("L", "R", "T", "B", "TL", "TR", "BL", "BR")
_PLAIN = re.compile(r"([LRTB]?)([1-9]\d?)")
_ODD = re.compile(r"(?:AU|AD)?(?P<sides>[LR]?[TB]?|[TB][LR])(?P<number>[1-9]\d?)(?P<after>[LRTB]?)", re.IGNORECASE)


def parse_token(token: str) -> tuple[int, str, bool]:
    """Read one token.

    Returns:
        The AU number, the part of the face (T or B, then L or R, or ""), and whether it took the rule for odd tokens.

    Raises:
        ValueError: the token is neither, or FACS has no such number.

    Example:
        >>> parse_token("L12"), parse_token("BL18"), parse_token("RB18")
        ((12, 'L', False), (18, 'BL', True), (18, 'BR', True))
    """
    if plain := _PLAIN.fullmatch(token):
        part, number, odd = plain[1], int(plain[2]), False
    else:
        match = _ODD.fullmatch(token)
        if not match or match["after"].upper() not in ("", match["sides"].upper()):
            raise ValueError(token)
        part, number, odd = match["sides"].upper(), int(match["number"]), True
    if number not in NAMES:
        raise ValueError(token)
    return number, "".join(letter for letter in "TBLR" if letter in part), odd


def read(folder: Path) -> AuLabels | None:
    """Read `RAFCE_AUlabel.txt` of a folder by itself, pictures' keys as index, folded; None where there is none."""
    path = folder / FILE
    return read_file(path) if path.is_file() else None


def read_rafce(folder: Path, rows: pd.DataFrame) -> AuLabels | None:
    """Read `RAFCE_AUlabel.txt` and `AUintensity.csv`; see `fer_core.aus.labels.Source`."""
    return _read(folder, FILE, rows)


def read_rafau(folder: Path, rows: pd.DataFrame) -> AuLabels | None:
    """Read `RAFAU_label.txt`, and an `AUintensity.csv` of one's own; see `fer_core.aus.labels.Source`."""
    return _read(folder, RAFAU_FILE, rows)


def _read(folder: Path, name: str, rows: pd.DataFrame) -> AuLabels | None:
    intensities = read_intensities(folder)
    if not (folder / name).is_file():
        if intensities is None:
            return None
        found = AuLabels(pd.DataFrame(index=intensities.index[:0]), 0, 0, intensities=intensities)
        return by_sample(found, Partners(rows), str(folder / INTENSITIES))
    return by_sample(replace(read_parts(folder / name), intensities=intensities), Partners(rows), str(folder / name))


def read_file(path: Path, vocabulary: tuple[int, ...] = RAFCE) -> AuLabels:
    """Read a file of AU labels, sides folded; see `read_parts`."""
    labels = read_parts(path, vocabulary)
    return replace(labels, table=fold(labels.table))


def read_parts(path: Path, vocabulary: tuple[int, ...] = RAFCE) -> AuLabels:
    """Read a file of AU labels.

    Args:
        path: the file.
        vocabulary: AU numbers that become columns; others are counted and left out.

    Returns:
        Labels by picture key. The table has a column for every AU of the vocabulary, where a label has it without a
        part, followed by one for each part that occurs.

    Raises:
        DataError: a line does not parse (file, line, text) or a picture stands twice.
    """
    lines = read_lines(path)
    tokens: Counter[str] = Counter()
    odd: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    shown: dict[str, set[str] | None] = {}  # columns of what stands after the name, None where it is not annotated
    times = Counter(line.rest for line in lines)
    for line in lines:
        if line.rest in shown:
            continue
        if line.rest.lower() == UNANNOTATED:
            shown[line.rest] = None
            continue
        present: set[tuple[int, str]] = set()
        for token in (part.strip() for part in line.rest.split("+")):
            try:
                number, side, was_odd = parse_token(token)
            except ValueError:
                expected = f"AUs like 1+4+L12 or {UNANNOTATED}; {token!r} is no AU"
                raise bad_line(path, line.number, line.text, expected) from None
            tokens[token] += times[line.rest]
            odd[token] += was_odd * times[line.rest]
            present.add((number, side))
        shown[line.rest] = {column(number, side) for number, side in present if number in vocabulary}
        for name in {column(number) for number, _ in present if number not in vocabulary}:
            outside[name] += times[line.rest]
    occurring = {name for names in shown.values() if names for name in names}
    columns = [
        name
        for number in vocabulary
        for name in (column(number), *(column(number, part) for part in PARTS if column(number, part) in occurring))
    ]
    position = {name: k for k, name in enumerate(columns)}
    kinds = np.zeros((len(shown), len(columns)), np.float32)
    for row, names in enumerate(shown.values()):
        if names is None:
            kinds[row] = np.nan
        else:
            kinds[row, [position[name] for name in names]] = 1.0
    kind = {rest: row for row, rest in enumerate(shown)}
    values = kinds[[kind[line.rest] for line in lines]]
    index = pd.Index([picture_key(line.name) for line in lines], name="picture")
    return AuLabels(
        table=pd.DataFrame(values, index=index, columns=columns),
        lines=len(lines),
        unannotated=sum(count for rest, count in times.items() if shown[rest] is None),
        tokens=dict(tokens.most_common()),
        odd=dict(+odd),
        outside=dict(outside.most_common()),
    )
