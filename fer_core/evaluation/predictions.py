"""The true labels of validation and test, and predictions brought into their order: nothing is scored by luck.

Predictions that miss a picture, hold one twice, or come from another data set are refused by name, because a shorter
or shuffled array would still give a plausible accuracy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_core.errors import DataError
from fer_core.evaluation.intervals import clusters_of
from fer_core.evaluation.metrics import Floats, Integers
from fer_core.manifest import ATTRIBUTE, attribute_names, au_names, labelled, stills

SPLITS = ("validation", "test")
_SUM_TOLERANCE = 1e-2  # of the probabilities of a picture; float32 and averaging err by far less


@dataclass(frozen=True)
class Truth:
    """The labelled pictures, or clips, of one split: `ids` (N,), `labels` (N,), `clusters` (N,) by subject or None.

    `aus` (N, A) holds 1, 0 or NaN (not annotated) in the order of `au_names`; `dropped` counts pictures without a crop;
    `attributes` maps a name such as "skin" to each picture's bin, (N,) text or None.
    """

    split: str
    ids: list[str]
    labels: Integers
    clusters: Integers | None
    aus: Floats
    au_names: list[str]
    dropped: int
    attributes: dict[str, list[str | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Predictions:
    """One predictor's answers on one split, in the truth's order: `log_probabilities` (N, K), `labels` (N,).

    `au_probabilities` is (N, A), or None for a predictor without an AU head.
    """

    log_probabilities: Floats
    labels: Integers
    au_probabilities: Floats | None


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a Parquet file that must have `columns`; raises DataError naming the file and what is missing."""
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; the stage that writes it has not run.") from None
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise DataError(f"{path} is not a readable Parquet file: {error}.") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(table.columns)}.")
    return table


def read_truth(manifest: Path, test_truth: Path, test_aus: Path, classes: int) -> dict[str, Truth]:
    """Read the labels of the stills of validation (from the manifest) and test (from the file that alone holds them).

    That file also holds the frames of test clips, which `fer_core.evaluation.clip_truth` reads.
    """
    table = read_table(manifest, ["sample_id", "split", "subject", "emotion", "drop_reason", "clip_id"])
    names = au_names(table)
    test_labels = read_table(test_truth, ["sample_id", "emotion"]).set_index("sample_id")["emotion"]
    found = {}
    for split in SPLITS:
        rows, kept = table[table["split"] == split], labelled(table, split)
        ids = kept["sample_id"].tolist()
        if not ids:
            raise DataError(f"{manifest} has no usable {split} picture; there is nothing to score.")
        source = test_truth if split == "test" else manifest
        emotions = test_labels if split == "test" else kept.set_index("sample_id")["emotion"]
        same_ids(ids, emotions.index.tolist(), f"{source} ({split})", also_allowed=set(rows["sample_id"]))
        labels = emotions.loc[ids]
        valid = labels.between(0, classes - 1).fillna(False).astype(bool)
        if not valid.all():
            wrong = labels.index[~valid][0]
            raise DataError(
                f"Expected an emotion in 0..{classes - 1} for {split} picture {wrong} in {source}; got {labels[wrong]}."
            )
        subjects = [None if pd.isna(subject) else str(subject) for subject in kept["subject"]]
        aus = read_table(test_aus, ["sample_id", *names]) if split == "test" and names else kept
        found[split] = Truth(
            split=split,
            ids=ids,
            labels=labels.to_numpy(dtype=np.int64),
            clusters=clusters_of(subjects),
            aus=_au_labels(aus, ids, names, test_aus),
            au_names=names,
            dropped=len(stills(rows)) - len(kept),
            attributes={
                name.removeprefix(ATTRIBUTE): [None if pd.isna(value) else str(value) for value in kept[name]]
                for name in attribute_names(table)
            },
        )
    return found


def align_predictions(table: pd.DataFrame, truth: Truth, classes: int, name: str) -> Predictions:
    """Bring the rows of `truth.split` of one predictions table into the truth's order.

    `name` is the file, for errors. Raises DataError for missing, repeated or foreign pictures, another number of
    classes or AUs, and log-probabilities that are not those of a distribution. NaNs pass: an alarm tells them.
    """
    rows = table[table["split"] == truth.split]
    same_ids(truth.ids, rows["sample_id"].tolist(), f"{name} ({truth.split})")
    rows = rows.set_index("sample_id").loc[truth.ids]
    values = _matrix(rows["log_probabilities"], classes, f"`log_probabilities` of {name}")
    sums = np.exp(values).sum(axis=1)
    odd = np.flatnonzero(np.abs(sums - 1) > _SUM_TOLERANCE)
    if odd.size:
        raise DataError(
            f"Expected the exponentials of `log_probabilities` of {name} to sum to 1; "
            f"got {sums[odd[0]]:.4g} for picture {truth.ids[odd[0]]}."
        )
    au_probabilities = None
    if "au_probabilities" in rows and rows["au_probabilities"].notna().any():
        width = len(truth.au_names)
        au_probabilities = _matrix(rows["au_probabilities"], width, f"`au_probabilities` of {name}")
    return Predictions(values, values.argmax(axis=1).astype(np.int64), au_probabilities)


def _matrix(column: pd.Series, width: int, what: str) -> Floats:
    lengths = {0 if values is None else len(values) for values in column}
    if lengths != {width}:
        raise DataError(f"Expected {width} values a picture in {what}; got {sorted(lengths)}.")
    return np.stack(column.to_list()).astype(np.float64)


def same_ids(
    expected: list[str], got: list[str], what: str, also_allowed: set[str] | frozenset[str] = frozenset()
) -> None:
    """Refuse a repeated, missing or foreign picture, with the count and the first of them; `what` names the file."""
    known = set(got)
    if len(known) < len(got):
        first = pd.Series(got)[pd.Series(got).duplicated()].iloc[0]
        raise DataError(f"{what} holds {len(got) - len(known)} pictures more than once, {first} for one.")
    missing = [name for name in expected if name not in known]
    if missing:
        raise DataError(f"{what} lacks {len(missing)} of {len(expected)} pictures, {missing[0]} for one.")
    foreign = known - set(expected) - also_allowed
    if foreign:
        raise DataError(
            f"{what} holds {len(foreign)} pictures that are not in the manifest's split, {min(foreign)} for one; "
            "it belongs to other data."
        )


def _au_labels(table: pd.DataFrame, ids: list[str], names: list[str], source: Path) -> npt.NDArray[np.float64]:
    if not names:
        return np.full((len(ids), 0), np.nan)
    indexed = table.set_index("sample_id")
    absent = [name for name in ids if name not in indexed.index]
    if absent:
        raise DataError(f"{source} lacks {len(absent)} of {len(ids)} pictures, {absent[0]} for one.")
    return indexed.loc[ids, names].to_numpy(dtype=np.float64, na_value=np.nan)
