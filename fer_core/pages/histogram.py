"""Histograms as inline SVG, drawn by hand: a page of many needs neither matplotlib nor its seconds."""

import math

import numpy as np
import numpy.typing as npt

from fer_core.pages.html import Markup, tag

_WIDTH, _HEIGHT, _SIDE, _BOTTOM = 420, 150, 6, 24  # px: the drawing, beside the bars, below them
_BINS = 28
_SKEWED = 20  # a largest value this many times the median is drawn on a logarithmic scale


def histogram(values: npt.ArrayLike, title: str, unit: str = "") -> Markup:
    """Return a figure of how numbers are distributed, with median, 5th and 95th percentile in words.

    Args:
        values: (N,) numbers; NaN is not known, and counted.
        title: what they are; any text.
        unit: written after the numbers, such as " px".

    Positive numbers whose largest is far beyond the median get a logarithmic scale, and the words say so. Whole
    numbers of a small range get a bar each.
    """
    numbers = np.asarray(values, dtype=np.float64).ravel()
    known = numbers[np.isfinite(numbers)]
    unknown = f" Not known of {len(numbers) - len(known):,} of {len(numbers):,}." if len(known) < len(numbers) else ""
    if not len(known):
        return tag("figure", tag("figcaption", tag("b", title), f": not known of any of {len(numbers):,}."))
    logarithmic = bool(known.min() > 0 and known.max() > _SKEWED * np.median(known))
    edges = _edges(known, logarithmic)
    counts, _ = np.histogram(known, edges)
    low, middle, high = (short(value) for value in _rounded(np.percentile(known, [5, 50, 95]), logarithmic))
    scale = " Logarithmic scale." if logarithmic else ""
    said = f": median {middle}{unit}; 90 % between {low} and {high}{unit}.{scale}{unknown}"
    drawn = _draw(counts, edges, title + said, unit, logarithmic)
    return tag("figure", drawn, tag("figcaption", tag("b", title), said))


def share_bar(share: float) -> Markup:
    """Return a bar for a table's cell, as long as `share`, in 0..1, says."""
    width = max(1, round(90 * share)) if share > 0 else 0
    bar = tag("span", "", class_="share", style=f"width:{width}px;min-width:0", aria_hidden="true")
    return tag("div", bar, class_="tracks")


def short(value: float) -> str:
    """Write a number with three digits that count, a true minus.

    Example:
        >>> short(1234.5), short(0.12345), short(-7.0)
        ('1,234', '0.123', '−7')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    words = f"{value:,.{min(digits, 6)}f}"
    return (words.rstrip("0").rstrip(".") if "." in words else words).replace("-", "−")


def _edges(known: npt.NDArray[np.float64], logarithmic: bool) -> npt.NDArray[np.float64]:
    low, high = float(known.min()), float(known.max())
    if logarithmic:
        return np.geomspace(low, high * (1 + 1e-9), _BINS + 1)
    if high - low < _BINS and bool((known % 1 == 0).all()):
        return np.arange(low - 0.5, high + 1)
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


def _rounded(values: npt.NDArray[np.float64], logarithmic: bool) -> npt.NDArray[np.float64]:
    """Round numbers of one axis to about a hundredth of what they span: a median of 0.0087 degrees means 0."""
    span = float(values.max() - values.min())
    if logarithmic or span == 0:
        return values
    return np.round(values, max(0, 2 - math.floor(math.log10(span)))) + 0.0  # no -0


def _draw(
    counts: npt.NDArray[np.int64], edges: npt.NDArray[np.float64], words: str, unit: str, logarithmic: bool
) -> Markup:
    wide, tall = (_WIDTH - 2 * _SIDE) / len(counts), _HEIGHT - _BOTTOM - 4
    whole = len(counts) and edges[0] % 1 == 0.5 and bool(np.allclose(np.diff(edges), 1))
    bars = []
    for place, count in enumerate(counts):
        if not count:
            continue
        height = max(1.0, tall * count / counts.max())
        at = f"{short(edges[place] + 0.5)}" if whole else f"{short(edges[place])} to {short(edges[place + 1])}"
        bars.append(
            tag(
                "rect",
                tag("title", f"{at}{unit}: {count:,}"),
                x=f"{_SIDE + place * wide + 0.5:.1f}",
                y=f"{_HEIGHT - _BOTTOM - height:.1f}",
                width=f"{wide - 1:.1f}",
                height=f"{height:.1f}",
                fill="var(--blue)",
            )
        )
    base = _HEIGHT - _BOTTOM
    line = tag("path", d=f"M{_SIDE} {base}H{_WIDTH - _SIDE}", stroke="var(--grey)", fill="none")
    centre = math.sqrt(edges[0] * edges[-1]) if logarithmic else (edges[0] + edges[-1]) / 2
    inner = 0.5 if whole else 0.0
    at_ticks = _rounded(np.array([edges[0] + inner, centre, edges[-1] - inner]), logarithmic)
    ticks = list(zip(at_ticks, (_SIDE, _WIDTH / 2, _WIDTH - _SIDE), ("start", "middle", "end"), strict=True))
    ticks = ticks[:: 2 if whole else 1]  # between two bars there is no whole number
    marks = [
        tag("text", short(value) + unit, x=f"{x:.0f}", y=base + 17, text_anchor=anchor, font_size=13, fill="var(--ink)")
        for value, x, anchor in ticks
    ]
    return tag("svg", line, *bars, *marks, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=words)
