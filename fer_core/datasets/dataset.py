"""What an adapter hands to ingest: the rows with all their labels, the pictures, and what the card says."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from fer_core.errors import DataError
from fer_core.labels import LabelSet
from fer_core.manifest import ATTRIBUTE, SPLITS, attribute_names, clip_frames, stills

NO_PICTURE = "no picture file"  # the drop_reason of a row whose file is missing
SAME_AS, SUBJECT_IN = "the same picture as ", "its subject "  # how the drop_reasons of leaks begin
Pictures = Iterator[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Info:
    """What `fer datasets` tells of a data set, and how its files are recognised.

    Attributes:
        title: the set's name for people.
        page: where its publishers tell the licence and how to obtain it.
        files: the files that are expected in data/raw/<name>, one line each.
        obtain: one sentence on how one gets them.
        marks: patterns (as `Path.glob` takes them) relative to the folder, of which one is enough to recognise the
            set; where several sets are recognised, the first in the registry's order is meant.
        verified: on what the adapter was tried: "published files", or what could be taken from descriptions only.
    """

    title: str
    page: str
    files: tuple[str, ...]
    obtain: str
    marks: tuple[str, ...]
    verified: str


@dataclass(frozen=True)
class Published:
    """A data set as its adapter reads it, before splits are dealt, pictures limited or classes mapped.

    Attributes:
        rows: as `fer_core.datasets.rows.make_rows` lays them out: the ingest columns of the manifest but `source`,
            *with* the emotion and votes of the test split. `split` is null throughout where the set has none.
        pictures: called with some of the rows, yields (sample_id, encoded picture) in their order; None where the
            file is missing.
        labels: class and vote names.
        aus: whether AU labels were published with it.
        intensities: whether how strong they are was, too.
        notes: sentences for the head of every table made from it.
        split_notes: the same, on the published split; not told where others are dealt.
        standin: what `standin.json` says of a generated set (`read_standin_json`), or None.
    """

    rows: pd.DataFrame
    pictures: Callable[[pd.DataFrame], Pictures]
    labels: LabelSet
    aus: bool = False
    intensities: bool = False
    notes: tuple[str, ...] = ()
    split_notes: tuple[str, ...] = ()
    standin: dict[str, Any] | None = None


class Adapter(Protocol):
    """Reads one data set's published files."""

    def __call__(self, folder: Path, options: Mapping[str, Any]) -> Published:
        """Read `folder`; `options` are the keys of `sets.<name>` in params.yaml.

        Pictures that the labels name and that are not there keep a `drop_reason`; that all are missing is no error
        here. Labels that do not parse, or files that contradict each other, are.

        Raises:
            ConfigError: an option is not known or not valid.
            DataError: names the file and the line.
        """


@dataclass(frozen=True)
class Dataset:
    """A data set, or several joined into one, ready for the manifest.

    Attributes:
        rows: the ingest columns of the manifest, *with* the emotion and votes of the test split.
        pictures: yields (sample_id, encoded picture) in the order of `rows`; None where the file is missing.
        title: the set's name for people.
        labels: class and vote names.
        aus: whether AU labels were published with it.
        intensities: whether how strong they are was, too.
        notes: sentences for the head of every table made from it.
        standin: what `standin.json` says of a generated set, or None.
    """

    rows: pd.DataFrame
    pictures: Callable[[], Pictures]
    title: str
    labels: LabelSet
    aus: bool = False
    intensities: bool = False
    notes: tuple[str, ...] = ()
    standin: dict[str, Any] | None = None


def usable(rows: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the stills of a split that have an emotion and were not dropped."""
    return stills(_usable(rows[rows["split"] == split]))


def clip_lengths(rows: pd.DataFrame) -> dict[str, list[int]]:
    """Return for train, validation and test how many frames each clip has; clips without a usable frame are left out.

    A frame is usable that has an emotion and was not dropped.
    """
    frames = _usable(clip_frames(rows))
    return {
        split: frames.loc[frames["split"] == split, "clip_id"].value_counts(sort=False).tolist() for split in SPLITS[:3]
    }


def check(dataset: Dataset) -> Dataset:
    """Refuse a data set that cannot be learnt from or measured on.

    Raises:
        DataError: no picture is there, a split is empty, or a class has no picture in train.
    """
    faces = stills(dataset.rows)
    if len(faces) and faces["drop_reason"].eq(NO_PICTURE).all():
        raise DataError(
            f"{dataset.title}: the labels are there but none of the {len(faces)} pictures; the first is "
            f"{faces['picture'].iloc[0]}. `fer check` tells where they are looked for."
        )
    for split in ("train", "validation", "test"):
        if usable(dataset.rows, split).empty:
            raise DataError(f"{dataset.title}: the {split} split has no labelled picture that can be used.")
    seen = set(usable(dataset.rows, "train")["emotion"])
    absent = [f"'{name}' ({k})" for k, name in enumerate(dataset.labels.classes) if k not in seen]
    if absent:
        raise DataError(
            f"{dataset.title}: no train picture of class {', '.join(absent)}, so it cannot be learnt; "
            "check the label file and the splits."
        )
    return dataset


def card(dataset: Dataset, data: str) -> dict[str, Any]:
    """Return what later stages may know of the data set; of the test split only its size and its ceiling.

    Counts, votes, identities and landmarks are those of stills. `clips` is true where train, validation and test each
    have a clip of two or more frames.
    """
    rows, classes = stills(dataset.rows), dataset.labels.classes
    notes = list(dataset.notes)
    counts: dict[str, Any] = {}
    for split in ("train", "validation"):
        tally = usable(rows, split)["emotion"].value_counts()
        counts[split] = {name: int(tally.get(k, 0)) for k, name in enumerate(classes)}
    counts["test"] = len(usable(rows, "test"))

    votes = bool(rows.loc[rows["split"] == "train", "votes"].notna().any())
    learnt = rows[rows["split"].isin(("train", "pool")) & rows["subject"].notna()]
    lengths = clip_lengths(dataset.rows)
    for kept, what in ((rows, "pictures"), (clip_frames(dataset.rows), "frames of clips")):
        leaked = left_out(kept["drop_reason"])
        lost = kept["drop_reason"].notna() & ~leaked & (kept["emotion"].notna() | (kept["split"] == "pool"))
        if lost.any():
            notes.append(f"{lost.sum()} of {len(kept)} {what} are missing or could not be read")
        if leaked.any():
            notes.append(f"{leaked.sum()} of {len(kept)} {what} are left out: they leaked into another split")
    return {
        "data": data,
        "title": dataset.title,
        "classes": list(classes),
        "vote_names": list(dataset.labels.votes) if votes and dataset.labels.votes else None,
        "aus": dataset.aus,
        "intensities": dataset.aus and dataset.intensities,
        "votes": votes,
        "identities": bool(learnt["subject"].value_counts().ge(2).sum() >= 2),
        "landmarks": bool(rows["landmarks"].notna().any()),
        "clips": all(max(frames, default=0) >= 2 for frames in lengths.values()),
        "clip_counts": {split: len(frames) for split, frames in lengths.items()},
        "attributes": [name.removeprefix(ATTRIBUTE) for name in attribute_names(rows)],
        "standin": dataset.standin,
        "pool": int((rows["split"] == "pool").sum()),
        "counts": counts,
        "notes": notes,
    }


def left_out(reasons: pd.Series) -> pd.Series:
    """Return which drop_reasons are those of `leakage.dropped`, not of a picture that is missing or cannot be read."""
    return reasons.fillna("").astype(str).str.startswith((SAME_AS, SUBJECT_IN))


def _usable(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["drop_reason"].isna() & rows["emotion"].notna()]
