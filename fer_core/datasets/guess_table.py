"""Guess which columns of somebody's own table hold the picture, the label, the split and the person.

By their names, and where those say nothing by their values: paths that end as pictures do; words that mean splits; few
values that repeat.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.datasets.columns import Columns, column_names, read_columns
from fer_core.datasets.safe_paths import ENDINGS
from fer_core.datasets.split_words import split_of
from fer_core.labels import canonical

TABLES = (".csv", ".tsv", ".parquet", ".pq")
_NAMES = {
    "picture": ("picture", "image", "path", "file", "filename", "file_name", "filepath", "image_path", "img", "name",
                "subdirectory_filepath", "image_name", "pic"),
    "label": ("label", "emotion", "class", "expression", "target", "emotion_label", "category", "y"),
    "split": ("split", "usage", "partition", "set", "subset", "fold"),
    "subject": ("subject", "person", "identity", "subject_id", "person_id", "participant", "id"),
}  # fmt: skip
_MOST_CLASSES = 50
_LOOKED_AT = 2000  # rows
_EXAMPLES = 20
_SHOWN = 5
_MOST_FOLDERS = 50


@dataclass(frozen=True)
class TableGuess:
    """What the columns of a table seem to be.

    Attributes:
        file: the table's name.
        columns: all of them.
        rows: how many rows were counted.
        mapping: picture, label, split and subject -> column; those not found are not in it.
        classes: label -> rows that have it; an empty label is "".
        splits: the same of the split's column.
        empty: column -> empty cells.
        examples: some cells of the picture's column.
        problems: sentences.
    """

    file: str
    columns: tuple[str, ...]
    rows: int
    mapping: dict[str, str]
    classes: dict[str, int]
    splits: dict[str, int]
    empty: dict[str, int]
    examples: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a picture and a label were found."""
        return "picture" in self.mapping and "label" in self.mapping


def is_table(path: Path) -> bool:
    """Return whether a file's name ends as a table's does."""
    return path.is_file() and path.suffix.lower() in TABLES


def guess_table(path: Path) -> TableGuess:
    """Read a table, pictures inside left out, and guess its columns.

    Raises:
        DataError: the file is no such table.
    """
    names = column_names(path)
    table = read_columns(path, [name for name in names if not _holds_bytes(path, name)])
    mapping: dict[str, str] = {}
    for role in _NAMES:
        if column := _column_of(role, table, set(mapping.values())):
            mapping[role] = column
    count = len(table.numbers)
    split = table.cells.get(mapping.get("split", ""), [])
    problems = []
    for role in ("picture", "label"):
        if role not in mapping:
            problems.append(f"no column looks like the {role}; name it in `sets.table.{role}`")
    if "split" not in mapping:
        for name in table.cells:
            if _plain(name) in _NAMES["split"] and name not in mapping.values():
                words = ", ".join(sorted(set(table.cells[name]))[:_SHOWN])
                problems.append(f"column `{name}` looks like a split, but {words} are not all words for splits")
    paths = table.cells.get(mapping.get("picture", ""), [])
    twice = [name for name, k in Counter(paths).items() if k > 1 and name]
    if twice:
        problems.append(f"{len(twice)} pictures stand in more than one row, the first is {twice[0]}")
    return TableGuess(
        file=path.name,
        columns=tuple(names),
        rows=count,
        mapping=mapping,
        classes=dict(Counter(table.cells.get(mapping.get("label", ""), [])).most_common()),
        splits=dict(Counter(split).most_common()),
        empty={name: cells.count("") for name, cells in table.cells.items() if "" in cells},
        examples=tuple(paths[:: max(1, len(paths) // _EXAMPLES)][:_EXAMPLES]),
        problems=tuple(problems),
    )


def options_of(guess: TableGuess, folder: Path) -> dict[str, Any]:
    """Return the keys of `sets.table`.

    Labels that are numbers get classes called `class 0` ..., whose names only the user knows.

    Args:
        guess: of the table.
        folder: where it lies; below it the folder is sought in which the pictures' paths start.
    """
    options: dict[str, Any] = {"file": guess.file}
    if start := _start_of_paths(guess.examples, folder):
        options["folder"] = start
    options |= guess.mapping
    numbers = {name for name in guess.classes if name}
    if numbers and all(name.isdecimal() for name in numbers):
        options["classes"] = {int(name): f"class {int(name)}" for name in sorted(numbers, key=int)}
    return options


def _start_of_paths(examples: tuple[str, ...], folder: Path) -> str:
    """Return the folder at the top of `folder` below which most of the examples lie; "" is `folder` itself."""
    below = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")) if examples else []

    def there(start: str) -> int:
        return sum((folder / start / name.lstrip("/")).is_file() for name in examples if ".." not in name)

    return max(["", *below[:_MOST_FOLDERS]], key=there)


def _column_of(role: str, table: Columns, taken: set[str]) -> str | None:
    free = [name for name in table.cells if name not in taken]
    fits = [name for name in free if _fits(role, table.cells[name])]
    plain = {_plain(name): name for name in reversed(fits)}
    for wanted in _NAMES[role]:
        if wanted in plain:
            return plain[wanted]
    if role == "subject":
        return None  # any column of repeated words could be one
    if role == "label":  # whatever is called, words for emotions are labels
        known = [name for name in fits if _emotions(table.cells[name])]
        return known[0] if known else None
    return fits[0] if fits else None


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _fits(role: str, cells: list[str]) -> bool:
    """Return whether a column's values can be what `role` says."""
    some = [cell for cell in cells[:_LOOKED_AT] if cell]
    if not some:
        return False
    if role == "picture":
        return sum(Path(cell).suffix.lower() in ENDINGS for cell in some) > len(some) / 2
    if role == "split":
        return all(split_of(cell) for cell in {cell for cell in cells if cell})
    different = len(set(some))
    if role == "label":
        return different <= min(_MOST_CLASSES, max(2, len(some) // 2)) and not _is_measure(some)
    return different < len(some) or different == 1


def _is_measure(cells: list[str]) -> bool:
    """Return whether they are numbers with a fraction, such as a valence."""
    return any(re.fullmatch(r"-?\d*\.\d*[1-9]\d*", cell) for cell in cells)


def _emotions(cells: list[str]) -> bool:
    known = {"surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral", "contempt"}
    return len({canonical(cell) for cell in cells[:_LOOKED_AT]} & known) >= 2


def _holds_bytes(path: Path, name: str) -> bool:
    if path.suffix.lower() not in (".parquet", ".pq"):
        return False
    kind = pq.read_schema(path).field(name).type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_nested(kind))
