"""Words and numbers as figures write them, and the room that they take."""

import math
import re
import textwrap
from collections.abc import Mapping
from typing import Any

_LINE = 1.25  # of a text's size, from one of its lines to the next
_LETTER = 0.56  # of a text's size: a letter's mean width in DejaVu Sans, the widest of the fonts that may be used


def wrap(words: str, width: float, size: float) -> str:
    """Break `words` into lines that fit into `width` px at `size` px; a longer single word is broken as well."""
    return textwrap.fill(words, max(4, int(width / (_LETTER * size))))


def text_height(words: str, size: float) -> float:
    """Return the px that the lines of `words` take at `size` px; 0 of no words."""
    return _LINE * size * len(words.split("\n")) if words else 0.0


def text_width(words: str, size: float) -> float:
    """Return about the px that the longest line of `words` takes at `size` px."""
    return _LETTER * size * max(len(line) for line in words.split("\n"))


def number(row: Mapping[str, Any], key: str) -> float:
    """Return a number of a row; NaN where it is missing, null or not finite."""
    value = row.get(key)
    return float(value) if value is not None and math.isfinite(value) else math.nan


def signed(value: float, digits: int = 1) -> str:
    """Write a number with its sign, a true minus; no sign before what rounds to 0."""
    words = f"{value:+.{digits}f}"
    return words[1:] if re.fullmatch(r"[+-]0(\.0*)?", words) else words.replace("-", "−")


def gain_words(row: Mapping[str, Any]) -> str:
    """Write a row's gain and interval, in points."""
    value, low, high = (number(row, key) for key in ("gain", "gain_low", "gain_high"))
    if math.isnan(value):
        return "not applicable" if row.get("applicable") is False else "–"
    if math.isnan(low + high):
        return signed(value)
    return f"{signed(value)} [{low:.1f}, {high:.1f}]".replace("-", "−")
