"""What a technique's gain cost in training time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from fer_core.evaluation.figures.labels import placed
from fer_core.evaluation.figures.marks import halo, tip
from fer_core.evaluation.figures.style import BLUE, GREY, INK, LIGHT, PAPER, VERMILION, WIDTH, sheet
from fer_core.evaluation.figures.words import gain_words, number, text_height, text_width, wrap

_LEFT, _RIGHT, _HEIGHT = 52, 10, 480  # px: beside the axes, of the axes
_LABEL = 10.5  # px
_HELPS: dict[str, Any] = {"color": BLUE, "marker": "o", "markersize": 8, "markerfacecolor": BLUE}
_UNSURE: dict[str, Any] = {"color": GREY, "marker": "o", "markersize": 7, "markerfacecolor": PAPER}
_HARMS: dict[str, Any] = {"color": VERMILION, "marker": "v", "markersize": 8, "markerfacecolor": VERMILION}
_LEGEND = [
    (Line2D([], [], linestyle="none", **_HELPS), "gain"),
    (Line2D([], [], linestyle="none", **_HARMS), "loss"),
    (Line2D([], [], linestyle="none", mew=1.6, **_UNSURE), "not told from 0"),
]


def cost_figure(rows: Sequence[Mapping[str, Any]], note: str = "") -> str:
    """Return each technique's gain alone, in points, against its seconds of training beyond the baseline, as SVG text.

    Seconds are `train_seconds` + `pretrain_seconds`, on a logarithmic axis; what needs no training stands at its left
    edge. A gain is told from 0 where its 95 % interval does not hold 0.

    Args:
        rows: of metrics/gains.json; those of the view "alone" with a gain are drawn.
        note: small words below the figure.
    """
    alone = [row for row in rows if row["view"] == "alone" and not math.isnan(number(row, "gain"))]
    seconds = [_seconds(row) for row in alone]
    description = "; ".join(
        f"{r['title']}: {gain_words(r)} points for {s:.0f} s" for r, s in zip(alone, seconds, strict=True)
    )
    note = f"{note} Thin lines: 95 % intervals.".strip()
    title = "What a gain costs: techniques alone"
    with sheet("cost", title, description or "No techniques.", _HEIGHT + 48, _LEGEND, note, columns=3) as page:
        axes = page.axes(_LEFT, page.top + 4, WIDTH - _LEFT - _RIGHT, _HEIGHT)
        axes.set(xlabel="seconds of training, pretraining included", ylabel="gain in test accuracy, points")
        axes.grid()
        axes.set_axisbelow(True)
        axes.axhline(0, color=INK, linewidth=1.1, zorder=1)
        x = _scale(axes, seconds)
        for row, place in zip(alone, x, strict=True):
            low, high = number(row, "gain_low"), number(row, "gain_high")
            if not math.isnan(low + high):
                axes.plot([place, place], [low, high], color=LIGHT, linewidth=1.6, zorder=2)
            style = _HARMS if high < 0 else _HELPS if low > 0 else _UNSURE
            (mark,) = axes.plot(place, number(row, "gain"), linestyle="none", mew=1.6, zorder=4, **style)
            tip(mark, f"{row['title']}: {gain_words(row)} points for {_seconds(row):.0f} s")
        axes.margins(y=0.04)
        _name(axes, alone, x)
        if not alone:
            page.text(_LEFT + 8, page.top + 12, "No techniques.", color=GREY)
    return page.svg


def _seconds(row: Mapping[str, Any]) -> float:
    parts = [number(row, key) for key in ("train_seconds", "pretrain_seconds")]
    return max(0.0, sum(part for part in parts if not math.isnan(part)))


def _scale(axes: Axes, seconds: Sequence[float]) -> list[float]:
    """Set a logarithmic axis, with a place for 0 at its left if there is one; return each point's place."""
    positive = [value for value in seconds if value > 0]
    low, high = (min(positive), max(positive)) if positive else (1.0, 10.0)
    zero = low / 1.6 ** (1 + math.log10(high / low))
    left = zero if len(positive) < len(seconds) else low
    ticks = [digit * 10.0**power for power in range(-3, 8) for digit in (1, 2, 5)]
    ticks = [tick for tick in ticks if low * 0.9 <= tick <= high * 1.3]
    axes.set_xscale("log")
    axes.set_xlim(left / 1.15, high * (high / left) ** 0.22 * 1.05)  # names need room at the right
    shown = [*([zero] if left == zero else []), *ticks]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticklabels(["0" if tick == zero else f"{tick:g}" for tick in shown])
    return [value if value > 0 else zero for value in seconds]


def _name(axes: Axes, rows: Sequence[Mapping[str, Any]], x: Sequence[float]) -> None:
    """Write each name where it covers no mark and no other name, with a line to its mark where it stands apart."""
    axes.autoscale_view()
    points = [tuple(axes.transData.transform((place, row["gain"]))) for place, row in zip(x, rows, strict=True)]
    words = [wrap(str(row["title"]), 118, _LABEL) for row in rows]
    sizes = [(text_width(label, _LABEL), text_height(label, _LABEL)) for label in words]
    frame = axes.get_window_extent()
    bounds = (frame.x0 + 2, frame.y0 + 2, frame.x1, frame.y1)
    back = axes.transData.inverted()
    for label, point, box in zip(words, points, placed(points, sizes, bounds), strict=True):
        left, bottom, right, top = (float(edge) for edge in box)
        middle = ((left + right) / 2, (bottom + top) / 2)
        near = (min(max(point[0], left), right), min(max(point[1], bottom), top))
        if math.dist(point, near) > 14:
            (start, end) = back.transform([point, near])
            axes.plot([start[0], end[0]], [start[1], end[1]], color=GREY, linewidth=0.7, zorder=3)
        x_label, y_label = (float(value) for value in back.transform(middle))
        halo(axes.text(x_label, y_label, label, ha="center", va="center", fontsize=_LABEL, zorder=5, linespacing=1.1))
