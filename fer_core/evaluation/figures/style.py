"""The sheet that all figures are drawn on: colours, sizes, and how to place things in pixels.

Colours are of Okabe & Ito's set (Color Universal Design, 2008), told apart by colour-blind readers; every difference
is carried by shape, fill or dash as well. A figure is as wide as a phone and as tall as it needs to be, with names at
the left, so that its text stays readable there; a page for larger screens puts figures side by side.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_core.evaluation.figures.svg import SALT, finished
from fer_core.evaluation.figures.words import text_height, wrap

BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
INK, GREY, LIGHT, FAINT, PAPER = "#222222", "#6B6B6B", "#D9D9D9", "#F3F3F3", "#FFFFFF"

WIDTH = 420  # px of every figure
BODY, SMALL, HEAD = 12.0, 11.0, 13.5  # px of text

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": SALT,
    "text.parse_math": False,  # a class may be named "$"
    "font.size": BODY,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": SMALL,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "savefig.facecolor": "auto",
    "grid.color": LIGHT,
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
}


@dataclass
class Sheet:
    """A figure of `WIDTH` x `height` px, measured from its top left corner; the content starts at `top`."""

    figure: Figure
    canvas: Axes  # covers the sheet, behind other axes; its units are px
    front: Axes  # the same before other axes
    height: float
    top: float
    svg: str = ""

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes at this place, all in px."""
        box = (left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height)
        return self.figure.add_axes(box)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = BODY,
        color: str = INK,
        layer: Axes | None = None,
        **more: Any,
    ) -> float:
        """Write `words` with the top of their first line at `y`; return the y below their last line."""
        for line in words.split("\n"):
            baseline = y + 0.95 * size
            (layer or self.canvas).text(x, baseline, line, fontsize=size, color=color, va="baseline", **more)
            y += text_height(line, size) or size
        return y


@contextmanager
def sheet(
    name: str,
    title: str,
    description: str,
    content: float,
    legend: Sequence[tuple[Artist, str]] = (),
    note: str = "",
    columns: int = 2,
) -> Iterator[Sheet]:
    """Yield a sheet with its title, legend and note, and `content` px of free height from its `top` on.

    On leaving, the sheet's `svg` holds the figure's text.

    Args:
        name: of the figure; ids start with it.
        title: stands above the figure, and is its name to screen readers.
        description: says what is drawn, to those who cannot see it.
        content: height in px, at least 1.
        legend: pairs (mark, words).
        note: small grey words below: what the data are, as a figure travels alone.
        columns: of the legend.
    """
    # bold letters are wider
    heading, small = wrap(title, 0.84 * (WIDTH - 8), HEAD), wrap(note, WIDTH - 8, SMALL)
    rows = math.ceil(len(legend) / columns)
    legend_top = text_height(heading, HEAD) + 10
    top = legend_top + (rows * 17 + 8 if rows else 0)
    height = math.ceil(top + max(content, 1.0) + (text_height(small, SMALL) + 10 if note else 4))
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)  # the reader has it
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)  # an inch is 72 units of an SVG
        canvas, front = (figure.add_axes((0, 0, 1, 1), zorder=order) for order in (-1, 9))
        for layer in (canvas, front):
            layer.set(xlim=(0, WIDTH), ylim=(height, 0))
            layer.set_axis_off()
        page = Sheet(figure, canvas, front, height, top)
        page.text(4, 4, heading, HEAD, fontweight="bold")
        if rows:
            marks, words = [mark for mark, _ in legend], [label for _, label in legend]
            figure.legend(
                marks,
                words,
                loc="upper left",
                bbox_to_anchor=(4 / WIDTH, 1 - legend_top / height),
                ncols=columns,
                borderaxespad=0,
                borderpad=0,
                handlelength=2.2,
                handletextpad=0.5,
                labelspacing=0.4,
                columnspacing=1.2,
            )
        if note:
            page.text(4, top + content + 4, small, SMALL, GREY)
        yield page
        page.svg = finished(figure, name, title, description)
