"""CK+'s FACS files: the Action Units of the peak of each of 593 sequences.

    FACS/S005/001/S005_001_00000011_facs.txt      also FACS_labels/FACS/S005/.., FACS_labels/S005/..

       9.0000000e+00   4.0000000e+00              AU 9 at intensity D
       1.7000000e+01   0.0000000e+00              AU 17, intensity not coded

One line an active AU, two numbers a line: the AU and its intensity, 1 to 5 for FACS' A to E. The file belongs to the
picture of its name, the last of its sequence; all other pictures are not annotated. A file without lines is of a face
without an active AU. Lucey et al., "The Extended Cohn-Kanade Dataset (CK+)", CVPR Workshops 2010.

Folders, names and columns are those of the distribution's ReadMe and of programs that read it; the files themselves
were not at hand. That 0 says "active, intensity not coded" is how the field reads them, and what must be as an AU
that is not active has no line; the ReadMe's sentence on it could not be checked.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.aus.labels import AuLabels
from fer_core.aus.partners import Partners, by_sample
from fer_core.aus.vocabulary import CKPLUS, NAMES, column
from fer_core.datasets.lines import bad_line, read_text
from fer_core.errors import DataError
from fer_core.manifest import STRONGEST

PLACES = ("FACS", "FACS_labels/FACS", "FACS_labels")
ENDING = "_facs.txt"
_A_LINE = f"an AU and its intensity from 0 to {STRONGEST}, such as 1.2e+01 3.0e+00"
_NAME = re.compile(r"S\d+_\d+_\d+")


def read(folder: Path, rows: pd.DataFrame) -> AuLabels | None:
    """Read the FACS files; see `fer_core.aus.labels.Source`.

    `outside` counts AUs that CK+ marks on less than 2 % of its peaks, and what FACS numbers above its AUs (head and
    eyes from 51 on).

    Raises:
        DataError: names file and line where a line is not an AU and its intensity, or an AU stands twice; or the file,
            where its name is not of CK+ or a picture has two.
    """
    files = _files(folder)
    if not files:
        return None
    position = {number: k for k, number in enumerate(CKPLUS)}
    table = np.zeros((len(files), len(CKPLUS)), np.float32)
    strong = np.zeros_like(table)
    tokens: Counter[str] = Counter()
    outside: Counter[str] = Counter()
    for row, path in enumerate(files.values()):
        for number, strength in _read_file(path).items():
            tokens[str(number)] += 1
            if number not in position:
                outside[column(number)] += 1
                continue
            table[row, position[number]] = 1.0
            strong[row, position[number]] = strength or np.nan
    index, columns = pd.Index(list(files), name="picture"), [column(number) for number in CKPLUS]
    labels = AuLabels(
        table=pd.DataFrame(table, index=index, columns=columns),
        lines=sum(tokens.values()),
        unannotated=0,
        tokens=dict(tokens.most_common()),
        outside=dict(outside.most_common()),
        intensities=pd.DataFrame(strong, index=index, columns=columns),
    )
    return by_sample(labels, Partners(rows), str(folder))


def _files(folder: Path) -> dict[str, Path]:
    """Return the picture's name -> file, sorted."""
    found: dict[str, Path] = {}
    for place in PLACES:
        for path in sorted((folder / place).glob(f"S*/*/[!.]*{ENDING}")):
            name = path.name.removesuffix(ENDING)
            if not _NAME.fullmatch(name):
                raise DataError(f"{path}: expected a name such as S005_001_00000011{ENDING}; got {path.name!r}.")
            if name in found:
                raise DataError(f"{path}: the AUs of {name} stand already in {found[name]}.")
            found[name] = path
    return found


def _read_file(path: Path) -> dict[int, int]:
    """Return AU -> intensity, 0 where it was not coded."""
    out: dict[int, int] = {}
    for number, raw in enumerate(read_text(path).splitlines(), start=1):
        text = raw.strip()
        if not text:
            continue
        try:
            unit, strength = (float(word) for word in text.split())
            whole = unit == int(unit) and strength == int(strength)
        except (ValueError, OverflowError):
            raise bad_line(path, number, text, _A_LINE) from None
        known = int(unit) in NAMES or 50 <= unit <= 99  # from 50 on: head, eyes, visibility and gross behaviour
        if not whole or not known or not 0 <= strength <= STRONGEST:
            raise bad_line(path, number, text, _A_LINE)
        if int(unit) in out:
            raise bad_line(path, number, text, f"AU {int(unit)} in one line only")
        out[int(unit)] = int(strength)
    return out
