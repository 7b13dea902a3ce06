"""A validation split for a set that publishes train and test only: a part of train, by subject, stratified by class."""

import numpy as np
import pandas as pd

from fer_core.datasets.folds import units_of
from fer_core.datasets.group_folds import group_folds
from fer_core.errors import ConfigError


def hold_out(rows: pd.DataFrame, share: object, seed: int) -> tuple[pd.DataFrame, list[str]]:
    """Move about `share` of the labelled train pictures to validation where the set has train and test but none.

    All pictures of a subject, and all frames of a clip, go together.

    Args:
        rows: with sample_id, split, subject, emotion, drop_reason and clip_id.
        share: of the train pictures, from 0.02 to 0.5.
        seed: of the draw.

    Returns:
        The rows, and what the head of every table says of it.

    Raises:
        ConfigError: `share` is out of its range.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0.02 <= share <= 0.5:
        raise ConfigError(f"Expected `hold_out` to be a number from 0.02 to 0.5; got {share!r}.")
    splits = set(rows["split"].dropna())
    if "validation" in splits or not {"train", "test"} <= splits:
        return rows, []
    train = rows["split"].eq("train") & rows["emotion"].notna() & rows["drop_reason"].isna()
    units = units_of(rows[train])
    labels = units.labels
    parts = min(round(1 / share), units.group.nunique(), int(np.bincount(labels).max(initial=0)))
    if parts < 2:
        return rows, []
    counted = units.group[units.first]
    held = counted[group_folds(labels, counted, parts, seed) == 0]
    rows = rows.copy()
    moved = units.group.index[units.group.astype(object).isin(held.to_numpy(dtype=object))]
    rows.loc[moved, "split"] = "validation"
    return rows, [
        f"no validation split is published: 1 of {parts} train pictures ({len(moved)}) became it, by subject where "
        "subjects are known"
    ]
