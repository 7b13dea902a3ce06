"""Marks that several figures draw: intervals, claimed ranges, and what matplotlib lacks."""

import math

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from fer_core.evaluation.figures.style import GREY, LIGHT
from fer_core.evaluation.figures.svg import HALO, TIP

CLAIMED = (Patch(facecolor=LIGHT, edgecolor=GREY, linewidth=0.6), "claimed")  # of a legend
_OPEN = 3.0  # points that a claim without an upper end is drawn wide
_LEAST = 0.4  # points: a claim of one number can be seen as well


def claimed_ends(low: float, high: float) -> tuple[float, float]:
    """Return the ends between which a claim is drawn, in points; an upper end of NaN is open. NaN of no claim."""
    return low, low + _OPEN if math.isnan(high) else max(high, low + _LEAST)


def claim(axes: Axes, y: float, height: float, low: float, high: float, base: float = 0.0) -> None:
    """Draw a claimed range over the level `base` in a row from `y` on; an arrow where it has no upper end."""
    left, right = (base + end for end in claimed_ends(low, high))
    if math.isnan(left):
        return
    axes.add_patch(Rectangle((left, y + 4), right - left, height - 8, fc=LIGHT, ec=GREY, lw=0.6, zorder=1))
    axes.update_datalim([(left, y), (right, y)])
    if math.isnan(high):
        axes.plot(right, y + height / 2, marker=">", color=GREY, markersize=5, zorder=1)


def whisker(axes: Axes, y: float, low: float, high: float, color: str) -> None:
    """Draw an interval as a line with ends at height `y`; nothing where a bound is NaN."""
    if not math.isnan(low + high):
        axes.plot([low, high], [y, y], color=color, linewidth=1.4, marker="|", markersize=6, zorder=3)


def halo(artist: Artist) -> None:
    """Surround a text with the colour of the paper, so that it can stand on lines."""
    artist.set_gid(HALO)


def tip(artist: Artist, words: str) -> None:
    """Show `words` when a pointer rests on the artist."""
    artist.set_gid(TIP + words)
