"""Inspect somebody's own table: guess what its columns mean, then read it so, as the adapter `table` does."""

from dataclasses import asdict
from pathlib import Path

from fer_core.datasets.guess_table import TABLES, guess_table, options_of
from fer_core.datasets.inspect import Facts, inspect, options_line
from fer_core.errors import DataError, FerError

DATA = "table"
_FIRST = "labels.csv"


def table_in(folder: Path) -> Path | None:
    """Return the table at the top of a folder: labels.csv, or the first by name; None where there is none."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLES and path.name[0] != ".")
    return next((path for path in found if path.name == _FIRST), found[0] if found else None)


def inspect_table(path: Path) -> Facts:
    """Inspect a table, or the one of a folder.

    Returns:
        As `inspect`, with `table`: what was guessed. Where the guess does not make a data set, only that, with the
        reason among the problems.

    Raises:
        DataError: there is no table, or it cannot be read.
    """
    file = table_in(path) if path.is_dir() else path
    if file is None:
        raise DataError(f"{path}: no table there; expected a file that ends in {', '.join(TABLES)}.")
    guess = guess_table(file)
    options = options_of(guess, file.parent)
    own = {"kind": "table", "path": str(file), "table": asdict(guess)}
    unnamed = [str(number) for number in options.get("classes", ())]
    problems = list(guess.problems)
    if unnamed:
        problems.append(f"labels are numbers ({', '.join(unnamed)}): write the names of the classes in their place")
    bare = {"title": "Table of pictures", "params": [f"data: {DATA}", options_line(DATA, options)]}
    if not guess.usable:
        return own | bare | {"problems": problems}
    try:
        facts = inspect(file.parent, DATA, options)
    except FerError as error:
        return own | bare | {"problems": [*problems, str(error)]}
    return facts | own | {"problems": [*problems, *facts["problems"]]}
