"""Confusion matrices: one predictor's, and what changed from one to another."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.patches import Rectangle

from fer_core.errors import DataError
from fer_core.evaluation.figures.marks import tip
from fer_core.evaluation.figures.style import BLUE, GREY, INK, LIGHT, SMALL, VERMILION, WIDTH, Sheet, sheet
from fer_core.evaluation.figures.words import signed, text_width
from fer_core.evaluation.metrics import COMMON

Place = Callable[[int, int], tuple[float, float]]  # row, column -> px of the cell's top left corner

_NUMBER = 10.0  # px of the numbers in the cells
_DENSE = 12  # px: cells below this hold no numbers
_FULL = 0.65  # opacity of the strongest colour: numbers stand out on it, on light and on dark paper
_LETTERS = 24  # of a name that there is room for
_LARGEST = 52  # px


def confusion_figure(confusion: npt.ArrayLike, classes: Sequence[str], title: str, note: str = "") -> str:
    """Return counts `confusion` (K, K), rows = truth, as SVG text: colour is the share of the row.

    A class without test pictures has an empty row. `classes` are K names, `title` stands above, `note` below.
    """
    counts = _counts(confusion, len(classes))
    shares = _shares(counts)
    right = np.trace(counts)
    description = f"{right:.0f} of {counts.sum():.0f} right. " + "; ".join(
        f"{name} {counts[k, k]:.0f} of {counts[k].sum():.0f}" for k, name in enumerate(classes)
    )
    note = f"{note} Colour: share of the true class. Numbers: test pictures.".strip()
    with _matrix("confusion", title, description, classes, counts.sum(axis=1), note) as (page, place, side):
        for (row, column), share in np.ndenumerate(shares):
            if not counts[row, column]:
                continue
            words = f"{classes[row]}, taken for {classes[column]}: {counts[row, column]:.0f} ({100 * share:.0f} %)"
            number = f"{counts[row, column]:.0f}"
            _cell(page, (*place(row, column), side), number, words, BLUE, float(share))
    return page.svg


def difference_figure(
    after: npt.ArrayLike, before: npt.ArrayLike, classes: Sequence[str], title: str = "", note: str = ""
) -> str:
    """Return, as SVG text, how the shares of each row changed from `before` to `after`, both counts (K, K), in points.

    Blue with "+" is more, vermilion with "−" is less; on the diagonal, more is better. A class that has no pictures in
    one of them has an empty row.
    """
    new, old = _counts(after, len(classes)), _counts(before, len(classes))
    change = 100 * (_shares(new) - _shares(old))
    common = np.minimum(new.sum(axis=1), old.sum(axis=1)) >= COMMON  # one picture more is 100 points of a class of one
    largest = max(float(np.nanmax(np.abs(change[common]), initial=0.0)), 1.0)
    description = "Change of recall in points: " + "; ".join(
        f"{name} {'unknown' if math.isnan(change[k, k]) else signed(change[k, k], 0)}" for k, name in enumerate(classes)
    )
    note = f"{note} Points of the true class's share: blue more, vermilion less.".strip()
    title = title or "What changed from the baseline to the end"
    with _matrix("difference", title, description, classes, new.sum(axis=1), note) as (page, place, side):
        for (row, column), value in np.ndenumerate(change):
            if math.isnan(value) or not round(value):
                continue
            words = f"{classes[row]}, taken for {classes[column]}: {signed(value)} points"
            colour = BLUE if value > 0 else VERMILION
            _cell(page, (*place(row, column), side), signed(value, 0), words, colour, min(1.0, abs(value) / largest))
    return page.svg


def _counts(confusion: npt.ArrayLike, classes: int) -> npt.NDArray[np.float64]:
    counts = np.asarray(confusion, dtype=np.float64)
    if not classes and not counts.size:
        return np.zeros((0, 0))
    if counts.shape != (classes, classes):
        raise DataError(f"Expected a confusion matrix of {classes} x {classes} classes; got {counts.shape}.")
    return np.nan_to_num(counts)


def _shares(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return each row's shares (K, K) in 0..1, NaN in rows without pictures."""
    support = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, support, out=np.full(counts.shape, np.nan), where=support > 0)


def _fit(name: str) -> str:
    return name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"


@contextmanager
def _matrix(
    name: str, title: str, description: str, classes: Sequence[str], support: npt.NDArray[np.float64], note: str
) -> Iterator[tuple[Sheet, Place, float]]:
    """Yield a sheet with the names of rows and columns, where a cell is, and its side in px."""
    columns = [_fit(label.replace("_", " ")) for label in classes]
    rows = [f"{label} ({n:.0f})" for label, n in zip(columns, support, strict=True)]
    left = 10 + max((text_width(label, SMALL) for label in rows), default=0.0)
    below = 14 + max((text_width(label, SMALL) for label in columns), default=0.0)
    side = min((WIDTH - left - 4) / max(len(classes), 1), _LARGEST)
    extent = side * len(classes)
    with sheet(name, title, description or "No classes.", 18 + extent + below, note=note) as page:
        top = page.top + 18
        page.text(left, page.top, "predicted (below), true (left; test pictures)", SMALL, GREY)
        for k, (row, column) in enumerate(zip(rows, columns, strict=True)):
            middle = (k + 0.5) * side
            at: dict[str, Any] = {"fontsize": SMALL, "color": INK}
            page.canvas.text(left - 6, top + middle, row, ha="right", va="center", **at)
            page.canvas.text(left + middle, top + extent + 6, column, ha="center", va="top", rotation=90, **at)
        ends = [left, left + extent]
        for k in range(len(classes) + 1):
            page.canvas.plot(ends, [top + k * side] * 2, color=LIGHT, linewidth=0.5, zorder=1)
            page.canvas.plot([left + k * side] * 2, [top, top + extent], color=LIGHT, linewidth=0.5, zorder=1)
        for k in range(len(classes)):
            corner = (left + k * side, top + k * side)
            page.canvas.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=GREY, linewidth=1, zorder=3))
        yield page, lambda row, column: (left + column * side, top + row * side), side


def _cell(page: Sheet, box: tuple[float, float, float], number: str, words: str, colour: str, strength: float) -> None:
    """Fill the cell at `box` (x, y, side in px) with `colour` by its `strength` in 0..1, and write the number."""
    x, y, side = box
    shape = Rectangle((x, y), side, side, facecolor=colour, alpha=_FULL * strength, edgecolor="none", zorder=2)
    tip(page.canvas.add_patch(shape), words)
    if side >= _DENSE:
        size = min(_NUMBER, 0.95 * side / (0.62 * len(number)))
        middle = (x + side / 2, y + side / 2)
        page.canvas.text(*middle, number, ha="center", va="center", fontsize=size, color=INK, zorder=4)
