"""The ladder from top to bottom: where the accuracy stands after each rung, and what each rung gave and claims."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from fer_core.evaluation.figures.marks import CLAIMED, claim, claimed_ends, halo, tip, whisker
from fer_core.evaluation.figures.style import BLUE, BODY, FAINT, GREY, INK, PAPER, SMALL, VERMILION, WIDTH, Sheet, sheet
from fer_core.evaluation.figures.words import gain_words, number, text_height, wrap

_LEFT, _RIGHT = 138, 14  # px beside the axes
_LEGEND = [
    (Line2D([], [], color=BLUE, linewidth=2), "accuracy that stands"),
    CLAIMED,
    (Line2D([], [], color=BLUE, marker="o", markersize=7, linewidth=1.4), "rung, kept"),
    (
        Line2D([], [], color=VERMILION, marker="o", markersize=7, markerfacecolor=PAPER, linewidth=1.4),
        "rung, not kept",
    ),
]


@dataclass(frozen=True)
class _Item:
    """One rung, or the head of a phase, `y` px below the top of the axes; `base` is the level before, in percent."""

    row: Mapping[str, Any]
    head: bool
    words: str
    y: float
    height: float
    base: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def ladder_figure(rows: Sequence[Mapping[str, Any]], ceiling: float | None = None, note: str = "") -> str:
    """Return the ladder of the gains table's `rows` as SVG text.

    A mark is a rung's test accuracy, its whisker the 95 % interval of its gain, laid over the level that stood before.

    Args:
        rows: of metrics/gains.json, scores as fractions, gains and claims in points; those of the views "ladder" and
            "phase" are drawn.
        ceiling: accuracy (fraction) that no predictor can be expected to exceed, where it is known.
        note: small words below the figure.
    """
    ladder = [row for row in rows if row["view"] == "ladder"]
    phases = {str(row["phase"]): row for row in rows if row["view"] == "phase"}
    items = _items(ladder, phases)
    height = items[-1].y + items[-1].height if items else 40.0
    description = "; ".join(f"{row['title']}: {_said(row)}" for row in ladder) or "No rungs."
    whiskers = "Whiskers: 95 % intervals, of a rung's gain over what stood before it, of the baseline's accuracy."
    note = f"{note} {whiskers}".strip()
    with sheet("ladder", "The ladder, rung by rung", description, height + 44, _LEGEND, note) as page:
        axes = page.axes(_LEFT, page.top, WIDTH - _LEFT - _RIGHT, height)
        axes.set(ylim=(height, 0), xlabel="test accuracy, %")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        _limits(axes, items, ceiling)
        axes.grid(axis="x", zorder=0)
        axes.set_axisbelow(True)
        for item in items:
            _words(page, item)
            if not item.head:
                _rung(axes, item)
        _standing(axes, items)
        if not items:
            page.text(4, page.top + 8, "No rungs.", color=GREY)
    return page.svg


def _items(ladder: Sequence[Mapping[str, Any]], phases: Mapping[str, Mapping[str, Any]]) -> list[_Item]:
    items: list[_Item] = []
    y, level, before = 0.0, math.nan, None
    for row in ladder:
        phase = None if row.get("phase") is None else str(row["phase"])
        if phase is not None and phase != before:
            head = phases.get(phase, {"title": f"Phase {phase}"})
            items.append(_Item(head, True, wrap(head["title"], WIDTH - 8, BODY), y, 44.0, level))
            y += 44
        before = phase
        words = wrap(row["title"], _LEFT - 6, BODY)
        height = 12 + text_height(words, BODY) + text_height("x", SMALL)
        items.append(_Item(row, False, words, y, height, level))
        y += height
        if row.get("kept") is not False and not math.isnan(number(row, "accuracy")):
            level = 100 * number(row, "accuracy")
    return items


def _said(row: Mapping[str, Any]) -> str:
    """Say a rung in words, for those who cannot see it."""
    if math.isnan(number(row, "accuracy")):
        return "not applicable"
    kept = {True: ", kept", False: ", not kept"}.get(row.get("kept"), "")  # type: ignore[arg-type]
    gain = "" if math.isnan(number(row, "gain")) else f", gain {gain_words(row)} points{kept}"
    return f"{100 * number(row, 'accuracy'):.1f} %{gain}"


def _words(page: Sheet, item: _Item) -> None:
    """Write a rung's name and gain at its left, a phase's over the whole width."""
    top = page.top + item.y
    if item.head:
        page.front.add_patch(Rectangle((0, top + 4), WIDTH, item.height - 8, facecolor=FAINT, edgecolor="none"))
        low, high = number(item.row, "claimed_low"), number(item.row, "claimed_high")
        claimed = "no claim" if math.isnan(low) else f"claimed {low:g}" + ("+" if math.isnan(high) else "")
        if high > low:
            claimed += f"–{high:g}"
        below = page.text(4, top + 6, item.words, SMALL, layer=page.front, fontweight="bold")
        page.text(4, below, f"{gain_words(item.row)}; {claimed}", SMALL, GREY, page.front)
        return
    below = page.text(4, top + 6, item.words)
    if item.row.get("technique") != "baseline":
        page.text(4, below, gain_words(item.row), SMALL, GREY)


def _rung(axes: Axes, item: _Item) -> None:
    """Draw a rung's claimed range, its accuracy and the interval of its gain."""
    row, accuracy = item.row, 100 * number(item.row, "accuracy")
    claim(axes, item.y, item.height, number(row, "claimed_low"), number(row, "claimed_high"), item.base)
    if math.isnan(accuracy):
        return
    dropped = row.get("kept") is False
    color = VERMILION if dropped else BLUE
    low, high = _interval(item)
    whisker(axes, item.middle, low, high, color)
    (mark,) = axes.plot(accuracy, item.middle, "o", color=color, markersize=8, mfc=PAPER if dropped else color, mew=1.8)
    mark.set_zorder(4)
    tip(mark, f"{row['title']}: {_said(row)}")
    edge = accuracy if math.isnan(high) else max(high, accuracy)
    weight = "normal" if dropped else "bold"
    at = (edge, item.middle)
    halo(axes.annotate(f"{accuracy:.1f}", at, (7, 0), textcoords="offset points", va="center", weight=weight, zorder=5))


def _interval(item: _Item) -> tuple[float, float]:
    """Return the whisker's ends in percent of accuracy; the baseline's are those of its own accuracy."""
    if math.isnan(item.base):
        return 100 * number(item.row, "accuracy_low"), 100 * number(item.row, "accuracy_high")
    base = 100 * number(item.row, "accuracy") - number(item.row, "gain")
    return base + number(item.row, "gain_low"), base + number(item.row, "gain_high")


def _standing(axes: Axes, items: Sequence[_Item]) -> None:
    """Draw the level that stands as steps from rung to rung."""
    x: list[float] = []
    y: list[float] = []
    rungs = [item for item in items if not item.head]
    for place, item in enumerate(rungs):
        accuracy = number(item.row, "accuracy")
        level = item.base if item.row.get("kept") is False or math.isnan(accuracy) else 100 * accuracy
        end = rungs[place + 1].middle if place + 1 < len(rungs) else item.y + item.height
        x += [level, level]
        y += [item.middle, end]
    axes.plot(x, y, color=BLUE, linewidth=2, zorder=2)


def _limits(axes: Axes, items: Sequence[_Item], ceiling: float | None) -> None:
    """Span all marks; a ceiling far to their right is named at the edge instead of squeezing them."""
    rungs = [item for item in items if not item.head]
    values = [100 * number(item.row, "accuracy") for item in rungs]
    values += [end for item in rungs for end in _interval(item)]
    for item in rungs:
        ends = claimed_ends(number(item.row, "claimed_low"), number(item.row, "claimed_high"))
        values += [item.base + end for end in ends]
    known = np.asarray(values)[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 100.0)
    margin = max(0.04 * (high - low), 1.0)
    low, high = low - margin, high + 3.5 * margin  # numbers stand at the right of the marks
    if ceiling is not None and math.isfinite(ceiling):
        level = 100 * ceiling
        near = level <= high + 0.15 * (high - low)
        if near:
            high = max(high, level + margin)
            axes.axvline(level, color=GREY, linestyle=(0, (5, 4)), linewidth=1)
        words = f"ceiling {level:.1f}" + ("" if near else " →")
        place = (level, 4) if near else (high, 4)
        axes.annotate(words, place, (-3, 0), textcoords="offset points", ha="right", va="top", size=SMALL, color=INK)
    axes.set_xlim(low, high)
