"""What every predictor answered to every test face: one wide table, by which experiments are compared face by face."""

from collections.abc import Mapping
from pathlib import Path

import numpy.typing as npt
import pandas as pd

from fer_core.errors import DataError
from fer_core.evaluation.predictions import Truth, read_table


def read_subjects(manifest: Path) -> dict[str, str]:
    """Return who each picture and each clip shows, by `sample_id` or `clip_id`; those of unknown subject are left out.

    Raises:
        DataError: the manifest is missing or lacks a column.
    """
    table = read_table(manifest, ["sample_id", "clip_id", "subject"])
    known = table[table["subject"].notna()]
    ids = known["clip_id"].where(known["clip_id"].notna(), known["sample_id"])
    return {str(key): str(subject) for key, subject in zip(ids, known["subject"], strict=True)}


def answer_table(
    truths: Mapping[str, Truth], answers: Mapping[str, Mapping[str, npt.ArrayLike]], subjects: Mapping[str, str]
) -> pd.DataFrame:
    """Join the answers of all predictors to one row a test face or clip.

    Args:
        truths: track ("still", "clip") -> the test split of it, N faces or clips.
        answers: track -> predictor -> (N,) predicted classes, in the truth's order.
        subjects: sample or clip -> who it shows.

    Returns:
        Columns sample_id, track, subject (null where unknown), label (int16), and one Int16 a predictor, null in the
        rows of the other track.

    Raises:
        DataError: a predictor has not one answer a face.
    """
    parts = []
    for track, truth in truths.items():
        columns = {}
        for name, values in answers[track].items():
            columns[name] = pd.array(list(values), dtype="Int16")  # type: ignore[arg-type, call-overload]
            if len(columns[name]) != len(truth.ids):
                raise DataError(f"Expected {len(truth.ids)} answers of {name} ({track}); got {len(columns[name])}.")
        first = {
            "sample_id": pd.Series(truth.ids, dtype="str"),
            "track": pd.Series([track] * len(truth.ids), dtype="str"),
            "subject": pd.Series([subjects.get(name) for name in truth.ids], dtype="str"),
            "label": pd.Series(truth.labels, dtype="int16"),
        }
        parts.append(pd.DataFrame(first | columns))
    joined = pd.concat(parts, ignore_index=True)
    named = [name for track in answers for name in answers[track]]
    return joined.astype(dict.fromkeys(named, "Int16"))
