"""Splits for a set that has none: k folds, by subject and stratified by class.

Fold i is test, fold i + 1 (after the last comes the first) validation, and the others are train, so that over the k
values of `fold` every labelled picture is tested once. All pictures of a subject lie in one fold, because pictures of
one person are alike; a picture whose subject is not known is a subject of its own, and so is such a clip. The pool
stays the pool. `limit` is applied first and what is left is dealt: then the folds share one sample, and the k
tests together are that sample.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fer_core.datasets.group_folds import group_folds
from fer_core.errors import ConfigError

LEAST = 3  # test, validation and train


@dataclass(frozen=True)
class Folds:
    """How many folds, and which of them is test; raises ConfigError for numbers that cannot be."""

    count: int
    test: int

    def __post_init__(self) -> None:
        for key, value in (("folds", self.count), ("fold", self.test)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"Expected `{key}` to be a whole number; got {value!r}.")
        if self.count < LEAST:
            raise ConfigError(f"Expected `folds` to be null or at least {LEAST}; got {self.count}.")
        if not 0 <= self.test < self.count:
            raise ConfigError(f"Expected `fold` to be between 0 and {self.count - 1}; got {self.test}.")


def folds_of(params: dict[str, Any]) -> Folds | None:
    """Read `folds` and `fold` of params.yaml; None for the split as published."""
    return None if params.get("folds") is None else Folds(params["folds"], params.get("fold", 0))


class Units(NamedTuple):
    """What must not be torn apart when rows are dealt to splits.

    Attributes:
        group: of each row, the subject or, where that is not known, the clip or the picture itself.
        first: which rows count: a clip counts once, however many frames it has.
        labels: integers, the classes of the rows that count.
    """

    group: pd.Series
    first: pd.Series
    labels: np.ndarray


def units_of(rows: pd.DataFrame) -> Units:
    """Group rows that have an emotion by subject, clip or picture."""
    clip = rows["clip_id"].where(rows["clip_id"].notna(), rows["sample_id"])
    # a subject may be called as a picture of somebody else is
    group = ("subject " + rows["subject"].astype(str)).where(rows["subject"].notna(), "alone " + clip.astype(str))
    first = ~clip.duplicated()
    return Units(group, first, rows.loc[first, "emotion"].to_numpy(dtype=np.int64))


def deal(rows: pd.DataFrame, folds: Folds | None, seed: int) -> pd.DataFrame:
    """Return the rows with the `split` of these folds; unchanged where `folds` is None.

    Args:
        rows: with sample_id, split, subject, emotion, drop_reason and clip_id. Those of the pool keep their split;
            those without an emotion are train: nothing is learned from them.
        folds: how many, and which is test.
        seed: of the shuffling.

    Raises:
        ConfigError: there are fewer subjects than folds.
    """
    if folds is None:
        return rows
    rows = rows.copy()
    dealt = rows["split"].ne("pool") & rows["emotion"].notna() & rows["drop_reason"].isna()
    units = units_of(rows[dealt])
    group, first, labels = units.group, units.first, units.labels
    if group.nunique() < folds.count:
        raise ConfigError(
            f"Expected `folds` to be at most the number of subjects, {group.nunique()}; got {folds.count}."
        )
    dealt_to = pd.Series(group_folds(labels, group[first], folds.count, seed), index=group[first].to_numpy())
    fold_of = group.map(dealt_to[~dealt_to.index.duplicated()]).to_numpy()
    validation = (folds.test + 1) % folds.count
    split = np.where(fold_of == folds.test, "test", np.where(fold_of == validation, "validation", "train"))
    rows.loc[rows["split"].ne("pool"), "split"] = "train"
    rows.loc[dealt, "split"] = split
    return rows


def told(folds: Folds | None, published: bool) -> list[str]:
    """Return what the head of every table says of the split."""
    if folds is None:
        return []
    instead = " instead of the split as published" if published else ""
    return [f"fold {folds.test} of {folds.count} is test{instead}, by subject where subjects are known"]
