"""Learning curves of all runs as small panels; each spans the epochs of its run and of the baseline."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fer_core.evaluation.figures.marks import halo, tip
from fer_core.evaluation.figures.style import BLUE, GREY, LIGHT, ORANGE, SMALL, WIDTH, Sheet, sheet

History = Sequence[Mapping[str, Any]]

_COLUMNS = 2
_LEFT, _GAP = 30, 20  # px: for the percents at the left, between the columns
_PANEL, _ROW = 78, 116  # px: height of a panel's axes, from row to row
_LETTERS = 28  # of a name that a panel has room for
_BASELINES = ("baseline", "train/baseline")


@dataclass(frozen=True)
class _Panel:
    """Where a panel's axes stand on the sheet, in px, and the epochs that they span."""

    left: float
    top: float
    width: float
    first: float
    last: float

    def x(self, epoch: float) -> float:
        return self.left + self.width * (epoch - self.first) / max(self.last - self.first, 1)

    def y(self, percent: float) -> float:
        return self.top + _PANEL * (1 - percent / 100)


def learning_figure(
    histories: Mapping[str, History], converged: Mapping[str, bool | None] | None = None, note: str = ""
) -> str:
    """Return train accuracy and validation macro-F1 per epoch of each run, in percent, as SVG text.

    The run "baseline" or "train/baseline" stands in every panel in grey. Behind the curves of a curriculum stands its
    schedule: the share of the train pictures that an epoch draws from. Epochs up to 0 are those of self-supervised
    pretraining, with the UAR of a kNN (dots) and of a linear probe (crosses) where asked. What an epoch lacks is a gap.

    Args:
        histories: run -> its epochs, each with "epoch", "train_accuracy", "validation_macro_f1" (fractions) and so on.
        converged: run -> whether it did; those that did not are marked.
        note: small words below the figure.
    """
    rows = math.ceil(len(histories) / _COLUMNS)
    baseline = next((histories[name] for name in _BASELINES if name in histories), [])
    said = "; ".join(f"{name}: best validation macro-F1 {_best(history)}" for name, history in histories.items())
    everything = [epoch for history in histories.values() for epoch in history]
    legend = _legend(everything, bool(baseline))
    title = "Learning curves"
    with sheet("learning", title, said or "No runs.", max(rows * _ROW + 16, 30), legend, note) as page:
        page.text(4, page.top, "%, by epoch", SMALL, GREY)
        width = (WIDTH - _LEFT - _GAP * (_COLUMNS - 1) - 6) / _COLUMNS
        for place, (name, history) in enumerate(histories.items()):
            row, column = divmod(place, _COLUMNS)
            left = _LEFT + column * (width + _GAP)
            epochs = [float(epoch["epoch"]) for epoch in (*history, *baseline)]
            panel = _Panel(left, page.top + 34 + row * _ROW, width, min(epochs, default=1.0), max(epochs, default=1.0))
            _frame(page, panel, column == 0)
            page.text(left, panel.top - 17, name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…", SMALL)
            if history is not baseline:
                for _ in _lines(page.canvas, panel, baseline, "validation_macro_f1", color=GREY, linewidth=1.1):
                    pass
            _run(page.canvas, panel, history, name)
            if (converged or {}).get(name) is False:
                words = page.canvas.text(left + 3, panel.top + 3, "not converged", size=10, va="top", zorder=3)
                halo(words)
    return page.svg


def _legend(epochs: History, baseline: bool) -> list[tuple[Any, str]]:
    """Name what is drawn, and nothing else."""
    legend: list[tuple[Any, str]] = [
        (Line2D([], [], color=BLUE, linewidth=1.8), "validation macro-F1"),
        (Line2D([], [], color=ORANGE, linestyle="--", linewidth=1.4), "train accuracy"),
    ]
    if baseline:
        legend.append((Line2D([], [], color=GREY, linewidth=1.1), "the baseline's macro-F1"))
    if any("curriculum_share" in epoch for epoch in epochs):
        legend.append((Patch(facecolor=LIGHT), "shown by the curriculum"))
    if any("knn_uar" in epoch or "probe_uar" in epoch for epoch in epochs):
        legend.append((Line2D([], [], color=BLUE, marker=".", linestyle="none"), "UAR, kNN on features"))
        legend.append((Line2D([], [], color=BLUE, marker="x", linestyle="none"), "UAR, linear probe"))
    return legend


def _frame(page: Sheet, panel: _Panel, percents: bool) -> None:
    for percent in (0, 50, 100):
        y = panel.y(percent)
        color = GREY if percent == 0 else LIGHT
        page.canvas.plot([panel.left, panel.left + panel.width], [y, y], color=color, linewidth=0.7, zorder=1)
        if percents:
            page.canvas.text(panel.left - 4, y, f"{percent}", ha="right", va="center", fontsize=10)
    ends = {panel.first: "left", panel.last: "right"} if panel.last > panel.first else {panel.first: "left"}
    for epoch, side in ends.items():
        page.canvas.text(panel.x(epoch), panel.y(0) + 3, f"{epoch:g}", ha=side, va="top", fontsize=10)


def _run(canvas: Axes, panel: _Panel, history: History, name: str) -> None:
    shares = _percents(history, "curriculum_share")
    if any(not math.isnan(share) for share in shares):
        x, y = [panel.x(epoch["epoch"]) for epoch in history], [panel.y(share) for share in shares]
        canvas.fill_between(x, y, panel.y(0), step="mid", color=LIGHT, linewidth=0, zorder=0.5)
    train = {"color": ORANGE, "linestyle": "--", "linewidth": 1.3}
    for key, style in (("train_accuracy", train), ("validation_macro_f1", {"color": BLUE, "linewidth": 1.7})):
        for line in _lines(canvas, panel, history, key, **style):
            tip(line, f"{name}: best validation macro-F1 {_best(history)}")
    for key, marker in (("knn_uar", "."), ("probe_uar", "x")):
        for _ in _lines(canvas, panel, history, key, color=BLUE, marker=marker, markersize=4.5, linestyle="none"):
            pass


def _lines(canvas: Axes, panel: _Panel, history: History, key: str, **style: Any) -> Iterator[Any]:
    """Draw a column of the history; yield the line, if there is something to draw."""
    y = [panel.y(percent) for percent in _percents(history, key)]
    if any(not math.isnan(value) for value in y):
        lonely: dict[str, Any] = {"marker": "o", "markersize": 4} if len(history) == 1 and "marker" not in style else {}
        yield canvas.plot([panel.x(epoch["epoch"]) for epoch in history], y, zorder=2, **lonely, **style)[0]


def _percents(history: History, key: str) -> list[float]:
    """Return a column of the history in percent; what an epoch lacks, or lost to NaN, is NaN."""
    values = [epoch.get(key) for epoch in history]
    return [math.nan if value is None else 100 * float(value) for value in values]


def _best(history: History) -> str:
    known = [value for value in _percents(history, "validation_macro_f1") if not math.isnan(value)]
    return f"{max(known):.1f} %" if known else "unknown"
