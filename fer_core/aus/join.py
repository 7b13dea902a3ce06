"""Join AU labels to the manifest; the test split's go into a table of their own.

A parser that looked for "AU1" in a file that says "1" once trained a whole AU head on zeros, and nothing complained.
So an AU column without a positive among the train pictures is refused. The one exception are small subsets
(`limit`, a miniature), where a rare AU may truly be absent: below `ENOUGH` annotated train pictures such an AU
is left out of the run's vocabulary and a note says so. RAF-CE's rarest AU stands on 2.5 % of its faces, so 500
of them would all lack it three times in a million. A vocabulary that is empty altogether is always refused.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fer_core.aus.labels import AuLabels
from fer_core.aus.vocabulary import NAMES
from fer_core.errors import DataError

ENOUGH = 500


@dataclass(frozen=True)
class Joined:
    """The manifest with AU columns, the test split's AUs, and what aus.json says."""

    manifest: pd.DataFrame
    test_aus: pd.DataFrame
    report: dict[str, Any]


def without_aus(manifest: pd.DataFrame) -> Joined:
    """Return the manifest as it is: the data set has no AU labels."""
    return Joined(manifest, manifest.loc[[], ["sample_id"]], {"names": [], "notes": []})


def join(manifest: pd.DataFrame, labels: AuLabels, enough: int = ENOUGH) -> Joined:
    """Add one column per AU to the manifest by `sample_id`.

    Args:
        manifest: as align writes it.
        labels: AU labels by picture key; pictures that the manifest lacks are ignored.
        enough: annotated train pictures from which an AU without a positive is a parser fault.

    Raises:
        DataError: no picture matches, none in train is annotated, or AU columns have no positive in train.
    """
    values = labels.table.reindex(manifest["sample_id"]).reset_index(drop=True)
    values.index = manifest.index
    if not manifest["sample_id"].isin(labels.table.index).any():
        known, wanted = labels.table.index[0], manifest["sample_id"].iloc[0]
        raise DataError(f"No AU label belongs to a picture: labels name {known!r} .., pictures {wanted!r} ...")
    train = values[(manifest["split"] == "train") & manifest["drop_reason"].isna()]
    annotated = int(train.notna().any(axis=1).sum())
    positives = (train == 1).sum()
    empty = [name for name in values.columns if positives[name] == 0]
    _refuse_empty(empty, values.shape[1], annotated, enough)

    names = [name for name in values.columns if name not in empty]
    values = values[names].astype(np.float32)
    hidden = manifest["split"].isin(("test", "pool"))
    joined = pd.concat([manifest, values.mask(hidden)], axis=1)
    test = manifest["split"] == "test"
    test_aus = pd.concat([manifest.loc[test, ["sample_id"]], values[test]], axis=1).reset_index(drop=True)
    return Joined(joined, test_aus, _report(joined, labels, names, empty, annotated))


def _refuse_empty(empty: list[str], total: int, annotated: int, enough: int) -> None:
    if annotated == 0:
        raise DataError("No train picture has AU labels: all are missing or null.")
    if len(empty) == total or (empty and annotated >= enough):
        raise DataError(
            f"{', '.join(empty)}: no positive among {annotated} annotated train pictures. That is a fault of the "
            "label file or of its parser, not a rare AU."
        )


def _report(
    manifest: pd.DataFrame, labels: AuLabels, names: list[str], empty: list[str], annotated: int
) -> dict[str, Any]:
    """Describe the labels of train and validation; of the test split nothing is told."""
    coverage, positives = {}, {}
    for split in ("train", "validation"):
        rows = manifest.loc[(manifest["split"] == split) & manifest["drop_reason"].isna(), names]
        coverage[split] = float(rows.notna().any(axis=1).mean()) if len(rows) else float("nan")
        positives[split] = {name: int((rows[name] == 1).sum()) for name in names}
    notes = []
    if empty:
        notes.append(f"AU labels: {', '.join(empty)} left out, no positive among {annotated} annotated train pictures")
    return {
        "names": names,
        "titles": {name: NAMES[int(name.removeprefix("AU"))] for name in names},
        "coverage": coverage,
        "null_share": 1.0 - coverage["train"],
        "positives": positives,
        "left_out": empty,
        "lines": labels.lines,
        "unannotated_lines": labels.unannotated,
        "odd_tokens": labels.odd,
        "outside_vocabulary": labels.outside,
        "notes": notes,
    }
