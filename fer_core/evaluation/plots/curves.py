"""Learning curves of all runs as small multiples on common axes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib.ticker import MaxNLocator

from fer_core.evaluation.plots.style import BLUE, LIGHT, VERMILION, picture

_COLUMNS = 4


def draw_curves(
    path: Path, histories: Mapping[str, Sequence[Mapping[str, Any]]], converged: Mapping[str, bool | None]
) -> None:
    """Draw train accuracy and validation macro-F1 per epoch of each run to `path` (PNG).

    Behind the curves of a curriculum stands its schedule: the share of the train pictures that an epoch draws from.
    Epochs up to 0 are those of self-supervised pretraining, with the UAR of a kNN and of a linear probe where asked.
    """
    rows = max(1, math.ceil(len(histories) / _COLUMNS))
    with picture(path, 11, 0.9 + 1.9 * rows) as figure:
        title = "Train accuracy (orange, dashed) and validation macro-F1 (blue) per epoch, %"
        if any("curriculum_share" in epoch for history in histories.values() for epoch in history):
            title += "; grey: pictures that a curriculum shows"
        if any("knn_uar" in epoch for history in histories.values() for epoch in history):
            title += "; up to epoch 0: UAR of probes on self-supervised features (dots kNN, crosses linear)"
        figure.suptitle(fill(title, 105), fontsize=12)
        grid = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (name, history) in zip(grid, histories.items(), strict=False):
            epochs = [epoch["epoch"] for epoch in history]
            if any("curriculum_share" in epoch for epoch in history):
                axes.fill_between(epochs, _percents(history, "curriculum_share"), step="mid", color=LIGHT, linewidth=0)
            axes.plot(epochs, _percents(history, "train_accuracy"), color=VERMILION, linestyle="--", linewidth=1.4)
            axes.plot(epochs, _percents(history, "validation_macro_f1"), color=BLUE, linewidth=1.8)
            if any("knn_uar" in epoch for epoch in history):
                for key, marker in (("knn_uar", "."), ("probe_uar", "x")):
                    axes.scatter(epochs, _percents(history, key), s=16, color=BLUE, marker=marker)
            mark = " (not converged)" if converged.get(name) is False else ""
            axes.set_title(name + mark, fontsize=9)
            axes.grid(color=LIGHT, linewidth=0.5)
            axes.tick_params(labelsize=8)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axes in grid[len(histories) :]:
            axes.set_axis_off()
        for axes in grid[: len(histories)][-_COLUMNS:]:
            axes.set_xlabel("epoch", fontsize=9)
            axes.tick_params(labelbottom=True)
        if histories:
            grid[0].set_ylim(0, 100)


def _percents(history: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """Return a column of the history in percent; what an epoch lacks, or lost to NaN, is a gap."""
    values = [epoch.get(key) for epoch in history]
    return [math.nan if value is None else 100 * value for value in values]
