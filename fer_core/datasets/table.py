"""A table of one's own, in CSV, TSV or Parquet: `sets.table` in params.yaml says what its columns mean.

sets:
  table:
    file: labels.csv              relative to the set's folder; so is `folder`, where the pictures' paths start
    picture: picture              the column of paths. Without endings they are looked for with any
    label: label                  class names, or numbers: then `classes` is a list in the order of the numbers from
                                  0, or a mapping such as {1: surprise, 2: fear}. Empty: no label
    split: null                   train, val, test, pool ..; subject: null   one column each
    clip: null, frame: null       which clip a frame is of, and its number
    box: null                     four columns: x, y, width, height, or left, top, right, bottom (box_form: ltrb)
    landmarks: null               ten columns x0, y0 .. x4, y4: eyes, tip of the nose, corners of the mouth
    votes: null                   class -> column of counts or shares. Without labels the most voted is the class
    attributes: []                columns of text by which tables are sliced
    classes: null                 order of the classes; null: sorted by name
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fer_core.datasets.columns import Columns, column_names, read_columns
from fer_core.datasets.dataset import NO_PICTURE, Info, Published
from fer_core.datasets.lines import require_files
from fer_core.datasets.pictures import read_pictures
from fer_core.datasets.rows import make_rows
from fer_core.datasets.safe_paths import ENDINGS, relative, walk_pictures, without_ending
from fer_core.datasets.split_words import SPLIT_OF_WORD, split_of
from fer_core.datasets.table_cells import boxes, check_clips, frames, labels_of, points, shares
from fer_core.datasets.table_options import Mapped, read_mapping
from fer_core.errors import ConfigError, DataError
from fer_core.labels import LabelSet

POOL = "pool"
NO_LABEL, NO_MAJORITY = "no label", "no majority among the votes"

INFO = Info(
    title="Table of pictures",
    page="docs/data.md",
    files=("labels.csv (or .tsv, .parquet) with a row per picture; `sets.table` names its columns", "the pictures"),
    obtain="Your own pictures and labels.",
    marks=("labels.csv", "labels.tsv", "labels.parquet"),
    verified="made-up tables",
)


def read(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read a table and find its pictures.

    A row without a label is of the pool, but in validation or test, and in clips, it is dropped: the pool may be
    learnt from.

    Args:
        folder: where it lies.
        options: as the module says.

    Raises:
        ConfigError: an option is not known or valid, or names a column that is not there.
        DataError: the table is missing or a cell does not parse (file, line or row, column), or a picture stands twice.
    """
    mapped = read_mapping(options)
    require_files(folder, (mapped.file,), " (`sets.table.file`) and the pictures")
    path = folder / mapped.file
    mapped = read_mapping(options, column_names(path))
    table = read_columns(path, list(mapped.columns()))
    if not table.numbers:
        raise DataError(f"{path} has a header but no rows.")
    count = len(table.numbers)
    notes: list[str] = []
    names, found = _pictures(folder / mapped.folder, mapped, table, notes)
    votes = shares(table, mapped.votes) if mapped.votes else [None] * count
    labels, classes = labels_of(table, mapped, votes)
    splits, reasons = _splits(table, mapped, labels, votes, notes)
    frame, box, landmarks = frames(table, mapped), boxes(table, mapped), points(table, mapped)
    cells = {key: table.cells[name] if name else [""] * count for key, name in _texts(mapped).items()}
    index = {name: k for k, name in enumerate(classes)}
    records = []
    for row, name in enumerate(names):
        label = labels[row]
        records.append(
            {
                "sample_id": without_ending(name),
                "picture": f"{mapped.folder}/{name}" if mapped.folder else name,
                "split": splits[row],
                "emotion": None if label is None else index[label],
                "votes": votes[row] if label is not None else None,
                "landmarks": landmarks[row],
                "box": box[row],
                "frame": frame[row],
                "drop_reason": reasons[row] or (None if without_ending(name) in found else NO_PICTURE),
                **{key: column[row] or None for key, column in cells.items()},
            }
        )
    check_clips(table, mapped, splits, labels)
    vote_names = tuple(mapped.votes) or None
    return Published(
        make_rows(records), partial(read_pictures, found), LabelSet(classes, vote_names), notes=tuple(notes)
    )


def _texts(mapped: Mapped) -> dict[str, str | None]:
    """Return column of the manifest -> column of the table that is taken over as it is, or None."""
    return {"subject": mapped.subject, "clip_id": mapped.clip, **mapped.attributes}


def _pictures(folder: Path, mapped: Mapped, table: Columns, notes: list[str]) -> tuple[list[str], dict[str, Path]]:
    """Return the rows' paths relative to `folder`, with endings where the files are there, and sample_id -> file."""
    if not folder.is_dir():
        raise ConfigError(f"Expected `sets.table.folder` to be a folder of the set; {folder} does not exist.")
    files, more = walk_pictures(folder)
    notes += more
    start = len(folder.as_posix()) + 1
    by_name = {file.as_posix()[start:]: file for file in files}
    endings: dict[str, list[str]] = {}
    for name in by_name:
        endings.setdefault(without_ending(name), []).append(name)
    names: list[str] = []
    seen: dict[str, int] = {}
    found: dict[str, Path] = {}
    for row, cell in enumerate(table.cells[mapped.picture]):
        name = relative(cell, f"{table.where(row)}, column `{mapped.picture}`")
        if name not in by_name and not name.lower().endswith(ENDINGS):
            fitting = endings.get(name, [])
            if len(fitting) > 1:
                raise table.bad(row, mapped.picture, f"one picture, not {' and '.join(fitting)}")
            name = fitting[0] if fitting else f"{name}.jpg"
        sample = without_ending(name)
        if sample in seen:
            raise DataError(
                f"{table.where(row)}: {cell!r} stands already in {table.unit} {table.numbers[seen[sample]]}."
            )
        seen[sample] = row
        if name in by_name:
            found[sample] = by_name[name]
        names.append(name)
    alone = len(by_name) - len(found)
    if alone:
        notes.append(f"{alone} pictures have no row in {mapped.file} and were left out")
    return names, found


def _splits(
    table: Columns, mapped: Mapped, labels: Sequence[str | None], votes: Sequence[object], notes: list[str]
) -> tuple[list[str | None], list[str | None]]:
    """Return the splits and the drop_reasons of the rows."""
    count = len(labels)
    words = table.cells[mapped.split] if mapped.split else [""] * count
    splits = [split_of(word) for word in words]
    reasons: list[str | None] = [None] * count
    in_clip = [bool(name) for name in table.cells[mapped.clip]] if mapped.clip else [False] * count
    for row, (word, label) in enumerate(zip(words, labels, strict=True)):
        split, tied = splits[row], mapped.label is None and votes[row] is not None
        if mapped.split and split is None and (word or label is not None or tied or in_clip[row]):
            raise table.bad(row, mapped.split, f"a split ({', '.join(SPLIT_OF_WORD)})")
        if label is not None:
            if split == POOL:
                raise table.bad(row, mapped.split or "", "another split than the pool's in a row with a label")
        elif tied and split != POOL:
            reasons[row] = NO_MAJORITY
        elif in_clip[row] or split in ("validation", "test"):
            reasons[row] = NO_LABEL
        else:
            splits[row] = POOL
    for reason in (NO_MAJORITY, NO_LABEL):
        if lost := reasons.count(reason):
            notes.append(f"{lost} of {count} pictures are dropped: {reason}")
    if pool := splits.count(POOL):
        notes.append(f"{pool} of {count} pictures have no label: they are the pool")
    return splits, reasons
