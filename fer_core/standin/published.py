"""Published statistics of RAF-CE: counts, vote vectors, AU frequencies (numbers about the set, not its labels).

Li, Li, Li, Wan, Wang & Deng, "RAF-AU / RAF-CE" label files as published; the statistics were computed from them.
"""

import json
from pathlib import Path

import numpy as np

from fer_core.standin.action_units import NAMES

_STATISTICS = json.loads((Path(__file__).parent / "statistics.json").read_text(encoding="utf-8"))

CLASSES: tuple[str, ...] = tuple(_STATISTICS["classes"])
BASICS: tuple[str, ...] = tuple(_STATISTICS["vote_order"])
SPLITS: tuple[str, ...] = ("train", "validation", "test")
SPLIT_CODE: dict[str, int] = {"train": 0, "test": 1, "validation": 2}

COUNTS: dict[str, tuple[int, ...]] = {
    split: tuple(_STATISTICS["counts"][split][name] for name in CLASSES) for split in SPLITS
}
"""Pictures per class, for each split."""

MEAN_VOTES: np.ndarray = np.array([_STATISTICS["mean_vote_vector"][name] for name in CLASSES])
"""(14, 6) mean share of votes for each basic emotion."""

PAIRS: np.ndarray = np.sort(np.argsort(-MEAN_VOTES, axis=1)[:, :2], axis=1)
"""(14, 2) the two basic emotions that a compound class is made of."""

AU_FREQUENCY: np.ndarray = np.array(
    [[_STATISTICS["au_probability_given_class"][name][au] for au in NAMES] for name in CLASSES]
)
"""(14, 22) P(AU labelled | class) among faces whose AU label is not null."""

NULL_SHARE: np.ndarray = np.array([_STATISTICS["au_null_share"][name] for name in CLASSES])
"""(14,) share of faces per class whose AU label is `null`."""
