"""Each technique's gain alone on the baseline beside its gain on the ladder, over what it claims."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fer_core.evaluation.figures.marks import CLAIMED, claim, tip, whisker
from fer_core.evaluation.figures.style import BLUE, BODY, GREEN, GREY, INK, PAPER, WIDTH, sheet
from fer_core.evaluation.figures.words import gain_words, number, text_height, wrap

_LEFT, _RIGHT = 150, 10  # px beside the axes
_LEGEND = [
    (Line2D([], [], color=GREEN, marker="D", markersize=6, linewidth=1.4), "alone"),
    (Line2D([], [], color=BLUE, marker="o", markersize=7, linewidth=1.4), "ladder, kept"),
    CLAIMED,
    (
        Line2D([], [], color=BLUE, marker="o", markersize=7, markerfacecolor=PAPER, linewidth=1.4),
        "ladder, not kept",
    ),
]


def alone_versus_ladder(rows: Sequence[Mapping[str, Any]], note: str = "") -> str:
    """Return, as SVG text, a line per technique: gain alone (diamond), on the ladder (circle), claimed range (grey).

    Args:
        rows: of metrics/gains.json, gains and claims in points; those of the views "alone" and "ladder" are drawn, the
            largest gain alone first, techniques without one last.
        note: small words below the figure.
    """
    alone = {row["technique"]: row for row in rows if row["view"] == "alone"}
    ladder = {row["technique"]: row for row in rows if row["view"] == "ladder" and row["technique"] != "baseline"}
    names = sorted({**alone, **ladder}, key=lambda name: _order(alone.get(name, {})))
    words = {name: wrap((alone.get(name) or ladder[name])["title"], _LEFT - 8, BODY) for name in names}
    heights = [max(34.0, 8 + text_height(words[name], BODY)) for name in names]
    description = "; ".join(f"{words[n].replace(chr(10), ' ')}: {_said(alone.get(n), ladder.get(n))}" for n in names)
    total = sum(heights) or 40.0
    note = f"{note} Whiskers: 95 % intervals.".strip()
    title = "Gain alone, and on the ladder"
    with sheet("alone-ladder", title, description or "No techniques.", total + 44, _LEGEND, note) as page:
        axes = page.axes(_LEFT, page.top, WIDTH - _LEFT - _RIGHT, total)
        axes.set(ylim=(total, 0), xlabel="gain in test accuracy, points")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.axvline(0, color=INK, linewidth=1.1, zorder=2)
        y = 0.0
        for name, height in zip(names, heights, strict=True):
            page.text(4, page.top + y + (height - text_height(words[name], BODY)) / 2, words[name])
            claimed = alone.get(name) or ladder[name]
            claim(axes, y, height, number(claimed, "claimed_low"), number(claimed, "claimed_high"))
            middle = y + height / 2
            _mark(axes, middle - 6, alone.get(name), "D", 6, GREEN)
            _mark(axes, middle + 6, ladder.get(name), "o", 7, BLUE)
            y += height
        if not names:
            page.text(4, page.top + 8, "No techniques.", color=GREY)
    return page.svg


def _order(row: Mapping[str, Any]) -> float:
    gain = number(row, "gain")
    return math.inf if math.isnan(gain) else -gain


def _said(alone: Mapping[str, Any] | None, ladder: Mapping[str, Any] | None) -> str:
    parts = [("alone", alone), ("on the ladder", ladder)]
    return ", ".join(f"{where} {gain_words(row)}" for where, row in parts if row is not None)


def _mark(axes: Axes, y: float, row: Mapping[str, Any] | None, shape: str, size: float, color: str) -> None:
    value = math.nan if row is None else number(row, "gain")
    if row is None or math.isnan(value):
        return
    whisker(axes, y, number(row, "gain_low"), number(row, "gain_high"), color)
    fill = PAPER if row.get("kept") is False else color
    (mark,) = axes.plot(value, y, shape, color=color, markersize=size, mfc=fill, mew=1.6, zorder=4)
    tip(mark, f"{row['title']}, {row['view']}: {gain_words(row)} points")
