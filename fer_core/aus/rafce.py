"""RAF-CE's AU labels: `RAFCE_AUlabel.txt`, one picture a line, `0003.jpg L12+24`, `0004.jpg null`.

`null` means *not annotated*, never *no AU active*. A token is an AU number, perhaps after a letter: L or R, one
side of the face; T or B, the upper or lower lip only. Sides are folded: `L12`, `R12` and `12` all mean AU12 is
present.

The rule for odd tokens (all of the real file's are in brackets; every use is counted):
- capitals do not matter [`t23`];
- `AU` or `AD` (action descriptor, FACS' name for the likes of 19) before the number is skipped [`AD19`];
- two letters, a lip and a side, may stand before the number [`BL18`, `RB18`];
- a letter after the number must repeat the one before it [`L12L`]: alone, `12B` could mean intensity B.
Anything else is an error with file, line and text.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.aus.labels import AuLabels
from fer_core.aus.vocabulary import NAMES, RAFCE, column
from fer_core.datasets.lines import bad_line, picture_key, read_lines

FILE = "RAFCE_AUlabel.txt"
UNANNOTATED = "null"
_PLAIN = re.compile(r"[LRTB]?([1-9]\d?)")
_ODD = re.compile(r"(?:AU|AD)?(?P<sides>[LR]?[TB]?|[TB][LR])(?P<number>[1-9]\d?)(?P<after>[LRTB]?)", re.IGNORECASE)


def parse_token(token: str) -> tuple[int, bool]:
    """Read one token.

    Returns:
        The AU number, and whether it took the rule for odd tokens.

    Raises:
        ValueError: the token is neither, or FACS has no such number.

    Example:
        >>> parse_token("L12"), parse_token("BL18")
        ((12, False), (18, True))
    """
    if plain := _PLAIN.fullmatch(token):
        number, odd = int(plain[1]), False
    else:
        match = _ODD.fullmatch(token)
        if not match or match["after"].upper() not in ("", match["sides"].upper()):
            raise ValueError(token)
        number, odd = int(match["number"]), True
    if number not in NAMES:
        raise ValueError(token)
    return number, odd


def read(folder: Path) -> AuLabels | None:
    """Read `RAFCE_AUlabel.txt` of a folder; None where there is none."""
    path = folder / FILE
    return read_file(path) if path.is_file() else None


def read_file(path: Path, vocabulary: tuple[int, ...] = RAFCE) -> AuLabels:
    """Read a file of AU labels.

    Args:
        path: the file.
        vocabulary: AU numbers that become columns; others are counted and left out.

    Raises:
        DataError: a line does not parse (file, line, text) or a picture stands twice.
    """
    lines = read_lines(path)
    values = np.zeros((len(lines), len(vocabulary)), np.float32)
    position = {number: k for k, number in enumerate(vocabulary)}
    tokens: Counter[str] = Counter()
    odd: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    unannotated = 0
    for row, line in enumerate(lines):
        if line.rest.lower() == UNANNOTATED:
            values[row] = np.nan
            unannotated += 1
            continue
        present = set()
        for token in (part.strip() for part in line.rest.split("+")):
            try:
                number, was_odd = parse_token(token)
            except ValueError:
                expected = f"AUs like 1+4+L12 or {UNANNOTATED}; {token!r} is no AU"
                raise bad_line(path, line.number, line.text, expected) from None
            tokens[token] += 1
            odd[token] += was_odd
            present.add(number)
        for number in present:
            if number in position:
                values[row, position[number]] = 1.0
            else:
                outside[column(number)] += 1
    index = pd.Index([picture_key(line.name) for line in lines], name="picture")
    return AuLabels(
        table=pd.DataFrame(values, index=index, columns=[column(number) for number in vocabulary]),
        lines=len(lines),
        unannotated=unannotated,
        tokens=dict(tokens.most_common()),
        odd=dict(+odd),
        outside=dict(outside.most_common()),
    )
