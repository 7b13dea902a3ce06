"""FERPlus: FER2013's pictures with ten people's votes over eight emotions.

Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
Distribution", ICMI 2016. `fer2013new.csv` aligns row by row with `fer2013.csv`.

The emotion follows the paper's majority voting as its authors' code does it: votes that a column got from one
person only are taken out as outliers, then the column with *more than half* of what is left wins. A row whose
winner is unknown or NF (not a face), or that has no winner, is dropped with the reason. `votes` are the
published counts as shares of all ten columns, outliers included.
"""

import csv
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_core.datasets import fer2013
from fer_core.datasets.dataset import Info, Published
from fer_core.datasets.lines import bad_line, read_text, require_files
from fer_core.datasets.options import read_options
from fer_core.errors import DataError
from fer_core.labels import FERPLUS

CSV = "fer2013new.csv"
VOTES = FERPLUS.votes or ()
EMOTIONS = len(FERPLUS.classes)


INFO = Info(
    title="FERPlus",
    page="github.com/microsoft/FERPlus",
    files=("fer2013.csv", "fer2013new.csv, aligned with it row by row"),
    obtain="fer2013new.csv from the repository (MIT licence), beside FER2013's own file.",
    marks=(CSV,),
    verified="published files without PrivateTest",
)


def read(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read `fer2013.csv` for the pictures and `fer2013new.csv` for the votes.

    Args:
        folder: where both lie (data/raw/ferplus is a link to data/raw/fer2013).
        options: none.

    Raises:
        ConfigError: there are options.
        DataError: a file is missing, a row does not parse, or the two files do not align.
    """
    read_options("ferplus", options, {})
    require_files(folder, (fer2013.CSV, CSV))
    rows, split_notes, published = fer2013.read_rows(folder / fer2013.CSV)
    usages, counts = read_counts(folder / CSV)
    _same_rows(folder, published, usages)
    winner = majority(counts)
    rows["emotion"] = pd.Series(winner, dtype="Int16").where((winner >= 0) & (winner < EMOTIONS))
    rows["drop_reason"] = pd.Series([_reason(k) for k in winner], dtype="str")
    total = counts.sum(1, keepdims=True)
    shares = (counts / np.maximum(total, 1)).astype(np.float32)
    rows["votes"] = [share if voted else None for share, voted in zip(shares, total[:, 0] > 0, strict=True)]
    unclear = int(rows["drop_reason"].notna().sum())
    return Published(
        rows=rows,
        pictures=partial(fer2013.read_pictures, folder / fer2013.CSV),
        labels=FERPLUS,
        notes=(f"{unclear} of {len(rows)} pictures have no majority emotion (FERPlus' majority rule)",),
        split_notes=tuple(split_notes),
    )


def read_counts(path: Path) -> tuple[list[str], np.ndarray]:
    """Read the Usage column and the vote counts, integers `(N, 10)` in the order of the label set.

    Raises:
        DataError: a column is missing or a row does not parse.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    header = [name.strip().lower() for name in next(reader, [])]
    wanted = ["usage", *(name.lower() for name in VOTES)]
    missing = [name for name in wanted if name not in header]
    if missing:
        raise DataError(f"{path}, line 1: expected the columns Usage, {', '.join(VOTES)}; {missing[0]} is missing.")
    at = [header.index(name) for name in wanted]
    usages: list[str] = []
    counts: list[list[int]] = []
    for fields in reader:
        if not fields:
            continue
        try:
            usage, *numbers = (fields[k].strip() for k in at)
            votes = [int(number) for number in numbers]
        except (ValueError, IndexError):
            votes = [-1]
        if min(votes) < 0:
            raise bad_line(path, reader.line_num, ",".join(fields), "a Usage and ten vote counts")
        usages.append(usage)
        counts.append(votes)
    return usages, np.array(counts, np.int64).reshape(-1, len(VOTES))


def majority(counts: np.ndarray) -> np.ndarray:
    """Return the winning column of every row, or -1 where none has more than half of the votes.

    Args:
        counts: integers `(N, 10)`; columns with a single vote do not count.

    Example:
        >>> majority(np.array([[6, 4, 0], [5, 4, 1], [4, 4, 2], [1, 1, 1]])).tolist()
        [0, 0, -1, -1]
    """
    kept = np.where(counts > 1, counts, 0)
    top = kept.argmax(1)
    return np.where(2 * kept.max(1) > kept.sum(1), top, -1)


def _reason(winner: int) -> str | None:
    if winner < 0:
        return "no majority among the votes"
    return None if winner < EMOTIONS else f"majority of the votes: {VOTES[winner]}"


def _same_rows(folder: Path, published: list[str], usages: list[str]) -> None:
    if len(usages) != len(published):
        raise DataError(
            f"{folder / CSV} has {len(usages)} rows but {folder / fer2013.CSV} has {len(published)}; they must "
            "align row by row."
        )
    for number, (ours, theirs) in enumerate(zip(published, usages, strict=True)):
        if ours != theirs:
            raise DataError(
                f"{folder / CSV}, row {number + 1}: Usage {theirs!r} but {ours!r} in {fer2013.CSV}; "
                "the files must align row by row."
            )
