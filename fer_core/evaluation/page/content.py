"""Everything that the page shows, as one object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_core.evaluation.metrics import Floats, Integers
from fer_core.evaluation.predictions import Truth

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """A picture that was drawn before: its `name` (of a run) and the bytes of a PNG."""

    name: str
    png: bytes


@dataclass(frozen=True)
class Content:
    """What the other stages found.

    Attributes:
        rows: metrics/gains.json.
        summary: metrics/summary.json.
        runs: metrics/runs.json.
        slices: metrics/slices.json.
        synthesis: metrics/synthesis.json.
        road: plans/road.yaml.
        states: rung -> its state.yaml, in the ladder's order.
        card: data/ingest/card.json.
        aus: data/join_aus/aus.json.
        leakage: data/ingest/leakage.json, or None where no guard has run.
        truth: the test split.
        final: the predictor that stands after the last rung.
        logs: predictor -> log-probabilities (N, K) of the test faces, in the truth's order: baseline and final.
        faces: (N, H, W, 3) uint8, the test faces in the truth's order; may be memory-mapped.
        histories: training run -> its epochs.
        attention: where runs look, as pictures; the rest of them, beyond these, stand in `attention_folder`.
        attention_folder: where all of them stand.
        environment: name -> value, in the order shown.
        notes: the sentences above the table.
    """

    rows: Sequence[Row]
    summary: Row
    runs: Mapping[str, Row]
    slices: Sequence[Row]
    synthesis: Row
    road: Row
    states: Mapping[str, Row]
    card: Row
    aus: Row
    leakage: Row | None
    truth: Truth
    final: str
    logs: Mapping[str, Floats]
    faces: npt.NDArray[np.uint8]
    histories: Mapping[str, Sequence[Row]]
    attention: Sequence[Picture]
    attention_folder: str
    environment: Mapping[str, str]
    notes: Sequence[str]

    @property
    def classes(self) -> list[str]:
        """The K class names."""
        return list(self.card["classes"])

    @property
    def train_counts(self) -> Integers:
        """The train pictures of each class, (K,)."""
        counts = self.card["counts"]["train"]
        return np.array([counts[name] for name in self.classes], dtype=np.int64)

    def confusion(self, predictor: str) -> Integers:
        """The test confusion matrix (K, K) of a predictor, rows = truth."""
        return np.array(self.runs[predictor]["test"]["confusion"], dtype=np.int64)

    def recall(self, predictor: str) -> Floats:
        """The test recall (K,) of a predictor, NaN for a class without test pictures."""
        entries = self.runs[predictor]["test"]["per_class"]
        return np.array([np.nan if entries[n]["recall"] is None else entries[n]["recall"] for n in self.classes])
