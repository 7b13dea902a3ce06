"""Recall of every class against how many pictures the class had to learn from."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.lines import Line2D

from fer_core.errors import DataError
from fer_core.evaluation.figures.marks import tip, whisker
from fer_core.evaluation.figures.style import BLUE, BODY, GREEN, GREY, PAPER, PURPLE, SMALL, WIDTH, sheet
from fer_core.evaluation.figures.words import text_height, wrap

_LEFT, _RIGHT = 150, 12  # px beside the axes
_Z = 1.959964  # of a 95 % interval
_OTHERS: list[dict[str, Any]] = [
    {"color": GREY, "marker": "o", "markersize": 7, "markerfacecolor": PAPER},
    {"color": GREEN, "marker": "s", "markersize": 6, "markerfacecolor": PAPER},
    {"color": PURPLE, "marker": "^", "markersize": 7, "markerfacecolor": PAPER},
]
_LAST: dict[str, Any] = {"color": BLUE, "marker": "o", "markersize": 8, "markerfacecolor": BLUE}


def recall_by_size(
    recalls: Mapping[str, Sequence[float] | npt.NDArray[np.float64]],
    support: Sequence[int] | npt.NDArray[np.int64],
    train_counts: Sequence[int] | npt.NDArray[np.int64],
    classes: Sequence[str],
    note: str = "",
) -> str:
    """Return, as SVG text, a line per class, the largest in training first: recall of each predictor, by an arrow.

    Args:
        recalls: name -> (K,) recalls, fractions, NaN where undefined; the last is the predictor in question, with its
            Wilson interval, and the arrow leads from the first to it.
        support: (K,) test pictures of each class.
        train_counts: (K,) train pictures of each class.
        classes: K names.
        note: small words below the figure.

    Raises DataError when lengths differ.
    """
    values = {name: np.asarray(recall, dtype=np.float64) for name, recall in recalls.items()}
    for name, array in {**values, "support": np.asarray(support), "train_counts": np.asarray(train_counts)}.items():
        if len(array) != len(classes):
            raise DataError(f"Expected {len(classes)} values of {name}, one a class; got {len(array)}.")
    names = list(values)
    styles = {name: _OTHERS[place % len(_OTHERS)] for place, name in enumerate(names)}
    if names:
        styles[names[-1]] = _LAST
    order = sorted(range(len(classes)), key=lambda k: -train_counts[k])
    labels = [wrap(classes[k].replace("_", " "), _LEFT - 8, BODY) for k in order]
    heights = [10 + text_height(label, BODY) + text_height("x", SMALL) for label in labels]
    total = sum(heights) or 40.0
    legend = [(Line2D([], [], linestyle="none", mew=1.6, **styles[name]), name) for name in names]
    columns = 1 if any(len(name) > 22 for name in names) else 2
    description = "; ".join(f"{classes[k]}: {_said(values, k)}" for k in order) or "No classes."
    note = f"{note} Bars: 95 % Wilson interval of the last one; largest class in training on top.".strip()
    with sheet("recall", "Recall by size of the class", description, total + 44, legend, note, columns) as page:
        axes = page.axes(_LEFT, page.top, WIDTH - _LEFT - _RIGHT, total)
        axes.set(xlim=(-2, 102), ylim=(total, 0), xlabel="recall on test pictures, %")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        y = 0.0
        for k, label, height in zip(order, labels, heights, strict=True):
            below = page.text(4, page.top + y + 4, label)
            page.text(4, below, f"{train_counts[k]} train, {support[k]} test", SMALL, GREY)
            middle = y + height / 2
            known = [name for name in names if not math.isnan(values[name][k])]
            if not known:
                axes.text(0, middle, "no test pictures" if not support[k] else "unknown", color=GREY, va="center")
            for name in known:
                recall = 100 * values[name][k]
                (mark,) = axes.plot(recall, middle, mew=1.6, zorder=4, clip_on=False, **styles[name])
                tip(mark, f"{classes[k]}, {name}: {recall:.0f} %")
            if names and names[-1] in known:
                low, high = wilson(values[names[-1]][k], int(support[k]))
                whisker(axes, middle, 100 * low, 100 * high, BLUE)
            if len(names) > 1 and names[0] in known and names[-1] in known:
                _arrow(axes, middle, 100 * values[names[0]][k], 100 * values[names[-1]][k])
            y += height
        if not classes:
            page.text(4, page.top + 8, "No classes.", color=GREY)
    return page.svg


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `n` (Wilson, JASA 1927), fractions; NaN where `n` is 0.

    Example:
        >>> [round(end, 3) for end in wilson(0.0, 10)]
        [0.0, 0.278]
    """
    if n <= 0 or math.isnan(share):
        return math.nan, math.nan
    scale = 1 + _Z**2 / n
    middle = (share + _Z**2 / (2 * n)) / scale
    half = _Z / scale * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _said(values: Mapping[str, npt.NDArray[np.float64]], k: int) -> str:
    parts = [f"{name} {'unknown' if math.isnan(v[k]) else f'{100 * v[k]:.0f} %'}" for name, v in values.items()]
    return ", ".join(parts)


def _arrow(axes: Any, y: float, start: float, end: float) -> None:
    """Draw an arrow a little above the interval, where both marks would not cover it."""
    if abs(end - start) >= 4:
        arrow = {"arrowstyle": "-|>", "color": GREY, "linewidth": 1.2, "shrinkA": 4, "shrinkB": 4, "mutation_scale": 8}
        axes.annotate("", (end, y - 7), (start, y - 7), arrowprops=arrow, zorder=3)
