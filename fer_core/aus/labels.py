"""What a source of AU labels hands over."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd


@dataclass(frozen=True)
class AuLabels:
    """AU labels of a data set, as read.

    Attributes:
        table: one row per picture (index: `sample_id`), one float32 column per AU, or per part of the face where the
            source marks parts (`AU12`, `AU12L`; see `fer_core.aus.sides`): 1 present, 0 absent, NaN not annotated. It
            has no columns where only intensities are known.
        lines: lines read.
        unannotated: lines that say the picture was not annotated.
        tokens: token as written -> times.
        odd: the tokens that only the documented rule for odd ones could read.
        outside: AU column outside the vocabulary -> pictures that show it; these are not used.
        intensities: how strong the AUs are: index `sample_id`, float32 columns `AU1` ..., from 0 to 5, NaN not known;
            or None.
        without_picture: keys of labels that belong to no row, as the source writes them.
    """

    table: pd.DataFrame
    lines: int
    unannotated: int
    tokens: dict[str, int] = field(default_factory=dict)
    odd: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    intensities: pd.DataFrame | None = None
    without_picture: tuple[str, ...] = ()


def among(samples: pd.Series, names: pd.Index) -> pd.Series:
    """Return which of some `sample_id`s are among names, bool, with the samples' index.

    pandas' own `isin` of its text type makes an Arrow object of every name, ten microseconds each.
    """
    return samples.astype(object).isin(names.to_numpy(dtype=object))


class Source(Protocol):
    """Reads AU labels from a data set's folder."""

    def __call__(self, folder: Path, rows: pd.DataFrame) -> AuLabels | None:
        """Read the labels; None where the folder has none.

        Args:
            folder: the published files.
            rows: the set's rows of the manifest: sample_id, picture, subject, clip_id, frame, with the set's own names.
        """
