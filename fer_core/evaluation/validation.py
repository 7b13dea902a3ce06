"""What choices are made by: the validation split's labels, and predictions read without any test label."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_core.errors import DataError
from fer_core.evaluation.intervals import clusters_of, resampled_scores
from fer_core.evaluation.metrics import COMMON, Floats, scores
from fer_core.evaluation.predictions import Truth, align_predictions, read_table
from fer_core.manifest import stills


def read_validation(manifest: Path) -> Truth:
    """Read the labels of every validation still that was not dropped; the test split is not looked at."""
    table = stills(read_table(manifest, ["sample_id", "split", "subject", "emotion", "drop_reason", "clip_id"]))
    rows = table[table["split"].eq("validation") & table["drop_reason"].isna()]
    if rows.empty:
        raise DataError(f"{manifest} has no usable validation picture; there is nothing to choose by.")
    labels = rows["emotion"].to_numpy(dtype=np.int64)
    nothing = np.full((len(rows), 0), np.nan)
    subjects = [None if pd.isna(subject) else str(subject) for subject in rows["subject"]]
    return Truth("validation", rows["sample_id"].tolist(), labels, clusters_of(subjects), nothing, [], 0)


def validation_log_probabilities(predictions: Path, truth: Truth) -> Floats:
    """Return (N, K) on validation, in the truth's order; raises DataError for other faces than these."""
    columns = ["sample_id", "split", "log_probabilities"]
    table = read_table(predictions, columns)[columns]
    classes = len(table["log_probabilities"].iloc[0]) if len(table) else 0
    return align_predictions(table, truth, classes, str(predictions)).log_probabilities


@dataclass(frozen=True)
class Change:
    """What a rung changes on validation: `score` of the candidate and `before` of what stood, macro-F1 as fractions.

    `error` is the standard error of their difference, `classes` over how many classes the means go. `before` and
    `error` are None for the first rung, which nothing stood before.
    """

    score: float
    before: float | None
    error: float | None
    classes: int

    @property
    def kept(self) -> bool:
        """Whether the rung stays: unless it scores lower by more than one standard error."""
        return self.before is None or self.error is None or self.score >= self.before - self.error


def change_on_validation(
    candidate: Sequence[Path], before: Sequence[Path], manifest: Path, resamples: int = 2000
) -> Change:
    """Compare two predictors by macro-F1 on the validation split, each by the predictions of its seeds.

    Macro-F1 goes over the classes with at least `COMMON` validation pictures, where there are two or more of those,
    else over all that are present: a class of one or two pictures moves a mean over 14 classes by points when one
    picture does. The standard error is that of the paired bootstrap of the difference (by subject where subjects
    repeat). A technique that the roadmap proposes is dropped only where validation speaks against it: a rung that was
    lucky by a little does not shut out all behind it.

    Raises DataError when predictions are of other faces than the manifest's validation split.
    """
    truth = read_validation(manifest)
    paths = [*candidate, *before]
    guesses = {str(path): validation_log_probabilities(path, truth) for path in paths}
    classes = next(iter(guesses.values())).shape[1]
    labels = {name: logs.argmax(1) for name, logs in guesses.items()}
    draws = resampled_scores(truth.labels, labels, classes, truth.clusters, resamples)
    common = int((np.bincount(truth.labels, minlength=classes) >= COMMON).sum())
    metric = "macro_f1_common" if common >= 2 else "macro_f1"

    def mean(names: Sequence[Path], of: Callable[[str], Any]) -> Any:
        return np.mean([of(str(name)) for name in names], axis=0)

    def value(name: str) -> float:
        return float(getattr(scores(truth.labels, labels[name], classes), metric))

    score = float(mean(candidate, value))
    counted = common if common >= 2 else len(set(truth.labels.tolist()))
    if not before:
        return Change(score, None, None, counted)
    gap = mean(candidate, lambda name: getattr(draws[name], metric))
    gap = gap - mean(before, lambda name: getattr(draws[name], metric))
    return Change(score, float(mean(before, value)), float(np.std(gap, ddof=1)), counted)


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
