"""Two experiments' answers to the same test faces, side by side; refused where the faces are not the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_core.errors import DataError
from fer_core.evaluation.gains import seeds_of
from fer_core.evaluation.intervals import clusters_of
from fer_core.evaluation.metrics import Integers

FIRST = ("sample_id", "track", "subject", "label")  # columns of faces.parquet before the predictors
STILL = "still"
STALE = "they are of different runs; `dvc repro` makes both anew"


@dataclass(frozen=True)
class Side:
    """One experiment as it was read.

    Attributes:
        name: of the revision, as the reader knows it.
        rows: metrics/gains.json.
        faces: data/evaluate/faces.parquet; see `answers.answer_table`.
        about: data/evaluate/about.json.
        seeds: how many trainings a row stands for (`seeds` in params.yaml).
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    faces: pd.DataFrame
    about: Mapping[str, Any]
    seeds: int = 1


@dataclass(frozen=True)
class Track:
    """The N test faces (or clips) of one track, in one order, and what both sides answered.

    Attributes:
        labels: (N,) true classes.
        clusters: (N,) numbers of subjects, or None where none repeats; see `intervals.clusters_of`.
        answers: for each side, predictor -> (N,) predicted classes.
    """

    labels: Integers
    clusters: Integers | None
    answers: tuple[Mapping[str, Integers], Mapping[str, Integers]]


@dataclass(frozen=True)
class Pair:
    """Trainings of A and as many of B that are compared one by one, all on one track."""

    track: str
    a: tuple[str, ...]
    b: tuple[str, ...]


def tracks_of(a: Side, b: Side) -> dict[str, Track]:
    """Join both sides' answers: track ("still", "clip") -> its faces, in A's order.

    Raises:
        DataError: the two are of other data, classes or test faces, a face has another label, or a table is not one
            row a face with a class in range.
    """
    for key, what in (("data", "data set"), ("title", "title of the data"), ("classes", "classes")):
        if a.about.get(key) != b.about.get(key):
            raise DataError(
                f"{a.name} and {b.name} cannot be compared: expected one {what}; "
                f"got {_told(a.about.get(key))} in {a.name} and {_told(b.about.get(key))} in {b.name}."
            )
    tables = (_checked(a), _checked(b))
    _require_same_faces(a, b, *tables)
    found = {}
    for track in dict.fromkeys(a.faces["track"]):
        left, right = (table[table["track"] == track] for table in tables)
        right = right.loc[left.index]
        subjects = [None if pd.isna(value) else str(value) for value in left["subject"]]
        found[str(track)] = Track(_integers(left["label"]), clusters_of(subjects), (_answers(left), _answers(right)))
    return found


def checked_seeds(side: Side, row: Mapping[str, Any], track: Track, which: int) -> list[str]:
    """Return the trainings that a row of the table stands for, itself first.

    Raises:
        DataError: the faces have no answers of the row's predictor, or answers of another accuracy than the row's.
    """
    answers, predictor = track.answers[which], str(row["predictor"])
    if predictor not in answers:
        raise DataError(
            f"{side.name}: metrics/gains.json has {predictor} ({row['view']}, {row['technique']}), "
            f"data/evaluate/faces.parquet has no answers of it; {STALE}."
        )
    names = seeds_of(answers, predictor, side.seeds)
    accuracy = float(np.mean([(answers[name] == track.labels).mean() for name in names]))
    if row["accuracy"] is None or abs(accuracy - row["accuracy"]) > 1e-6:
        raise DataError(
            f"{side.name}: metrics/gains.json gives {predictor} an accuracy of {row['accuracy']}, "
            f"data/evaluate/faces.parquet one of {accuracy:.6f}; {STALE}."
        )
    return names


def track_of(tracks: Mapping[str, Track], row_a: Mapping[str, Any], row_b: Mapping[str, Any]) -> str:
    """Return the track that the predictors of both rows answered on; the first where there is none such."""
    wanted = (row_a["predictor"], row_b["predictor"])
    for name, track in tracks.items():
        if all(predictor in answers for predictor, answers in zip(wanted, track.answers, strict=True)):
            return name
    return next(iter(tracks))


def _checked(side: Side) -> pd.DataFrame:
    """Return the faces, indexed by (track, sample_id)."""
    what = f"{side.name}: data/evaluate/faces.parquet"
    if missing := [name for name in FIRST if name not in side.faces]:
        raise DataError(f"{what} lacks the columns {', '.join(missing)}.")
    table = side.faces.set_index(["track", "sample_id"], drop=False)
    if not (table["track"] == STILL).any():
        raise DataError(f"{what} has no test pictures (rows of track {STILL!r}).")
    if not table.index.is_unique:
        raise DataError(f"{what} has {table.index[table.index.duplicated()][0]} twice.")
    if not side.about.get("classes"):
        raise DataError(
            f"{side.name}: expected `classes` in data/evaluate/about.json; got {side.about.get('classes')}."
        )
    classes = len(side.about["classes"])
    for name in table.columns.drop(["track", "sample_id", "subject"]):
        values = table[name].dropna()
        if ((values < 0) | (values >= classes)).any():
            raise DataError(
                f"{what}, {name}: expected classes in 0..{classes - 1}; got {values.min()}..{values.max()}."
            )
    return table


def _require_same_faces(a: Side, b: Side, left: pd.DataFrame, right: pd.DataFrame) -> None:
    only = (left.index.difference(right.index, sort=False), right.index.difference(left.index, sort=False))
    if len(only[0]) or len(only[1]):
        told = [
            f"{len(part)} only in {side.name} (such as {part[0][1]})"
            for side, part in zip((a, b), only, strict=True)
            if len(part)
        ]
        raise DataError(
            f"{a.name} and {b.name} cannot be compared: expected the same test faces; got {len(left)} in {a.name} and "
            f"{len(right)} in {b.name}, {' and '.join(told)}. `data`, `limit`, `folds` and `fold` choose them."
        )
    truth = right["label"].reindex(left.index)
    if (wrong := (truth != left["label"])).any():
        face = left.index[wrong][0]
        raise DataError(
            f"{a.name} and {b.name} cannot be compared: {int(wrong.sum())} test faces have other labels; {face[1]} is "
            f"{_class(a, left.loc[face, 'label'])} in {a.name} and {_class(b, truth[face])} in {b.name}."
        )


def _answers(table: pd.DataFrame) -> dict[str, Integers]:
    """Return the predictors that answered to every face of a track."""
    names = [name for name in table.columns if name not in FIRST and table[name].notna().all()]
    return {str(name): _integers(table[name]) for name in names}


def _integers(column: "pd.Series[Any]") -> npt.NDArray[np.int64]:
    return column.to_numpy(dtype=np.int64)


def _class(side: Side, label: Any) -> str:
    return repr(side.about["classes"][int(label)])


def _told(value: Any) -> str:
    return f"{len(value)} ({', '.join(map(str, value))})" if isinstance(value, list) else repr(value)
