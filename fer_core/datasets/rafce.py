"""RAF-CE as published, and everything else in its layout: the generated stand-in, a user's own pictures.

RAF-CE: 4,549 faces in the wild, 14 compound emotions. The text files read `NAME value`, one picture a line:

    RAFCE_emolabel.txt       0001.jpg 5                class index, 0 first
    RAFCE_partition.txt      0001.jpg 0                0 train, 1 test, 2 validation; not needed with `folds`
    RAFCE_AUlabel.txt        0001.jpg 1+4+L12          optional; read by `fer_core.aus`
    AUintensity.csv          picture,AU1,AU12 ..       optional; 0 to 5 or A to E, read by `fer_core.aus.intensity`
    rafml_distribution.txt   0001.jpg v0 .. v5         optional votes, in the order of `BASIC_EMOTIONS`
    RAFCE_landmark.txt       0001.jpg x0 y0 .. x4 y4   optional, pixels of the original picture
    RAFCE_subject.txt        0001.jpg s0001            optional
    NNNN.jpg                 in the folder, original/, images/, Image/original/ ..., also as NNNN_aligned.jpg
    clips/NNNN/K.jpg         optional short clips, with files of their own; see `clips`
    pool/NAME.jpg            optional unlabelled pictures, with pool_subject.txt and pool_landmark.txt
    attributes.csv           optional; see `attributes`
    standin.json             of generated sets; see `standin_json`
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from fer_core.datasets import values
from fer_core.datasets.attributes import ATTRIBUTES, read_attributes
from fer_core.datasets.clips import read_clips
from fer_core.datasets.dataset import Dataset, check
from fer_core.datasets.folds import Folds, deal, told
from fer_core.datasets.limit import limit_rows
from fer_core.datasets.lines import read_values, require_files, require_lines
from fer_core.datasets.pictures import NO_PICTURE, find, in_folder, read_pictures
from fer_core.datasets.standin_json import notes_of, read_standin_json
from fer_core.errors import DataError
from fer_core.labels import RAFCE
from fer_core.manifest import OWNED, attribute_names, stills, without_clips

T = TypeVar("T")

EMOTION, PARTITION, AUS = "RAFCE_emolabel.txt", "RAFCE_partition.txt", "RAFCE_AUlabel.txt"
VOTES, LANDMARKS, SUBJECTS = "rafml_distribution.txt", "RAFCE_landmark.txt", "RAFCE_subject.txt"
INTENSITIES = "AUintensity.csv"
POOL, POOL_LANDMARKS, POOL_SUBJECTS = "pool", "pool_landmark.txt", "pool_subject.txt"


def read_standin(folder: Path, limit: int | None, seed: int, *, folds: Folds | None = None) -> Dataset:
    """Read the generated stand-in; see `read`."""
    title, notes = "Stand-in (generated faces)", ("generated faces, not people",)
    return read(folder, limit, seed, source="standin", title=title, notes=notes, folds=folds)


def read(
    folder: Path,
    limit: int | None,
    seed: int,
    source: str = "rafce",
    title: str = "RAF-CE",
    notes: tuple[str, ...] = (),
    *,
    folds: Folds | None = None,
) -> Dataset:
    """Read a folder in RAF-CE's layout.

    Args:
        folder: where the published files lie.
        limit: labelled pictures to keep, or None for all; the pool and the clips are kept whole.
        seed: of the draw that `limit` makes, and of the folds.
        source: value of the column `source`.
        title: name for people.
        notes: sentences for the table's head.
        folds: take these instead of the published split, which may then be absent.

    Raises:
        DataError: a file is missing, a line does not parse (file, line, text), files contradict each other.
    """
    published = folds is None or (folder / PARTITION).is_file()
    needed = (EMOTION, PARTITION) if published else (EMOTION,)
    if folds is None and (folder / EMOTION).is_file() and not (folder / PARTITION).is_file():
        raise DataError(
            f"{folder} lacks {PARTITION}; expected there, as published: {', '.join(needed)}. For a set without a "
            "split, set `folds: 5` in params.yaml."
        )
    require_files(folder, needed, " and the pictures NNNN.jpg (there or in original/)")
    emotion = read_values(folder / EMOTION, values.class_index, values.A_CLASS)
    split = dict.fromkeys(emotion, "train")
    if published:
        split = read_values(folder / PARTITION, values.split, values.A_SPLIT)
        require_lines(folder / PARTITION, split, emotion, "picture")
        require_lines(folder / EMOTION, emotion, split, "picture")
    votes, landmarks, subjects = _optional_files(folder)
    files, crops = find(folder, list(emotion), originals_first=bool(landmarks))
    more_notes = _notes_on_files(emotion, votes, landmarks, crops)

    keys = list(emotion)
    labelled = pd.DataFrame({"sample_id": keys, "emotion": pd.Series(list(emotion.values()), dtype="Int16")})
    labelled["split"] = [split[key] for key in keys]
    labelled["picture"] = [files[key].name if key in files else f"{key}.jpg" for key in keys]
    labelled["votes"] = pd.Series([votes.get(key) for key in keys], dtype=object)
    labelled["landmarks"] = pd.Series([None if crops else landmarks.get(key) for key in keys], dtype=object)
    labelled["subject"] = [subjects.get(key) for key in keys]
    labelled["drop_reason"] = [None if key in files else NO_PICTURE for key in keys]

    pool, pool_files = _read_pool(folder)
    clips = read_clips(folder, dealt=folds is not None)
    faces = without_clips(pd.concat([labelled, pool], ignore_index=True) if len(pool) else labelled)
    everything = pd.concat([faces, clips.rows], ignore_index=True) if len(clips.rows) else faces
    bare = int(clips.rows["landmarks"].isna().sum())
    if bare and everything["landmarks"].notna().any():
        more_notes.append(f"{bare} of {len(clips.rows)} frames of clips have no landmarks, while other pictures do")
    rows = deal(limit_rows(_with_attributes(folder, everything), limit, seed), folds, seed)
    rows["source"] = source
    rows = rows[[*OWNED["ingest"], *attribute_names(rows)]]
    facts = read_standin_json(folder)
    if facts and facts["ceiling"] and folds is not None:
        more_notes.append("the ceiling is that of the published test split, not of this fold")
    elif facts and facts["ceiling"] and (rows["split"] == "test").sum() < (everything["split"] == "test").sum():
        more_notes.append("the ceiling is that of the whole test split, of which `limit` keeps a part")
    dataset = Dataset(
        rows=rows,
        pictures=partial(read_pictures, rows, files | pool_files | clips.files),
        title=title,
        labels=RAFCE,
        aus=(folder / AUS).is_file(),
        intensities=(folder / INTENSITIES).is_file(),
        notes=(*notes, *notes_of(facts), *told(folds, published), *more_notes, *clips.notes),
        standin=facts,
    )
    return check(dataset)


def _read_pool(folder: Path) -> tuple[pd.DataFrame, dict[str, Path]]:
    files = {f"{POOL}/{key}": path for key, path in in_folder(folder / POOL).items()}
    keys = [sample.removeprefix(f"{POOL}/") for sample in files]
    subjects = _optional(folder, POOL_SUBJECTS, values.subject, values.A_SUBJECT)
    landmarks = _optional(folder, POOL_LANDMARKS, values.landmarks, values.POINTS)
    pool = pd.DataFrame({"sample_id": list(files), "emotion": pd.Series([None] * len(files), dtype="Int16")})
    pool["split"] = POOL
    pool["picture"] = [f"{POOL}/{path.name}" for path in files.values()]
    pool["votes"] = None
    pool["landmarks"] = pd.Series([landmarks.get(key) for key in keys], dtype=object)
    pool["subject"] = [subjects.get(key) for key in keys]
    pool["drop_reason"] = None
    return pool, files


def _with_attributes(folder: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Add the columns of `attributes.csv`, where there is one; a picture without a line, as any frame, has nulls."""
    if not (folder / ATTRIBUTES).is_file():
        return rows
    attributes = read_attributes(folder / ATTRIBUTES, stills(rows)["sample_id"].tolist(), POOL)
    for name in attributes:
        rows[name] = pd.Series(attributes[name].reindex(rows["sample_id"]).to_list(), index=rows.index, dtype="str")
    return rows


def _optional_files(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, str]]:
    return (
        _optional(folder, VOTES, values.votes, values.SIX_VOTES),
        _optional(folder, LANDMARKS, values.landmarks, values.POINTS),
        _optional(folder, SUBJECTS, values.subject, values.A_SUBJECT),
    )


def _optional(folder: Path, name: str, parse: Callable[[str], T], expected: str) -> dict[str, T]:
    """Read an optional file, which for the pool may also lie inside pool/."""
    for path in (folder / name, folder / POOL / name):
        if path.is_file():
            return read_values(path, parse, expected)
    return {}


def _notes_on_files(
    emotion: dict[str, int], votes: dict[str, np.ndarray], landmarks: dict[str, np.ndarray], crops: bool
) -> list[str]:
    notes = []
    if crops and landmarks:
        notes.append(f"{LANDMARKS} was not used: only the publisher's aligned pictures are there")
    lacking = sum(key not in votes for key in emotion)
    if votes and lacking:
        notes.append(f"{lacking} pictures have no votes in {VOTES}")
    return notes
