"""The true labels of the clips of validation and test: one entry a clip, whatever the number of its frames."""

from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.errors import DataError
from fer_core.evaluation.intervals import clusters_of
from fer_core.evaluation.predictions import SPLITS, Truth, read_table, same_ids
from fer_core.manifest import clip_frames

_COLUMNS = ("sample_id", "split", "subject", "emotion", "drop_reason", "clip_id")


def read_clip_truth(manifest: Path, test_truth: Path, classes: int) -> dict[str, Truth]:
    """Read the clips of validation (from the manifest) and test (from the file that alone holds their labels).

    Args:
        manifest: of align or join_aus.
        test_truth: one row per labelled test picture, still or frame.
        classes: number of classes.

    Returns:
        Split -> truth: `ids` are the `clip_id`s of all clips with a usable frame, sorted; `aus` is (N, 0); `dropped`
        counts clips without a usable frame.

    Raises:
        DataError: a file is missing or lacks a column, a split has no usable clip, a label is missing or outside the
            classes, the truth holds other pictures than the manifest, or frames of one clip differ in it.
    """
    table = read_table(manifest, _COLUMNS)
    labels = read_table(test_truth, ["sample_id", "emotion"]).set_index("sample_id")["emotion"]
    found = {}
    for split in SPLITS:
        of_split = table[table["split"] == split]
        frames = _usable_frames(of_split, manifest, split, "score")
        if split == "test":
            ids = frames["sample_id"].tolist()
            what, others = f"{test_truth} (test)", set(of_split["sample_id"])
            same_ids(ids, labels.index.tolist(), what, also_allowed=others)
            frames = frames.assign(emotion=labels.loc[ids].to_numpy())
        found[split] = _truth(of_split, frames, test_truth if split == "test" else manifest, split, classes)
    return found


def read_clip_validation(manifest: Path) -> Truth:
    """Read the labels of every validation clip with a usable frame; the test split is not looked at.

    Raises:
        DataError: the file is missing or lacks a column, there is no usable validation clip, or one of them has no
            label or frames of several.
    """
    table = read_table(manifest, _COLUMNS)
    rows = table[table["split"] == "validation"]
    return _truth(rows, _usable_frames(rows, manifest, "validation", "choose by"), manifest, "validation", None)


def unusable_split(manifest: Path) -> str | None:
    """Return the first split in which no clip has a frame that can be used; None where clips can be trained and scored.

    Training needs two clips, as batch norm has no variance in a batch of one.

    Raises:
        DataError: the file is missing or lacks a column.
    """
    frames = clip_frames(read_table(manifest, _COLUMNS))
    clips = frames[frames["drop_reason"].isna()].groupby("split")["clip_id"].nunique()
    least = {"train": 2, "validation": 1, "test": 1}
    return next((split for split, count in least.items() if clips.get(split, 0) < count), None)


def _usable_frames(rows: pd.DataFrame, manifest: Path, split: str, purpose: str) -> pd.DataFrame:
    frames = clip_frames(rows)
    frames = frames[frames["drop_reason"].isna()]
    if frames.empty:
        raise DataError(f"{manifest} has no usable {split} clip; there is nothing to {purpose}.")
    return frames


def _truth(rows: pd.DataFrame, frames: pd.DataFrame, source: Path, split: str, classes: int | None) -> Truth:
    """Gather the frames of each clip; `rows` are all of the split, `source` is the file of the labels."""
    emotion = pd.to_numeric(frames["emotion"], errors="coerce").astype("Float64")
    valid = emotion.between(0, np.inf if classes is None else classes - 1).fillna(False).astype(bool)
    if not valid.all():
        wrong = frames[~valid].iloc[0]
        expected = "an emotion" if classes is None else f"an emotion in 0..{classes - 1}"
        raise DataError(
            f"Expected {expected} for {split} frame {wrong['sample_id']} in {source}; got {wrong['emotion']}."
        )
    known = frames.assign(emotion=emotion.astype("int64"))
    clips = known.drop_duplicates("clip_id").sort_values("clip_id")
    other = known["emotion"] != known["clip_id"].map(clips.set_index("clip_id")["emotion"])
    if other.any():
        wrong = known[other].iloc[0]
        raise DataError(
            f"Expected one emotion for all frames of {split} clip {wrong['clip_id']} in {source}; "
            f"got another, {wrong['emotion']}, for {wrong['sample_id']}."
        )
    ids = [str(clip) for clip in clips["clip_id"]]
    return Truth(
        split=split,
        ids=ids,
        labels=clips["emotion"].to_numpy(dtype=np.int64),
        clusters=clusters_of([None if pd.isna(subject) else str(subject) for subject in clips["subject"]]),
        aus=np.full((len(ids), 0), np.nan),
        au_names=[],
        dropped=int(clip_frames(rows)["clip_id"].nunique()) - len(ids),
    )
