"""What choices are made by: the validation split's labels, and predictions read without any test label."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.errors import DataError
from fer_core.evaluation.metrics import Floats, scores
from fer_core.evaluation.predictions import Truth, align_predictions, read_table
from fer_core.manifest import stills


def read_validation(manifest: Path) -> Truth:
    """Read the labels of every validation still that was not dropped; the test split is not looked at."""
    table = stills(read_table(manifest, ["sample_id", "split", "emotion", "drop_reason", "clip_id"]))
    rows = table[table["split"].eq("validation") & table["drop_reason"].isna()]
    if rows.empty:
        raise DataError(f"{manifest} has no usable validation picture; there is nothing to choose by.")
    labels = rows["emotion"].to_numpy(dtype=np.int64)
    nothing = np.full((len(rows), 0), np.nan)
    return Truth("validation", rows["sample_id"].tolist(), labels, None, nothing, [], 0)


def validation_log_probabilities(predictions: Path, truth: Truth) -> Floats:
    """Return (N, K) on validation, in the truth's order; raises DataError for other faces than these."""
    columns = ["sample_id", "split", "log_probabilities"]
    table = read_table(predictions, columns)[columns]
    classes = len(table["log_probabilities"].iloc[0]) if len(table) else 0
    return align_predictions(table, truth, classes, str(predictions)).log_probabilities


def macro_f1_on_validation(predictions: Path, manifest: Path) -> float:
    """Return the macro-F1 (0..1) of a predictor's most probable classes on the validation split."""
    truth = read_validation(manifest)
    logs = validation_log_probabilities(predictions, truth)
    return scores(truth.labels, logs.argmax(1), logs.shape[1]).macro_f1


def log_probabilities_on_test(predictions: Path, ids: Sequence[str] | None = None) -> tuple[list[str], Floats]:
    """Return the ids and log-probabilities (N, K) of the test faces, in the order of `ids` where given."""
    table = read_table(predictions, ["sample_id", "split", "log_probabilities"])
    rows = table[table["split"].eq("test")].set_index("sample_id")["log_probabilities"]
    order = list(rows.index) if ids is None else list(ids)
    if rows.index.has_duplicates or set(order) != set(rows.index):
        raise DataError(f"{predictions} holds other test faces than the ensemble's first member.")
    return order, np.stack(rows.loc[order].tolist()).astype(np.float64)


def prediction_table(by_split: Mapping[str, tuple[Sequence[str], np.ndarray]]) -> pd.DataFrame:
    """Lay out predictions.parquet: split -> (sample ids, log-probabilities (N, K)); no labels."""
    tables = [
        pd.DataFrame({"sample_id": list(ids), "split": split, "log_probabilities": list(logs.astype(np.float32))})
        for split, (ids, logs) in by_split.items()
    ]
    return pd.concat(tables, ignore_index=True)
