"""Everything that the data card shows, as one object, and the rows that it may look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fer_core.datasets.dataset import Info
from fer_core.manifest import labelled, stills

KNOWN = ("train", "validation")  # the splits whose labels may be told


@dataclass(frozen=True)
class Content:
    """What the other stages found.

    Attributes:
        card: data/ingest/card.json.
        table: data/join_aus/manifest.parquet, where test rows have no labels.
        aus: data/join_aus/aus.json.
        faces: data/align/faces.npy, uint8 (N, S, S, C), rows as `crop_index` says; may be memory-mapped.
        infos: source -> what the registry tells of it; a source may be missing.
        leakage: data/ingest/leakage.json, or None where no guard has run.
    """

    card: Mapping[str, Any]
    table: pd.DataFrame
    aus: Mapping[str, Any]
    faces: np.ndarray
    infos: Mapping[str, Info]
    leakage: Mapping[str, Any] | None = None

    @property
    def classes(self) -> Sequence[str]:
        """The class names in the order of the class indices."""
        return list(self.card["classes"])

    @property
    def sources(self) -> list[str]:
        """The names of the data sets that were joined, in the manifest's order."""
        return [str(name) for name in self.table["source"].unique()]

    @property
    def generated(self) -> bool:
        """Whether the faces were generated."""
        return self.card.get("standin") is not None

    def of(self, source: str) -> "Content":
        """Return the same of one data set alone."""
        return replace(self, table=self.table[self.table["source"] == source])

    def labelled(self, split: str) -> pd.DataFrame:
        """Return the usable stills of train, validation or test; those of test have no labels."""
        return labelled(self.table, split)

    def told(self) -> pd.DataFrame:
        """Return the labelled stills of train and validation: all that may be told in detail."""
        return pd.concat([self.labelled(split) for split in KNOWN])

    def counts(self, split: str) -> np.ndarray:
        """Return the labelled pictures per class (K,) of train or validation."""
        emotions = self.labelled(split)["emotion"].to_numpy(np.int64)
        return np.bincount(emotions, minlength=len(self.classes))

    def pool(self) -> int:
        """Return how many usable stills of the pool there are."""
        rows = stills(self.table)
        return int(((rows["split"] == "pool") & rows["drop_reason"].isna()).sum())
