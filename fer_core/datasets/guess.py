"""Guess which data set a folder or file is, by the marks that the sets' `Info` give."""

from pathlib import Path

from fer_core.datasets.pictures import pictures_in
from fer_core.datasets.registry import DATASETS
from fer_core.errors import DataError

OWN = ("folder", "table")  # layouts of people's own, whose marks fit much
_MOST_FOLDERS = 50  # below a folder, that are looked into
_SHOWN = 8


def recognise(folder: Path) -> list[str]:
    """Return the sets that a folder can be, likeliest first: in the registry's order, layouts of one's own last."""
    found = [name for name, entry in DATASETS.items() if any(_has(folder, mark) for mark in entry.info.marks)]
    return sorted(found, key=lambda name: name in OWN)


def set_of_file(file: Path) -> str | None:
    """Return the published set of which a single file is a mark in its folder, or None."""
    for name, entry in DATASETS.items():
        if name not in OWN and any(file in file.parent.glob(mark) for mark in entry.info.marks if "/" not in mark):
            return name
    return None


def near(folder: Path) -> list[tuple[Path, str]]:
    """Return the folders one level up and down that are a data set, with its name; published sets first.

    The folder above is asked for layouts of one's own only where `folder` holds pictures, as one of a class does.
    """
    found: list[tuple[Path, str]] = []
    above = folder.absolute().parent
    up = recognise(above)
    if up and (up[0] not in OWN or pictures_in(folder)):
        found.append((above, up[0]))
    for below in _folders(folder):
        if names := recognise(below):
            found.append((below, names[0]))
    return sorted(found, key=lambda pair: pair[1] in OWN)


def not_recognised(path: Path) -> DataError:
    """Build the error for what no set is recognised in: what was looked for, and what is there."""
    looked = "; ".join(f"{name}: {' or '.join(entry.info.marks[:3])}" for name, entry in DATASETS.items())
    if not path.is_dir():
        return DataError(
            f"{path}: no label file, table or archive that is known. Looked for the files of {', '.join(DATASETS)}, "
            "tables (.csv, .tsv, .parquet) with a column of pictures, and lines of `NAME value`."
        )
    names = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir() if not entry.name.startswith("."))
    there = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return DataError(
        f"{path}: no data set recognised there. Looked for {looked}. Found {there or 'nothing'}. "
        "`fer datasets` tells which files each set consists of; `--as NAME` reads the folder as that set."
    )


def _has(folder: Path, mark: str) -> bool:
    try:
        return any(not path.name.startswith(".") for path in folder.glob(mark))
    except OSError:  # a folder that may not be read, or a loop of links
        return False


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return below[:_MOST_FOLDERS]
