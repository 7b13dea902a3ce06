"""The ladder in one picture: where the accuracy stands after each rung, and each gain beside the claimed one."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from fer_core.evaluation.gains import Row
from fer_core.evaluation.plots.style import BLUE, FAINT, GREY, INK, LIGHT, VERMILION, picture
from fer_core.evaluation.table import title_text

_KEPT: dict[str, Any] = {"color": BLUE, "marker": "o", "markersize": 8, "markerfacecolor": BLUE}
_DROPPED: dict[str, Any] = {"color": VERMILION, "marker": "o", "markersize": 8, "markerfacecolor": "white"}
_ALONE: dict[str, Any] = {"color": GREY, "marker": "D", "markersize": 5, "markerfacecolor": GREY}
_LEGEND = (
    "accuracy that stands",
    "baseline + claimed gains of the phases",
    "claimed range",
    "on the ladder, kept",
    "on the ladder, not kept",
    "alone, on the baseline",
)
_STANDS, _PHASES, _RANGE, _ON_KEPT, _ON_DROPPED, _SINGLE = _LEGEND
_OFFSET = 0.2  # of the rungs' and the techniques' marks from the middle of their column


def draw_ladder(
    path: Path, rows: Sequence[Row], title: str, notes: Sequence[str] = (), ceiling: float | None = None
) -> None:
    """Draw the rows of the gains table to `path` (PNG).

    `title` is the table's headline; `notes` say below the picture what the data are, as a picture travels alone.
    `ceiling` is the accuracy (fraction) that no predictor can be expected to exceed, where it is known.
    """
    ladder = [row for row in rows if row["view"] == "ladder"]
    phases = [row for row in rows if row["view"] == "phase"]
    alone = {row["technique"]: row for row in rows if row["view"] == "alone"}
    with picture(path, max(6.0, 2.2 + 0.9 * len(ladder)), 8.2) as figure:
        figure.suptitle(title.replace("->", "→").replace("; ", "\n"), fontsize=13, fontweight="bold")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.15, 1])
        for axes in (top, bottom):
            _columns(axes, ladder)
        _accuracy(top, ladder, phases)
        if ceiling is not None:
            _ceiling(top, 100 * ceiling)
        _gains(bottom, ladder, alone)
        names = [textwrap.fill(row["title"], 13, break_long_words=False) for row in ladder]
        bottom.set_xticks(range(len(ladder)), names, fontsize=9)
        small = [*notes, f"{ladder[0]['n_test']} test pictures; whiskers: 95 % intervals."]
        bottom.set_xlabel(" ".join(small), fontsize=9.5, color=GREY, wrap=True)
        bottom.set_xlim(-0.6, len(ladder) - 0.4)
        top.tick_params(axis="x", length=0, labelbottom=False)
        found = [axes.get_legend_handles_labels() for axes in (top, bottom)]
        handles = {label: mark for marks, labels in found for mark, label in zip(marks, labels, strict=True)}
        ordered = sorted(handles, key=_LEGEND.index)
        figure.legend([handles[label] for label in ordered], ordered, loc="outside lower center", ncols=3, fontsize=9.5)


def _columns(axes: Axes, ladder: Sequence[Row]) -> None:
    """Shade every other phase and lay light lines behind everything."""
    for number, phase in enumerate(dict.fromkeys(row["phase"] for row in ladder if row["phase"])):
        columns = [index for index, row in enumerate(ladder) if row["phase"] == phase]
        if number % 2 == 0:
            axes.axvspan(columns[0] - 0.5, columns[-1] + 0.5, color=FAINT, zorder=0, linewidth=0)
    axes.grid(axis="y", color=LIGHT, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)


def _accuracy(axes: Axes, ladder: Sequence[Row], phases: Sequence[Row]) -> None:
    """Draw the level that stands, each rung's accuracy with its interval, and the level that the roadmap claims."""
    level = 100 * ladder[0]["accuracy"]
    levels = []
    for index, row in enumerate(ladder):
        if row["accuracy"] is None:
            axes.text(index, level + 0.4, "not\napplicable", ha="center", va="bottom", fontsize=8.5, color=GREY)
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
                path_effects=[withStroke(linewidth=3, foreground="white")],  # a dropped rung's may stand on the line
            )
            level = level if dropped else value
        levels.append(level)
    edges = [index - 0.5 for index in range(len(ladder) + 1)]
    axes.stairs(levels, edges, baseline=None, color=BLUE, linewidth=2, zorder=2, label=_STANDS)
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
    axes.margins(y=0.09)
    axes.set_ylabel("test accuracy, %")


def _claimed_levels(axes: Axes, ladder: Sequence[Row], phases: Sequence[Row]) -> None:
    """Draw, per phase, the baseline plus all gains claimed so far (the lower end of an open claim)."""
    claimed, label = 100 * ladder[0]["accuracy"], _PHASES
    for row in phases:
        if row["claimed_low"] is None:
            continue
        claimed += row["claimed_low"]
        columns = [index for index, rung in enumerate(ladder) if rung["phase"] == row["phase"]]
        if not columns:
            continue
        ends = (columns[0] - 0.5, columns[-1] + 0.5)
        axes.hlines(claimed, *ends, color=INK, linestyle=(0, (4, 2)), linewidth=1.4, zorder=1, label=label)
        axes.text(ends[0] + 0.06, claimed, f"{claimed:.1f}", va="bottom", fontsize=9.5)
        label = "_"


def _ceiling(axes: Axes, level: float) -> None:
    """Draw the level that no predictor can be expected to exceed, named over the baseline, where nothing else is."""
    axes.axhline(level, color=GREY, linestyle=(0, (6, 4)), linewidth=0.9, zorder=1)
    axes.text(
        0.005,
        level,
        f"ceiling {level:.1f}",
        transform=axes.get_yaxis_transform(),
        va="bottom",
        fontsize=9.5,
        color=GREY,
    )


def _gains(axes: Axes, ladder: Sequence[Row], alone: dict[str, Row]) -> None:
    """Draw the claimed range as a bar, the measured gain on the ladder and alone as marks with intervals."""
    unused = {name: name for name in _LEGEND}  # a name goes to the first mark of its kind
    for index, row in enumerate(ladder):
        if row["claimed_low"] is not None:
            low, high = row["claimed_low"], row["claimed_high"]
            height = (row["claimed_low"] + 1 if high is None else high) - low
            label = unused.pop(_RANGE, "_")
            axes.bar(index, height, 0.8, low, color=LIGHT, edgecolor=GREY, linewidth=0.6, zorder=1, label=label)
        if row["gain"] is not None:
            dropped = row["kept"] is False
            style = _DROPPED if dropped else _KEPT
            label = unused.pop(_ON_DROPPED if dropped else _ON_KEPT, "_")
            _mark(axes, index - _OFFSET, row["gain"], row["gain_low"], row["gain_high"], style, label)
        single = alone.get(row["technique"])
        if single is not None and single["gain"] is not None:
            bounds = (single["gain"], single["gain_low"], single["gain_high"])
            _mark(axes, index + _OFFSET, *bounds, _ALONE, unused.pop(_SINGLE, "_"))
        if index and row["gain"] is None and (single is None or single["gain"] is None):
            axes.text(index, 0, "n/a", ha="center", va="bottom", fontsize=9, color=GREY)
    axes.axhline(0, color=INK, linewidth=1, zorder=1.5)
    axes.set_ylabel("gain in accuracy, points")


def _mark(axes: Axes, x: float, value: float, low: float, high: float, style: dict[str, Any], label: str = "_") -> None:
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
    claim = f"claimed {row['claimed_low'] or 0:g}{'+' if row['claimed_high'] is None else ''}"
    if row["claimed_low"] is None:
        claim = "no claim"
    short = f"Phase {row['phase']}" if str(row["phase"]).isdigit() else str(row["phase"]).capitalize()
    if row["gain"] is None:
        return f"{short}\nnot applicable"
    gain = f"{row['gain']:+.1f} [{row['gain_low']:.1f}, {row['gain_high']:.1f}]"
    if columns == 1:
        return f"{short}\n{gain}\n{claim}"
    return f"{textwrap.shorten(title_text(row), 14 * columns, placeholder=' …')}\n{gain}; {claim}"
