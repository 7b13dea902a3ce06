"""The one table that flows through the pipeline, its columns, who owns them, and what makes it valid.

A manifest is a pandas table with one row per picture, key `sample_id`, stored as Parquet. A picture is a still, or a
frame of a short clip: then `clip_id` says of which and `frame` where in it. Whoever picks rows by split wants one kind
only, and asks for `stills` or `clip_frames`. The table grows by columns:
ingest writes what was published, align where the crop stands, join_aus one column per Action Unit. Where a set has
attributes of its faces (skin, age, glasses ...), ingest adds one column `attr_<name>` for each; where it says how
strong its AUs are, join_aus adds `AU12_intensity` beside `AU12`. Synthetic faces stand in a manifest of their own, with
all these columns and `synthetic`. A row is never removed after ingest: a picture that
cannot be used keeps a `drop_reason`. The test split's emotion, votes, AUs and their intensities are null here; they
stand in files of their own that only evaluation reads.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fer_core.errors import DataError
from fer_core.files import replacing

SPLITS = ("train", "validation", "test", "pool")
STAGES = ("ingest", "align", "join_aus", "synthesise")
AU_COLUMN = re.compile(r"AU\d+[TB]?[LR]?")  # with the half of the face where sides are kept: AU12L, AU18TR
INTENSITY = "_intensity"  # ends the column of an AU's intensity
INTENSITY_COLUMN = re.compile(rf"AU\d+[TB]?[LR]?{INTENSITY}")
STRONGEST = 5  # FACS' E; A is 1, absent 0
ATTRIBUTE = "attr_"  # begins the column of an attribute
ATTRIBUTE_COLUMN = re.compile(rf"{ATTRIBUTE}[a-z0-9_]+")
CLIP_COLUMNS = ("clip_id", "frame")
LAST_FRAME = 32767  # the largest int16

# Column -> Arrow type, by the stage that owns (writes) the column; align may also add a drop_reason.
OWNED: dict[str, dict[str, pa.DataType]] = {
    "ingest": {
        "sample_id": pa.string(),
        "source": pa.string(),
        "picture": pa.string(),
        "split": pa.string(),
        "subject": pa.string(),
        "emotion": pa.int16(),  # class index
        "votes": pa.list_(pa.float32()),  # sums to 1
        "landmarks": pa.list_(pa.float32()),  # x0, y0 .. x4, y4 in pixels of the picture
        "box": pa.list_(pa.float32()),  # of the annotated face: left, top, right, bottom in pixels of the picture
        "drop_reason": pa.string(),
        "clip_id": pa.string(),  # null in a still picture
        "frame": pa.int16(),  # of the clip, from 0, gaps allowed; null in a still picture
    },
    "align": {
        "crop_index": pa.int32(),  # row of faces.npy
        "aligned_landmarks": pa.list_(pa.float32()),  # x0, y0 .. x4, y4 in pixels of the crop
        "detection_score": pa.float32(),  # 0 to 1; null where no detector ran or it found nothing
        "faces": pa.int16(),  # that the detector found in the picture; null where none ran
        "picture_width": pa.int32(),  # as decoded, turned as its EXIF orientation says; null where it did not decode
        "picture_height": pa.int32(),
        "inter_ocular": pa.float32(),  # pixels of the picture between the eyes' centres; null where unknown
        "roll": pa.float32(),  # degrees, of the head as five points tell it; null where unknown
        "yaw": pa.float32(),
        "pitch": pa.float32(),
        "sharpness": pa.float32(),  # variance of the Laplacian of the crop; null where there is no crop
    },
    # AU1, AU2 ...: float32, 1 present, 0 absent, null not annotated.
    # AU1_intensity ...: float32, FACS' A to E are 1 to 5, 0 absent, null not known.
    "join_aus": {},
    # in the manifest of the synthetic faces, which has no other rows; its `crop_index` points into faces.npy beside it
    "synthesise": {"synthetic": pa.bool_()},
}
_NEVER_NULL = ("sample_id", "source", "picture", "split")
QUALITY = ("faces", "picture_width", "picture_height", "inter_ocular", "roll", "yaw", "pitch", "sharpness")
# of a face that nobody looked at
_UNSEEN = (
    *("subject", "votes", "landmarks", "box", "aligned_landmarks", "detection_score"),
    *QUALITY,
    *CLIP_COLUMNS,
)


def au_names(table: pd.DataFrame) -> list[str]:
    """Return the names of the AU columns, in their order.

    Example:
        >>> au_names(pd.DataFrame(columns=["sample_id", "AU1", "AU12"]))
        ['AU1', 'AU12']
    """
    return [str(column) for column in table.columns if AU_COLUMN.fullmatch(str(column))]


def intensity_names(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns of AU intensities, in their order; `AU12_intensity` goes with `AU12`.

    Example:
        >>> intensity_names(pd.DataFrame(columns=["AU1", "AU12", "AU12_intensity"]))
        ['AU12_intensity']
    """
    return [str(column) for column in table.columns if INTENSITY_COLUMN.fullmatch(str(column))]


def attribute_names(table: pd.DataFrame) -> list[str]:
    """Return the names of the attribute columns, in their order; ingest owns them, text such as "dark" or null.

    Example:
        >>> attribute_names(pd.DataFrame(columns=["sample_id", "attr_skin", "attr_age"]))
        ['attr_skin', 'attr_age']
    """
    return [str(column) for column in table.columns if ATTRIBUTE_COLUMN.fullmatch(str(column))]


def stills(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of still pictures: those that belong to no clip.

    Raises:
        DataError: the table has no column `clip_id`, so that a frame of a clip could pass for a still.
    """
    return table[_in_no_clip(table)]


def clip_frames(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the frames of clips, in the table's order; raises DataError as `stills`."""
    return table[~_in_no_clip(table)]


def without_clips(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of still pictures alone with the columns that say so: `clip_id` and `frame`, null."""
    columns = empty_columns("ingest", len(table))
    return table.assign(**{name: columns[name].set_axis(table.index) for name in CLIP_COLUMNS})


def labelled(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the usable stills of a split: not dropped and, for train and validation, with an emotion.

    Test rows have no emotion in a manifest, so all test stills that were not dropped come back; frames never do.

    Raises:
        DataError: `split` is not train, validation or test, or the table has no column `clip_id`.
    """
    if split not in SPLITS[:3]:
        raise DataError(f"Expected `split` to be one of {', '.join(SPLITS[:3])}; got {split!r}.")
    table = stills(table)
    keep = (table["split"] == split) & table["drop_reason"].isna()
    if split != "test":
        keep &= table["emotion"].notna()
    return table[keep]


def arrow_schema(table: pd.DataFrame, stage: str) -> pa.Schema:
    """Return the Arrow schema of the manifest that `stage` writes; attributes and AUs are taken from the table."""
    fields = dict(_columns(stage)) | dict.fromkeys(attribute_names(table), pa.string())
    if _has_aus(stage):
        fields |= dict.fromkeys([*au_names(table), *intensity_names(table)], pa.float32())
    return pa.schema(list(fields.items()))


def empty_columns(stage: str, rows: int) -> dict[str, pd.Series]:
    """Return the columns that `stage` owns, `rows` long and all null, with their right types."""
    types = {
        pa.int16(): "Int16",
        pa.int32(): "Int32",
        pa.string(): "str",
        pa.float32(): "float32",
        pa.bool_(): "boolean",
    }
    return {name: pd.Series([None] * rows, dtype=types.get(kind, object)) for name, kind in OWNED[stage].items()}


def validate(table: pd.DataFrame, stage: str, classes: int | None = None) -> pd.DataFrame:
    """Check a manifest as `stage` writes it and return it unchanged.

    Args:
        table: the manifest.
        stage: ingest, align, join_aus or synthesise.
        classes: number of classes, to check the range of `emotion`.

    Raises:
        DataError: names the first row and column that break a rule.
    """
    expected = list(_columns(stage))
    missing = [name for name in expected if name not in table.columns]
    if missing:
        raise DataError(f"The manifest of {stage} lacks the column `{missing[0]}`.")
    aus, intensities = (au_names(table), intensity_names(table)) if _has_aus(stage) else ([], [])
    attributes = attribute_names(table)
    extra = [str(name) for name in table.columns if name not in [*expected, *attributes, *aus, *intensities]]
    if extra and extra[0].startswith(ATTRIBUTE):
        raise DataError(f"Expected an attribute's column to be {ATTRIBUTE} and a-z, 0-9 or _; got `{extra[0]}`.")
    if extra:
        raise DataError(f"The manifest of {stage} has the column `{extra[0]}`, which no stage so far owns.")
    alone = [name for name in intensities if name.removesuffix(INTENSITY) not in aus]
    if alone:
        raise DataError(f"The manifest has the column `{alone[0]}`, but no `{alone[0].removesuffix(INTENSITY)}`.")

    for name in _NEVER_NULL:
        _refuse(table, name, table[name].isna(), "must not be null")
    _refuse(table, "sample_id", table["sample_id"].duplicated(), "must be unique")
    known = table["split"].isin(SPLITS)
    _refuse(table, "split", ~known, f"must be one of {', '.join(SPLITS)}")

    hidden = table["split"].isin(("test", "pool"))
    for name in ("emotion", "votes", *aus, *intensities):
        _refuse(table, name, hidden & table[name].notna(), "must be null in rows of test and pool")
    emotion = pd.to_numeric(table["emotion"], errors="coerce").astype("Float64")
    top = np.inf if classes is None else classes
    wrong = table["emotion"].notna() & ~emotion.between(0, top, inclusive="left").fillna(False)
    _refuse(table, "emotion", wrong, f"must be a class index from 0 to {top - 1}")
    lost = emotion.isna() & ~hidden & table["drop_reason"].isna()
    _refuse(table, "emotion", lost, "must not be null in a row of train or validation that is not dropped")

    _check_clips(table)
    _check_lists(table, "votes", None)
    _check_lists(table, "landmarks", 10)
    _check_lists(table, "box", 4)
    if stage != "ingest":
        _check_lists(table, "aligned_landmarks", 10)
        _check_crops(table)
        score = table["detection_score"].astype("Float64")
        _refuse(table, "detection_score", score.notna() & ~score.between(0, 1), "must be between 0 and 1, or null")
    for name in attributes:
        text = table[name].map(lambda value: isinstance(value, str) and value != "")
        _refuse(table, name, table[name].notna() & ~text.astype(bool), "must be text that is not empty, or null")
    for name in aus:
        _check_range(table, name, 1, "null where not annotated")
    for name in intensities:
        _check_range(table, name, STRONGEST, "null where not known")
    if stage == "synthesise":
        _refuse(table, "synthetic", ~table["synthetic"].astype("boolean").fillna(False), "must be true")
        _refuse(table, "split", table["split"] != "train", "must be train in a row of a synthetic face")
        for name in (*_UNSEEN, *attributes, *aus, *intensities):
            _refuse(table, name, table[name].notna(), "must be null in a row of a synthetic face")
    return table


def write_manifest(path: Path, table: pd.DataFrame, stage: str, classes: int | None = None) -> None:
    """Validate a manifest and write it as Parquet; the file is whole or absent."""
    validate(table, stage, classes)
    schema = arrow_schema(table, stage)
    arrow = pa.Table.from_pandas(table[schema.names], schema=schema, preserve_index=False)
    with replacing(path) as temporary:
        pq.write_table(arrow, temporary)


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest: integers come as nullable Int16 and Int32, lists as float32 arrays, nulls as None or NaN.

    Raises:
        DataError: the file does not exist or is no Parquet.
    """
    kinds: dict[pa.DataType, Any] = {pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype()}
    kinds[pa.string()] = pd.StringDtype(na_value=np.nan)
    try:
        return pq.read_table(path).to_pandas(types_mapper=kinds.get)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; the stage that writes it has not run.") from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is not a Parquet file: {error}.") from None


def stack_lists(column: pd.Series, width: int) -> np.ndarray:
    """Stack a list column into float32 `(N, width)`; a null row becomes NaN.

    Example:
        >>> stack_lists(pd.Series([[1, 2], None]), 2).tolist()
        [[1.0, 2.0], [nan, nan]]
    """
    out = np.full((len(column), width), np.nan, np.float32)
    for row, value in enumerate(column):
        if isinstance(value, list | tuple | np.ndarray):
            out[row] = value
    return out


def _in_no_clip(table: pd.DataFrame) -> pd.Series:
    if "clip_id" not in table:
        raise DataError("Expected a manifest with the column `clip_id`, which ingest writes; it is not there.")
    return table["clip_id"].isna()


def _has_aus(stage: str) -> bool:
    return stage in ("join_aus", "synthesise")


def _columns(stage: str) -> dict[str, pa.DataType]:
    if stage not in STAGES:
        raise DataError(f"Expected `stage` to be one of {', '.join(STAGES)}; got {stage!r}.")
    return {k: v for owner in STAGES[: STAGES.index(stage) + 1] for k, v in OWNED[owner].items()}


def _refuse(table: pd.DataFrame, column: str, wrong: pd.Series, rule: str) -> None:
    wrong = wrong.fillna(True).astype(bool)
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        sample, value = table["sample_id"].iloc[row], table[column].iloc[row]
        more = f" ({int(wrong.sum())} rows)" if wrong.sum() > 1 else ""
        raise DataError(f"Manifest row {row} (sample {sample}): `{column}` {rule}; got {value!r}{more}.")


def _check_range(table: pd.DataFrame, column: str, top: int, null: str) -> None:
    value = table[column].to_numpy(np.float32, na_value=np.nan)
    wrong = pd.Series(~np.isnan(value) & ~((value >= 0) & (value <= top)), index=table.index)
    _refuse(table, column, wrong, f"must be between 0 and {top}, or {null}")


def _check_lists(table: pd.DataFrame, column: str, width: int | None) -> None:
    """Check that lists are finite, equally long (`width` if given) and, for votes, shares that sum to 1."""
    present = table[column].notna()
    values = table.loc[present, column]
    if values.empty:
        return
    width = width or len(values.iloc[0])

    def refuse(wrong: np.ndarray, rule: str) -> None:
        _refuse(table, column, pd.Series(wrong, index=values.index).reindex(table.index, fill_value=False), rule)

    refuse(np.array([len(value) != width for value in values]), f"must have {width} numbers")
    stacked = np.stack(values.to_list()).astype(np.float64)
    refuse(~np.all(np.isfinite(stacked), axis=1), "must hold finite numbers")
    if column == "votes":
        shares = np.all(stacked >= 0, axis=1) & (np.abs(stacked.sum(1) - 1) <= 1e-3)
        refuse(~shares, "must not be negative and must sum to 1")


def _check_clips(table: pd.DataFrame) -> None:
    """Check that frames are told apart and that a clip is of one split, one subject and one class."""
    clip, number = table["clip_id"], pd.to_numeric(table["frame"], errors="coerce").astype("Float64")
    inside, counted = clip.notna(), table["frame"].notna()
    text = clip.map(lambda value: isinstance(value, str) and value != "").astype(bool)
    _refuse(table, "clip_id", inside & ~text, "must be text that is not empty, or null")
    _refuse(table, "clip_id", ~inside & counted, "must not be null in a row that has a `frame`")
    _refuse(table, "frame", inside & ~counted, "must not be null in a row that has a `clip_id`")
    whole = (number.between(0, LAST_FRAME) & (number % 1 == 0)).fillna(False)
    _refuse(table, "frame", counted & ~whole, f"must be a whole number from 0 to {LAST_FRAME}, or null")
    _refuse(table, "frame", inside & table.duplicated([*CLIP_COLUMNS]), "must not stand twice in a clip")
    _refuse(table, "split", inside & (table["split"] == "pool"), "must not be pool in a frame of a clip")
    first = table[inside].drop_duplicates("clip_id").set_index("clip_id")
    for name in ("split", "subject", "emotion"):  # of test frames the emotion is null, so equal
        value = table.loc[inside, name].astype(object)
        expected = clip[inside].map(first[name].astype(object))
        other = (value != expected).fillna(True).astype(bool) & ~(value.isna() & expected.isna())
        _refuse(table, name, other.reindex(table.index, fill_value=False), "must be the same in all frames of a clip")


def _check_crops(table: pd.DataFrame) -> None:
    index, dropped = table["crop_index"], table["drop_reason"].notna()
    _refuse(table, "crop_index", index.notna() & dropped, "must be null in a dropped row")
    _refuse(table, "crop_index", index.isna() & ~dropped, "must not be null in a row that is not dropped")
    _refuse(table, "crop_index", index.notna() & index.duplicated(), "must be unique")
    out = (index < 0) | (index >= int(index.notna().sum()))
    _refuse(table, "crop_index", out.fillna(False), "must count the crops from 0 without gaps")
