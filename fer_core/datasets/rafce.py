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

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from fer_core.datasets import values
from fer_core.datasets.attributes import ATTRIBUTES, read_attributes
from fer_core.datasets.clips import PARTITION as CLIP_PARTITION
from fer_core.datasets.clips import read_clips
from fer_core.datasets.dataset import NO_PICTURE, Info, Published
from fer_core.datasets.lines import read_values, require_files, require_lines
from fer_core.datasets.options import read_options
from fer_core.datasets.pictures import find, in_folder, read_pictures
from fer_core.datasets.rows import make_rows
from fer_core.datasets.standin_json import STANDIN_JSON, notes_of, read_standin_json
from fer_core.labels import RAFCE
from fer_core.manifest import stills

T = TypeVar("T")

EMOTION, PARTITION, AUS = "RAFCE_emolabel.txt", "RAFCE_partition.txt", "RAFCE_AUlabel.txt"
VOTES, LANDMARKS, SUBJECTS = "rafml_distribution.txt", "RAFCE_landmark.txt", "RAFCE_subject.txt"
INTENSITIES = "AUintensity.csv"
POOL, POOL_LANDMARKS, POOL_SUBJECTS = "pool", "pool_landmark.txt", "pool_subject.txt"


INFO = Info(
    title="RAF-CE",
    page="whdeng.cn/RAF/model4.html",
    files=(
        "RAFCE_emolabel.txt, RAFCE_partition.txt",
        "RAFCE_AUlabel.txt (optional)",
        "0001.jpg .. in the folder, original/ or aligned/",
    ),
    obtain="By a request from an academic address, as the page says; the pictures may not be passed on.",
    marks=(EMOTION,),
    verified="the published label files; pictures of its names and layout",
)
STANDIN_INFO = Info(
    title="Stand-in (generated faces)",
    page="docs/standin.md",
    files=("written by the stage `generate`, in RAF-CE's layout",),
    obtain="It is generated here; the faces belong to nobody.",
    marks=(STANDIN_JSON,),
    verified="its own files",
)


def read_standin(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read the generated stand-in; see `read`."""
    found = read(folder, options)
    return replace(found, notes=("generated faces, not people", *found.notes))


def read(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read a folder in RAF-CE's layout.

    Args:
        folder: where the published files lie. Without `RAFCE_partition.txt` the rows have no split.
        options: none.

    Raises:
        ConfigError: there are options.
        DataError: a file is missing, a line does not parse (file, line, text), files contradict each other.
    """
    read_options("rafce", options, {})
    split_known = (folder / PARTITION).is_file()
    require_files(folder, (EMOTION,), f", {PARTITION} and the pictures NNNN.jpg (there or in original/)")
    emotion = read_values(folder / EMOTION, values.class_index, values.A_CLASS)
    split: dict[str, str | None] = dict.fromkeys(emotion)
    if split_known:
        split |= read_values(folder / PARTITION, values.split, values.A_SPLIT)
        require_lines(folder / PARTITION, [k for k, v in split.items() if v], emotion, "picture")
        require_lines(folder / EMOTION, emotion, split, "picture")
    votes, landmarks, subjects = _optional_files(folder)
    files, crops = find(folder, list(emotion), originals_first=bool(landmarks))
    more_notes = _notes_on_files(emotion, votes, landmarks, crops)

    labelled = make_rows(
        {
            "sample_id": key,
            "picture": files[key].name if key in files else f"{key}.jpg",
            "split": split[key],
            "subject": subjects.get(key),
            "emotion": label,
            "votes": votes.get(key),
            "landmarks": None if crops else landmarks.get(key),
            "drop_reason": None if key in files else NO_PICTURE,
        }
        for key, label in emotion.items()
    )
    pool, pool_files = _read_pool(folder)
    clips = read_clips(folder)
    everything = pd.concat([table for table in (labelled, pool, clips.rows) if len(table)], ignore_index=True)
    bare = int(clips.rows["landmarks"].isna().sum())
    if bare and everything["landmarks"].notna().any():
        more_notes.append(f"{bare} of {len(clips.rows)} frames of clips have no landmarks, while other pictures do")
    facts = read_standin_json(folder)
    return Published(
        rows=_with_attributes(folder, everything),
        pictures=partial(read_pictures, files | pool_files | clips.files),
        labels=RAFCE,
        aus=(folder / AUS).is_file(),
        intensities=(folder / INTENSITIES).is_file(),
        notes=(*notes_of(facts), *more_notes, *clips.notes),
        split_notes=_missing_splits(folder, bool(len(clips.rows))),
        standin=facts,
    )


def _missing_splits(folder: Path, clips: bool) -> tuple[str, ...]:
    wanted = (PARTITION, CLIP_PARTITION) if clips else (PARTITION,)
    return tuple(f"{name} is not there" for name in wanted if not (folder / name).is_file())


def _read_pool(folder: Path) -> tuple[pd.DataFrame, dict[str, Path]]:
    files = {f"{POOL}/{key}": path for key, path in in_folder(folder / POOL).items()}
    subjects = _optional(folder, POOL_SUBJECTS, values.subject, values.A_SUBJECT)
    landmarks = _optional(folder, POOL_LANDMARKS, values.landmarks, values.POINTS)
    pool = make_rows(
        {
            "sample_id": sample,
            "picture": f"{POOL}/{path.name}",
            "split": POOL,
            "subject": subjects.get(sample.removeprefix(f"{POOL}/")),
            "landmarks": landmarks.get(sample.removeprefix(f"{POOL}/")),
        }
        for sample, path in files.items()
    )
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
