"""Short clips in RAF-CE's layout: every frame becomes a row of the manifest.

    clips/NNNN/K.jpg         frame K of clip NNNN, a number from 0; gaps are allowed
    clip_emolabel.txt        NNNN 5                       class index of the whole clip
    clip_partition.txt       NNNN 0                       0 train, 1 test, 2 validation
    clip_subject.txt         NNNN s0001                   optional
    clip_landmark.txt        NNNN/K.jpg x0 y0 .. x4 y4    optional, pixels of the frame

The text files lie beside RAFCE_emolabel.txt. Every frame has its clip's class, a neutral first one too: the class is
the clip's, and only what sees frames in their order may learn from it. A clip's votes (clip_distribution.txt) and AUs
(clip_AUlabel.txt) are those of its apex (clip_apex.txt) and would be wrong in the other frames; none of the three files
is read, and frames have neither votes nor AUs.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from fer_core.datasets import values
from fer_core.datasets.lines import bad_line, read_lines, read_values, require_files, require_lines
from fer_core.datasets.pictures import pictures_in
from fer_core.datasets.rows import make_rows
from fer_core.errors import DataError
from fer_core.manifest import LAST_FRAME

CLIPS = "clips"
EMOTION, PARTITION = "clip_emolabel.txt", "clip_partition.txt"
SUBJECTS, LANDMARKS = "clip_subject.txt", "clip_landmark.txt"
_NUMBER = re.compile(r"[0-9]{1,18}")

Frames = dict[str, dict[int, Path]]
"""Clip -> number of a frame, ascending -> its file."""


@dataclass(frozen=True)
class Clips:
    """The clips of a set.

    Attributes:
        rows: one per frame, the ingest columns without `source`; `clip_id` is `clips/NNNN`, as no still is called.
        files: `sample_id` -> file.
        notes: sentences on what was left out, for the head of every table.
    """

    rows: pd.DataFrame
    files: dict[str, Path]
    notes: tuple[str, ...] = ()


def read_clips(folder: Path) -> Clips:
    """Read the clips of a set, in the order of the label file and of the frames' numbers; a set may have none.

    Args:
        folder: the data set's folder.

    Raises:
        DataError: a label file is missing or a line does not parse (file, line, text), a clip has no line or a line no
            clip, a frame's name is no number or two frames have the same one, or a picture lies beside the clips.
    """
    found = _frames(folder / CLIPS)
    if not found and not any((folder / name).is_file() for name in (EMOTION, PARTITION)):
        return Clips(make_rows([]), {})
    require_files(folder, (EMOTION,), f" for the frames {CLIPS}/NNNN/K.jpg")
    emotion = read_values(folder / EMOTION, values.class_index, values.A_CLASS, key=str)
    split: dict[str, str | None] = dict.fromkeys(emotion)
    if (folder / PARTITION).is_file():
        split |= read_values(folder / PARTITION, values.split, values.A_SPLIT, key=str)
        require_lines(folder / PARTITION, [k for k, v in split.items() if v], emotion, "clip")
    require_lines(folder / EMOTION, emotion, [*split, *found], "clip")
    for name in emotion:
        if name not in found:
            raise DataError(f"{folder / EMOTION} has a line for clip {name}, but {folder / CLIPS / name} is no folder.")
    subjects = (
        read_values(folder / SUBJECTS, values.subject, values.A_SUBJECT, key=str)
        if (folder / SUBJECTS).is_file()
        else {}
    )
    landmarks = _landmarks(folder / LANDMARKS) if (folder / LANDMARKS).is_file() else {}
    rows: list[dict[str, object]] = []
    files: dict[str, Path] = {}
    for name, label in emotion.items():
        for number, path in found[name].items():
            sample = f"{CLIPS}/{name}/{path.stem}"
            files[sample] = path
            rows.append(
                {
                    "sample_id": sample,
                    "picture": f"{CLIPS}/{name}/{path.name}",
                    "split": split[name],
                    "subject": subjects.get(name),
                    "emotion": label,
                    "landmarks": landmarks.get((name, number)),
                    "clip_id": f"{CLIPS}/{name}",
                    "frame": number,
                }
            )
    return Clips(make_rows(rows), files, _notes(found, subjects, landmarks))


def _frames(place: Path) -> Frames:
    if not place.is_dir():
        return {}
    loose = pictures_in(place)
    if loose:
        raise DataError(f"Expected {place} to hold a folder for each clip; got the picture {loose[0].name}.")
    clips = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {clip.name: _numbered(clip) for clip in clips}


def _numbered(clip: Path) -> dict[int, Path]:
    """Return number -> file of the frames of a clip, ascending."""
    frames: dict[int, Path] = {}
    for path in pictures_in(clip):
        number = _number(path.stem)
        if number is None:
            expected = f"named by their number, 0{path.suffix} to {LAST_FRAME}{path.suffix}"
            raise DataError(f"Expected the frames in {clip} to be {expected}; got {path.name!r}.")
        if number in frames:
            raise DataError(f"{clip} has frame {number} twice: {frames[number].name} and {path.name}.")
        frames[number] = path
    return dict(sorted(frames.items()))


def _number(stem: str) -> int | None:
    number = int(stem) if _NUMBER.fullmatch(stem) else None
    return None if number is None or number > LAST_FRAME else number


def _landmarks(path: Path) -> dict[tuple[str, int], np.ndarray]:
    """Read (clip, frame) -> landmarks; the key of a picture alone, `0` for `0001/0.jpg`, would mix up the clips."""
    found: dict[tuple[str, int], np.ndarray] = {}
    lines: dict[tuple[str, int], int] = {}
    for line in read_lines(path, key=str):
        clip, _, file = line.name.partition("/")
        number = _number(PurePosixPath(file).stem)
        try:
            if not clip or number is None:
                raise ValueError(line.name)
            points = values.landmarks(line.rest)
        except ValueError:
            raise bad_line(path, line.number, line.text, f"NNNN/K.jpg {values.POINTS}") from None
        if (clip, number) in found:
            first = lines[clip, number]
            raise DataError(f"{path}, line {line.number}: {line.name!r} stands already in line {first}.")
        found[clip, number], lines[clip, number] = points, line.number
    return found


def _notes(found: Frames, subjects: dict[str, str], landmarks: dict[tuple[str, int], np.ndarray]) -> tuple[str, ...]:
    frames = {(name, number) for name, numbers in found.items() for number in numbers}
    counts = {
        f"clips have a label but no picture in {CLIPS}/": sum(not numbers for numbers in found.values()),
        f"lines of {SUBJECTS} belong to no clip": sum(name not in found for name in subjects),
        f"lines of {LANDMARKS} belong to no frame": sum(key not in frames for key in landmarks),
    }
    return tuple(f"{count} {what}" for what, count in counts.items() if count)
