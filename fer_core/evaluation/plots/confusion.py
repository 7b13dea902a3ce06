"""A confusion matrix for people: counts in the cells, colour by the share of the true class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_core.evaluation.plots.style import GREY, INK, picture


def draw_confusion(path: Path, confusion: npt.ArrayLike, classes: Sequence[str], title: str) -> None:
    """Draw `confusion` (K, K), rows = truth, to `path` (PNG); rows of absent classes stay empty."""
    counts = np.asarray(confusion, dtype=np.int64)
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.zeros(counts.shape), where=support > 0)
    side = 0.42 * len(classes)
    with picture(path, side + 3.6, side + 1.9) as figure:
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else INK
                axes.text(column, row, str(count), ha="center", va="center", fontsize=9, color=colour)
        names = [name.replace("_", " ") for name in classes]
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=9)
        rows = [f"{name} ({n})" for name, n in zip(names, support[:, 0], strict=True)]
        axes.set_yticks(range(len(names)), rows, fontsize=9)
        axes.set_xticks(np.arange(-0.5, len(names)), minor=True)
        axes.set_yticks(np.arange(-0.5, len(names)), minor=True)
        axes.grid(which="minor", color="#E6E6E6", linewidth=0.6)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true (test pictures)")
        axes.set_title(title)
        bar = figure.colorbar(image, ax=axes, shrink=0.6, label="share of the true class")
        bar.outline.set_edgecolor(GREY)
