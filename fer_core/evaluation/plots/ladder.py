"""The ladder in one picture: where the accuracy stands after each rung, and each gain beside the claimed one."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from fer_core.evaluation.gains import Row
from fer_core.evaluation.plots.style import BLUE, FAINT, GREY, INK, LIGHT, VERMILION, picture

_KEPT: dict[str, Any] = {"color": BLUE, "marker": "o", "markersize": 8, "markerfacecolor": BLUE}
_DROPPED: dict[str, Any] = {"color": VERMILION, "marker": "o", "markersize": 8, "markerfacecolor": "white"}
_ALONE: dict[str, Any] = {"color": GREY, "marker": "D", "markersize": 5, "markerfacecolor": GREY}
_OFFSET = 0.2  # of the rungs' and the techniques' marks from the middle of their column


def draw_ladder(path: Path, rows: Sequence[Row], title: str) -> None:
    """Draw the rows of the gains table to `path` (PNG); `title` is the table's headline."""
    ladder = [row for row in rows if row["view"] == "ladder"]
    phases = [row for row in rows if row["view"] == "phase"]
    alone = {row["technique"]: row for row in rows if row["view"] == "alone"}
    with picture(path, max(6.0, 2.2 + 0.9 * len(ladder)), 8.2) as figure:
        figure.suptitle("\n".join(textwrap.wrap(title.replace("->", "→"), 84)), fontsize=13, fontweight="bold")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.15, 1])
        for axes in (top, bottom):
            _columns(axes, ladder)
        _accuracy(top, ladder, phases)
        _gains(bottom, ladder, alone)
        names = [textwrap.fill(row["title"], 13, break_long_words=False) for row in ladder]
        bottom.set_xticks(range(len(ladder)), names, fontsize=9)
        bottom.set_xlim(-0.6, len(ladder) - 0.4)
        top.tick_params(axis="x", length=0, labelbottom=False)


def _columns(axes: Axes, ladder: Sequence[Row]) -> None:
    """Shade every other phase and lay light lines behind everything."""
    for number in sorted({row["phase"] for row in ladder if row["phase"]}):
        columns = [index for index, row in enumerate(ladder) if row["phase"] == number]
        if number % 2:
            axes.axvspan(columns[0] - 0.5, columns[-1] + 0.5, color=FAINT, zorder=0, linewidth=0)
    axes.grid(axis="y", color=LIGHT, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)


def _accuracy(axes: Axes, ladder: Sequence[Row], phases: Sequence[Row]) -> None:
    """Draw the level that stands, each rung's accuracy with its interval, and the level that the roadmap claims."""
    level = 100 * ladder[0]["accuracy"]
    levels = []
    for index, row in enumerate(ladder):
        if row["accuracy"] is None:
            axes.text(index, level, "not\napplicable", ha="center", va="bottom", fontsize=8.5, color=GREY)
        else:
            value, low, high = (100 * row[key] for key in ("accuracy", "accuracy_low", "accuracy_high"))
            dropped = row["kept"] is False
            style = _DROPPED if dropped else _KEPT
            _mark(axes, index, value, low, high, style)
            edge = low if dropped else high
            axes.annotate(
                f"{value:.1f}",
                (index, edge),
                (0, -4 if dropped else 4),
                textcoords="offset points",
                ha="center",
                va="top" if dropped else "bottom",
                fontsize=10,
                color=style["color"],
            )
            level = level if dropped else value
        levels.append(level)
    edges = [index - 0.5 for index in range(len(ladder) + 1)]
    axes.stairs(levels, edges, baseline=None, color=BLUE, linewidth=2, zorder=2, label="accuracy that stands")
    _claimed_levels(axes, ladder, phases)
    for row in phases:
        columns = [index for index, rung in enumerate(ladder) if rung["phase"] == row["phase"]]
        if columns:
            axes.text(
                (columns[0] + columns[-1]) / 2,
                1.02,
                _phase_text(row, len(columns)),
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=9.5,
            )
    axes.set_ylabel("test accuracy, %")
    _legend(axes, "lower right")


def _claimed_levels(axes: Axes, ladder: Sequence[Row], phases: Sequence[Row]) -> None:
    """Draw, per phase, the baseline plus all gains claimed so far (the lower end of an open claim)."""
    claimed, label = 100 * ladder[0]["accuracy"], "baseline + claimed gain of the phases"
    for row in phases:
        claimed += row["claimed_low"]
        columns = [index for index, rung in enumerate(ladder) if rung["phase"] == row["phase"]]
        if not columns:
            continue
        ends = (columns[0] - 0.5, columns[-1] + 0.5)
        axes.hlines(claimed, *ends, color=INK, linestyle=(0, (4, 2)), linewidth=1.4, zorder=1, label=label)
        axes.text(ends[0] + 0.06, claimed, f"{claimed:.1f}", va="bottom", fontsize=9.5)
        label = "_"


def _gains(axes: Axes, ladder: Sequence[Row], alone: dict[str, Row]) -> None:
    """Draw the claimed range as a bar, the measured gain on the ladder and alone as marks with intervals."""
    labels = {"claimed": "claimed range", "kept": "on the ladder, kept", "dropped": "on the ladder, not kept"}
    labels["alone"] = "alone, on the baseline"
    for index, row in enumerate(ladder):
        if row["claimed_low"] is not None:
            low, high = row["claimed_low"], row["claimed_high"]
            height = (row["claimed_low"] + 1 if high is None else high) - low
            label = labels.pop("claimed", "_")
            bar = {"color": LIGHT, "edgecolor": GREY, "linewidth": 0.6, "zorder": 1, "label": label}
            axes.bar(index, height, bottom=low, width=0.8, **bar)
        if row["gain"] is not None:
            dropped = row["kept"] is False
            style = _DROPPED if dropped else _KEPT
            label = labels.pop("dropped" if dropped else "kept", "_")
            _mark(axes, index - _OFFSET, row["gain"], row["gain_low"], row["gain_high"], style, label)
        single = alone.get(row["technique"])
        if single is not None and single["gain"] is not None:
            bounds = (single["gain"], single["gain_low"], single["gain_high"])
            _mark(axes, index + _OFFSET, *bounds, _ALONE, labels.pop("alone", "_"))
        if index and row["gain"] is None and (single is None or single["gain"] is None):
            axes.text(index, 0, "n/a", ha="center", va="bottom", fontsize=9, color=GREY)
    axes.axhline(0, color=INK, linewidth=1, zorder=1.5)
    axes.set_ylabel("gain in accuracy, points")
    _legend(axes, "upper left")


def _mark(
    axes: Axes, x: float, value: float, low: float, high: float, style: dict[str, Any], label: str = "_"
) -> None:
    """Draw one value with its 95 % interval."""
    axes.errorbar(
        x,
        value,
        yerr=[[value - low], [high - value]],
        capsize=3,
        elinewidth=1.6,
        markeredgewidth=1.8,
        linestyle="none",
        zorder=3,
        label=label,
        **style,
    )


def _phase_text(row: Row, columns: int) -> str:
    """Write over a phase what it gave and what it claims."""
    claim = f"claimed {row['claimed_low']:g}{'+' if row['claimed_high'] is None else ''}"
    if row["gain"] is None:
        return f"Phase {row['phase']}\nnot applicable"
    gain = f"{row['gain']:+.1f} [{row['gain_low']:.1f}, {row['gain_high']:.1f}]"
    title = textwrap.shorten(f"Phase {row['phase']}: {row['title']}", 12 * columns, placeholder="…")
    return f"{title}\n{gain}{chr(10) if columns < 2 else '; '}{claim}"


def _legend(axes: Axes, place: str) -> None:
    axes.legend(loc=place, fontsize=9, framealpha=0.9, edgecolor=LIGHT)
