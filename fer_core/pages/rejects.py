"""Pictures that are not used, counted by reason and split."""

import pandas as pd

from fer_core.datasets.dataset import SAME_AS, SUBJECT_IN
from fer_core.manifest import SPLITS
from fer_core.pages.html import Markup, table


def reason(words: str) -> str:
    """Return a drop_reason without the name of the picture that it is about, so that reasons can be counted.

    Example:
        >>> reason("the same picture as 0007 (test)")
        'the same picture as …'
    """
    for start in (SAME_AS, SUBJECT_IN):
        if words.startswith(start):
            return f"{start}…"
    return words


def by_reason(rejects: pd.DataFrame, caption: str) -> Markup:
    """Return a table of rows with a `drop_reason`: one row per reason, most frequent first, one column per split."""
    splits = [split for split in SPLITS if (rejects["split"] == split).any()]
    counts = pd.crosstab(rejects["drop_reason"].astype(str).map(reason), rejects["split"])
    counts = counts.reindex(columns=splits, fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    rows = [[str(name), *(f"{n:,}" for n in row), f"{row.sum():,}"] for name, row in counts.iterrows()]
    return table(["Reason", *splits, "all"], rows, caption)
