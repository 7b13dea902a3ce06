"""What a source of AU labels hands over."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd


@dataclass(frozen=True)
class AuLabels:
    """AU labels of a data set, as read.

    Attributes:
        table: one row per picture (index: picture key), one float32 column per AU of the vocabulary: 1 present,
            0 absent, NaN not annotated.
        lines: lines read.
        unannotated: lines that say the picture was not annotated.
        tokens: token as written -> times.
        odd: the tokens that only the documented rule for odd ones could read.
        outside: AU column outside the vocabulary -> pictures that show it; these are not used.
    """

    table: pd.DataFrame
    lines: int
    unannotated: int
    tokens: dict[str, int] = field(default_factory=dict)
    odd: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)


class Source(Protocol):
    """Reads AU labels from a data set's folder."""

    def __call__(self, folder: Path) -> AuLabels | None:
        """Read the labels; None where the folder has none."""
