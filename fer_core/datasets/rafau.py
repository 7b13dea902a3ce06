"""RAF-AU: 4,601 faces in the wild with AU labels, and RAF-ML's votes over six emotions beside them.

Yan, Li, Que, Pei, Deng, "RAF-AU Database: In-the-Wild Facial Expressions with Subjective Emotion Judgement and
Objective AU Annotations", ACCV 2020. The text files read `NAME value`, one picture a line:

    RAFAU_label.txt          0001.jpg 1+4+L25     the AUs, or null where none are annotated; read by `fer_core.aus`
    distribution.txt         0001.jpg v0 .. v5    optional: RAF-ML's votes, in the order of `BASIC_EMOTIONS`; also as
                                                  rafml_distribution.txt or EmoLabel/distribution.txt
    RAFAU_partition.txt      0001.jpg 0           optional, a user's own: 0 train, 1 test, 2 validation
    original/0001.jpg, aligned/0001_aligned.jpg   the pictures

RAF-AU publishes neither emotion labels nor a split. Its pictures are those of RAF-ML under the same names, so the
emotion of a picture is RAF-ML's most voted one; a picture whose votes are tied is dropped with the reason, and one
without votes is of the pool. The form of the label file, its 4,601 lines and the shared names are taken from public
programs that read it.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fer_core.datasets import unlabelled, values
from fer_core.datasets.dataset import NO_PICTURE, Info, Published
from fer_core.datasets.lines import picture_key, read_lines, read_values, require_files, require_lines
from fer_core.datasets.options import read_options
from fer_core.datasets.pictures import find, read_pictures
from fer_core.datasets.rows import make_rows
from fer_core.datasets.safe_paths import relative
from fer_core.labels import BASIC_EMOTIONS, LabelSet

AUS, PARTITION = "RAFAU_label.txt", "RAFAU_partition.txt"
VOTES = ("rafml_distribution.txt", "distribution.txt", "EmoLabel/distribution.txt")
LABELS = LabelSet(classes=BASIC_EMOTIONS, votes=BASIC_EMOTIONS)
POOL = "pool"
TIED = "its votes are tied: "  # how the drop_reason begins

INFO = Info(
    title="RAF-AU",
    page="whdeng.cn/RAF/model3.html",
    files=(
        "RAFAU_label.txt",
        "distribution.txt (optional, of RAF-ML: without it there are AUs but no emotions)",
        "RAFAU_partition.txt (optional, as RAF-CE's; else set `folds`)",
        "original/0001.jpg .. or aligned/0001_aligned.jpg ..",
    ),
    obtain="By a request from an academic address, as the page says; the pictures may not be passed on.",
    marks=(AUS,),
    verified="made-up files in the published form, from public programs that read them; RAF-ML's votes as published",
)


def read(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read `RAFAU_label.txt`, and the votes beside it.

    Args:
        folder: where the published files lie.
        options: none.

    Returns:
        `sample_id` is the name without its ending (`0001`), `votes` are shares of the six basic emotions, `emotion`
        is the most voted. Rows without votes are of the pool; the others have a split where there is a partition.

    Raises:
        ConfigError: there are options.
        DataError: a file is missing, a line does not parse (file, line, text), files contradict each other.
    """
    read_options("rafau", options, {})
    require_files(folder, (AUS,), ", and the pictures original/0001.jpg or aligned/0001_aligned.jpg")
    names = _names(folder / AUS)
    votes_file = next((name for name in VOTES if (folder / name).is_file()), None)
    votes = read_values(folder / votes_file, values.votes, values.SIX_VOTES) if votes_file else {}
    split = _split(folder, names)
    files, crops = find(folder, names, originals_first=False)
    emotion = {key: most_voted(votes[key]) for key in names if key in votes}
    where = next(iter(files.values())).parent.relative_to(folder) if files else Path("aligned")
    ending = "_aligned.jpg" if crops or not files else ".jpg"
    rows = make_rows(
        {
            "sample_id": key,
            "picture": (files[key].relative_to(folder) if key in files else where / (key + ending)).as_posix(),
            "split": split.get(key) if key in votes else POOL,
            "emotion": emotion.get(key),
            "votes": votes.get(key),
            "drop_reason": _reason(key in files, votes.get(key)),
        }
        for key in names
    )
    return Published(
        rows=rows,
        pictures=partial(read_pictures, files),
        labels=LABELS,
        aus=True,
        notes=(*_notes(names, votes_file, emotion), *unlabelled.note(files, set(names), AUS)),
    )


def most_voted(votes: np.ndarray) -> int | None:
    """Return the index of the largest of the votes, or None where two or more are the largest.

    Example:
        >>> most_voted(np.array([0.2, 0.5, 0.3])), most_voted(np.array([0.4, 0.4, 0.2]))
        (1, None)
    """
    top = np.flatnonzero(votes == votes.max())
    return int(top[0]) if len(top) == 1 else None


def _names(path: Path) -> list[str]:
    """Return the picture keys; what the lines say of AUs is not looked at."""
    lines = read_lines(path)
    for line in lines:
        relative(line.name, f"{path}, line {line.number}")
    return [picture_key(line.name) for line in lines]


def _split(folder: Path, names: list[str]) -> dict[str, str]:
    path = folder / PARTITION
    if not path.is_file():
        return {}
    split = read_values(path, values.split, values.A_SPLIT)
    require_lines(path, split, names, "picture")
    require_lines(folder / AUS, set(names), split, "picture")
    return split


def _reason(there: bool, votes: np.ndarray | None) -> str | None:
    if not there:
        return NO_PICTURE
    if votes is None or most_voted(votes) is not None:
        return None
    return TIED + " and ".join(BASIC_EMOTIONS[k] for k in np.flatnonzero(votes == votes.max()))


def _notes(names: list[str], votes_file: str | None, emotion: Mapping[str, int | None]) -> list[str]:
    if votes_file is None:
        return [f"no emotion labels: RAF-ML's votes (distribution.txt) are not there, so all {len(names)} are pool"]
    bare, tied = len(names) - len(emotion), sum(label is None for label in emotion.values())
    notes = ["the emotion of a picture is the most voted one of RAF-ML's votes"]
    if tied:
        notes.append(f"{tied} of {len(names)} pictures have no single most voted emotion")
    if bare:
        notes.append(f"{bare} of {len(names)} pictures have no votes in {votes_file}, so they are pool")
    return notes
