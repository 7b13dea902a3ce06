"""Reliability diagrams: how often a predictor is right when it says that it is this sure.

Guo et al., On Calibration of Modern Neural Networks (ICML 2017), figure 1 and equation 3.
"""

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from matplotlib.lines import Line2D

from fer_core.evaluation.figures.marks import tip
from fer_core.evaluation.figures.style import BLUE, GREEN, GREY, PAPER, PURPLE, VERMILION, WIDTH, sheet

_LEFT, _RIGHT = 52, 12  # px beside the axes
_STYLES: list[dict[str, Any]] = [
    {"color": VERMILION, "marker": "s", "linestyle": "--"},
    {"color": BLUE, "marker": "o", "linestyle": "-"},
    {"color": GREEN, "marker": "^", "linestyle": "-."},
    {"color": PURPLE, "marker": "D", "linestyle": ":"},
]
_FEW = 10  # test pictures: the accuracy of a bin with fewer says little, and a line through it would mislead
_AREA = 190.0  # px² of the mark of a bin that holds everything


class Curve(Protocol):
    """Bins (B,) of confidence: its mean and the accuracy in each (fractions, NaN where empty), and the count."""

    @property
    def confidence(self) -> npt.NDArray[np.float64]: ...  # noqa: D102

    @property
    def accuracy(self) -> npt.NDArray[np.float64]: ...  # noqa: D102

    @property
    def count(self) -> npt.NDArray[np.int64]: ...  # noqa: D102


def calibration_figure(curves: Mapping[str, Curve], note: str = "") -> str:
    """Return accuracy against confidence, one line per name, as SVG text; a mark's area grows with its bin's share.

    The legend gives the expected calibration error in points: a curve's `ece` (fraction) where it has one, else
    sum of |accuracy − confidence| over the bins, weighted by count. `note` stands below.
    """
    styles = {name: _STYLES[place % len(_STYLES)] for place, name in enumerate(curves)}
    legend = [
        (Line2D([], [], markersize=7, linewidth=1.6, **styles[name]), f"{name}: ECE {_points(_ece(curve))}")
        for name, curve in curves.items()
    ]
    legend.append((Line2D([], [], color=GREY, linewidth=1), "as right as sure"))
    side = WIDTH - _LEFT - _RIGHT
    description = "; ".join(f"{name}: expected calibration error {_points(_ece(c))}" for name, c in curves.items())
    note = (
        f"{note} Below the line: surer than right. Larger marks: more test pictures; hollow: fewer than {_FEW}.".strip()
    )
    title = "How sure, and how often right"
    with sheet("calibration", title, description or "No curves.", side + 48, legend, note, columns=1) as page:
        axes = page.axes(_LEFT, page.top + 4, side, side)
        axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="mean confidence, %", ylabel="accuracy, %")
        axes.grid()
        axes.set_axisbelow(True)
        axes.plot([0, 100], [0, 100], color=GREY, linewidth=1)
        for name, curve in curves.items():
            confidence, accuracy, count = _bins(curve)
            style = styles[name]
            firm = count >= _FEW
            axes.plot(
                confidence[firm], accuracy[firm], color=style["color"], linestyle=style["linestyle"], linewidth=1.6
            )
            for x, y, n in zip(confidence, accuracy, count, strict=True):
                size = math.sqrt(16 + _AREA * n / count.sum())
                (mark,) = axes.plot(x, y, marker=style["marker"], color=style["color"], markersize=size, clip_on=False)
                if n < _FEW:
                    mark.set_markerfacecolor(PAPER)
                tip(mark, f"{name}: {x:.0f} % sure, {y:.0f} % right, {n:.0f} test pictures")
    return page.svg


def _bins(curve: Curve) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return confidence and accuracy in percent, and the count, of the bins that hold something."""
    arrays = [np.asarray(values, dtype=np.float64) for values in (curve.confidence, curve.accuracy, curve.count)]
    filled = np.isfinite(arrays[0]) & np.isfinite(arrays[1]) & (np.nan_to_num(arrays[2]) > 0)
    confidence, accuracy, count = (values[filled] for values in arrays)
    return 100 * confidence, 100 * accuracy, count


def _ece(curve: Curve) -> float:
    """Return the expected calibration error in points; NaN of no bins."""
    given = getattr(curve, "ece", None)
    if given is not None and not callable(given):
        return 100 * float(given)
    confidence, accuracy, count = _bins(curve)
    return float(np.average(np.abs(accuracy - confidence), weights=count)) if count.size else math.nan


def _points(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.1f} points"
