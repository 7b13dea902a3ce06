"""What stands in the cells of a user's table: labels, votes, boxes, points and frames, each fault with its place."""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from fer_core.datasets.columns import Columns
from fer_core.datasets.table_options import Mapped
from fer_core.errors import ConfigError
from fer_core.labels import canonical
from fer_core.manifest import LAST_FRAME

_EMPTY = ("", "nan", "NaN", "NA", "null")
_WHOLE = re.compile(r"([0-9]+)(\.0+)?")


def labels_of(
    table: Columns, mapped: Mapped, votes: Sequence[np.ndarray | None]
) -> tuple[list[str | None], tuple[str, ...]]:
    """Return the class of each row, None where it has none, and the classes in their order.

    Raises:
        ConfigError: labels are numbers and `classes` does not name them, or there are none at all.
        DataError: a label is none of the classes.
    """
    if mapped.label is None:
        voted = list(mapped.votes)
        labels = [None if share is None else _most(share, voted) for share in votes]
        classes = mapped.classes or tuple(voted)
        lacking = sorted({name for name in labels if name is not None} - set(classes))
        if lacking:
            raise ConfigError(
                f"Expected `sets.table.classes` to have every class of `votes`; {lacking[0]!r} is missing."
            )
    else:
        labels = _named(table, mapped.label, mapped)
        classes = mapped.classes or tuple(sorted({name for name in labels if name is not None}))
    if not classes:
        raise ConfigError(f"{table.path} has no label, so `sets.table.classes` must list the classes.")
    return labels, classes


def _named(table: Columns, column: str, mapped: Mapped) -> list[str | None]:
    cells = table.cells[column]
    known: dict[str, str | None] = {"": None}
    for row, cell in enumerate(cells):
        if cell in known:
            continue
        whole = _WHOLE.fullmatch(cell)
        text = str(int(whole.group(1))) if whole else cell
        if mapped.classes is None:
            if whole:
                raise ConfigError(
                    f"{table.where(row)}, column `{column}`: labels are numbers ({cell}), so `sets.table.classes` must "
                    "say which classes they are: a list in their order from 0, or a mapping such as {1: surprise}."
                )
            known[cell] = canonical(cell)
        elif text in mapped.class_of or cell in mapped.class_of:
            known[cell] = mapped.class_of.get(text) or mapped.class_of[cell]
        elif canonical(cell) in mapped.classes:
            known[cell] = canonical(cell)
        else:
            valid = ", ".join(f"{label} ({name})" for label, name in mapped.class_of.items())
            raise table.bad(row, column, f"a label of `sets.table.classes`: {valid}")
    return [known[cell] for cell in cells]


def _most(share: np.ndarray, names: Sequence[str]) -> str | None:
    """Return the most voted class, None where two are."""
    top = np.flatnonzero(share == share.max())
    return names[int(top[0])] if len(top) == 1 else None


def shares(table: Columns, votes: Mapping[str, str]) -> list[np.ndarray | None]:
    """Return the votes of each row as shares, float32 `(V,)`; None where all of its cells are empty."""
    values = _numbers(table, tuple(votes.values()), "votes, all or none of them")
    given = ~np.isnan(values[:, 0])
    wrong = given & ((values < 0).any(1) | (values.sum(1) <= 0))
    for row in np.flatnonzero(wrong)[:1]:
        column = next((name for name, value in zip(votes.values(), values[row], strict=True) if value < 0), None)
        raise table.bad(int(row), column or next(iter(votes.values())), "votes that are not negative and not all 0")
    with np.errstate(invalid="ignore"):
        parts = (values / values.sum(1, keepdims=True)).astype(np.float32)
    return [part if known else None for part, known in zip(parts, given, strict=True)]


def boxes(table: Columns, mapped: Mapped) -> list[np.ndarray | None]:
    """Return left, top, right, bottom of each row, float32 `(4,)`, None where its cells are empty."""
    if not mapped.box:
        return [None] * len(table.numbers)
    values = _numbers(table, mapped.box, "numbers of pixels, all or none of the box")
    if mapped.box_form == "xywh":
        values[:, 2:] += values[:, :2]
    given = ~np.isnan(values[:, 0])
    for j, size in ((2, "width"), (3, "height")):
        for row in np.flatnonzero(given & ~(values[:, j] > values[:, j - 2]))[:1]:
            raise table.bad(int(row), mapped.box[j], f"a {size} above 0 (box_form: {mapped.box_form})")
    return [value if known else None for value, known in zip(values.astype(np.float32), given, strict=True)]


def points(table: Columns, mapped: Mapped) -> list[np.ndarray | None]:
    """Return x0, y0 .. x4, y4 of each row, float32 `(10,)`, None where its cells are empty."""
    if not mapped.landmarks:
        return [None] * len(table.numbers)
    values = _numbers(table, mapped.landmarks, "numbers of pixels, all or none of the landmarks")
    given = ~np.isnan(values[:, 0])
    return [value if known else None for value, known in zip(values.astype(np.float32), given, strict=True)]


def frames(table: Columns, mapped: Mapped) -> list[int | None]:
    """Return the frame's number of each row that has a clip, else None."""
    if mapped.clip is None or mapped.frame is None:
        return [None] * len(table.numbers)
    found: list[int | None] = []
    for row, (clip, cell) in enumerate(zip(table.cells[mapped.clip], table.cells[mapped.frame], strict=True)):
        whole = _WHOLE.fullmatch(cell)
        if clip and not (whole and int(whole.group(1)) <= LAST_FRAME):
            raise table.bad(row, mapped.frame, f"a frame's number from 0 to {LAST_FRAME}, as the row has a clip")
        found.append(int(whole.group(1)) if clip and whole else None)
    return found


def check_clips(table: Columns, mapped: Mapped, splits: Sequence[str | None], labels: Sequence[str | None]) -> None:
    """Refuse a frame that stands twice in a clip, and frames of a clip in two splits, classes or of two subjects."""
    if mapped.clip is None or mapped.frame is None:
        return
    first: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    for row, clip in enumerate(table.cells[mapped.clip]):
        if not clip:
            continue
        frame = (clip, int(float(table.cells[mapped.frame][row])))
        if frame in seen:
            raise table.bad(row, mapped.frame, f"each frame of clip {clip!r} once")
        seen.add(frame)
        other = first.setdefault(clip, row)
        for column, values in (
            (mapped.split, splits),
            (mapped.label, labels),
            (mapped.subject, table.cells[mapped.subject] if mapped.subject else splits),
        ):
            if column and values[row] != values[other]:
                where = f"{table.unit} {table.numbers[other]}"
                raise table.bad(row, column, f"the same in all frames of clip {clip!r} ({where})")


def _numbers(table: Columns, names: Sequence[str], expected: str) -> np.ndarray:
    """Return cells as numbers, float64 `(N, len(names))`; a row of empty cells is NaN throughout.

    Raises:
        DataError: a cell is no finite number, or some cells of a row are empty and others are not.
    """
    values = np.full((len(table.numbers), len(names)), np.nan)
    for j, name in enumerate(names):
        for row, cell in enumerate(table.cells[name]):
            if cell not in _EMPTY:
                try:
                    values[row, j] = float(cell)
                except ValueError:
                    raise table.bad(row, name, expected) from None
                if not math.isfinite(values[row, j]):
                    raise table.bad(row, name, expected)
    absent = np.isnan(values)
    for row in np.flatnonzero(absent.any(1) & ~absent.all(1))[:1]:
        raise table.bad(int(row), names[int(np.argmax(absent[row]))], expected)
    return values
