"""CK+ as published: short sequences from a neutral face to the peak of an expression, 593 of 123 people.

Lucey et al., "The Extended Cohn-Kanade Dataset (CK+)", CVPR Workshops 2010. Its files, one folder per person and
sequence, as the ReadMe of its distribution and programs that read it describe them:

    cohn-kanade-images/S005/001/S005_001_00000011.png           frame 11 of sequence 001 of person S005
    Emotion/S005/001/S005_001_00000011_emotion.txt              "   3.0000000e+00", the sequence's emotion, named after
                                                                its peak, the last frame; 327 sequences have one
    FACS/S005/001/S005_001_00000011_facs.txt                    optional; read by `fer_core.aus`
    Landmarks/S005/001/S005_001_00000011_landmarks.txt          optional; 68 lines "x y", pixels of that frame

The four also lie in a folder of the archive's name, as in `Emotion_labels/Emotion`. The last frames of a labelled
sequence become stills of its emotion, its first frame a still of neutral, and all its frames a clip. A sequence without
a label gives its last frame to the pool. There is no published split.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fer_core.datasets.dataset import NO_PICTURE, SUBJECT_IN, Info, Published
from fer_core.datasets.lines import bad_line, read_text
from fer_core.datasets.options import read_options
from fer_core.datasets.pictures import pictures_in, read_pictures
from fer_core.datasets.rows import make_rows
from fer_core.errors import ConfigError, DataError
from fer_core.labels import CKPLUS, LabelSet
from fer_core.manifest import LAST_FRAME

IMAGES, EMOTION, FACS, LANDMARKS = "cohn-kanade-images", "Emotion", "FACS", "Landmarks"
_ARCHIVE = {IMAGES: "extended-cohn-kanade-images", EMOTION: "Emotion_labels", FACS: "FACS_labels", LANDMARKS: LANDMARKS}
_PERSON, _SEQUENCE, _FRAME = re.compile(r"S[0-9]+"), re.compile(r"[0-9]+"), re.compile(r"[0-9]{1,12}")
_LABEL, _CODES, _TRACKED = "_emotion.txt", "_facs.txt", "_landmarks.txt"
_POINTS = 68
OTHERS, ALL = "others", "all"  # whose unlabelled sequences are in the pool
DEFAULTS = {"frames": 3, "neutral": True, "clips": True, "pool": OTHERS}

INFO = Info(
    title="CK+",
    page="jeffcohn.net/Resources",
    files=(
        "cohn-kanade-images/S005/001/S005_001_00000011.png ..",
        "Emotion/S005/001/S005_001_00000011_emotion.txt ..",
        "FACS/S005/001/S005_001_00000011_facs.txt .. (optional)",
        "Landmarks/S005/001/S005_001_00000011_landmarks.txt .. (optional)",
    ),
    obtain="By a signed agreement with the publishers; the pictures may not be passed on.",
    marks=(f"{IMAGES}/S*", f"*/{IMAGES}/S*", f"{EMOTION}/S*/*/*{_LABEL}", f"*/{EMOTION}/S*/*/*{_LABEL}"),
    verified="made-up files in the published form, from the ReadMe of the distribution and programs that read it",
)


@dataclass
class Sequence:
    """A sequence of a person.

    Attributes:
        person: as in S005.
        name: as in S005_001.
        stems: number of a frame -> name of its picture without ending, ascending; the labelled one even if missing.
        files: name of a picture -> its file.
        emotion: 0 to 7, None without a label.
        peak: number of the frame that the label names.
    """

    person: str
    name: str
    stems: dict[int, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    emotion: int | None = None
    peak: int = 0


def read(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read the sequences.

    Args:
        folder: where the published files lie.
        options: `frames` (3), how many of the last frames of a labelled sequence are stills of its emotion; `neutral`
            (true), whether its first frame is a still of neutral, and neutral a class; `clips` (true), whether its
            frames are a clip; `pool` ("others"), whose unlabelled sequences may be learned from: those of people
            without a labelled one, or "all". The people of "all" stand in the test fold too: it needs `leakage: drop`.

    Raises:
        ConfigError: an option is not known or not valid.
        DataError: there are no labels where they should be, a label or landmark file does not parse (file, line, text),
            a sequence has two labels, or a frame stands twice.
    """
    known = _checked(read_options("ckplus", options, DEFAULTS))
    labels, images = _place(folder, EMOTION), _place(folder, IMAGES) or folder / IMAGES
    if labels is None:
        state = f"has no {INFO.files[1]}" if folder.is_dir() else "does not exist"
        raise DataError(f"{folder} {state}; expected there, as published: {', '.join(INFO.files)}.")
    sequences, notes = _read_sequences(images, labels)
    tracked, coded = _place(folder, LANDMARKS), _place(folder, FACS)
    labelled = [s for s in sequences if s.emotion is not None and (known["neutral"] or s.emotion > 0)]
    pool = [s for s in sequences if s.emotion is None or not (known["neutral"] or s.emotion > 0)]
    busy = {sequence.person for sequence in labelled} if known["pool"] == OTHERS else set()
    notes += _notes(labelled, pool, busy, known)

    records: list[dict[str, Any]] = []
    files: dict[str, Path] = {}
    points: dict[str, np.ndarray | None] = {}
    for sequence, stem, record in _records(labelled, pool, busy, known):
        path = sequence.files.get(stem)
        if path:
            files[record["sample_id"]] = path
        else:
            record["drop_reason"] = NO_PICTURE
            path = _of(images, sequence) / f"{stem}.png"
        if stem not in points:  # a picture may be a still and a frame of a clip
            points[stem] = _landmarks(tracked, sequence, stem)
        record |= {"subject": sequence.person, "picture": path.relative_to(folder).as_posix()}
        records.append(record | {"landmarks": points[stem]})
    lost = sum(stem is None for stem in points.values())
    if lost and tracked:
        notes.append(f"{lost} of {len(points)} pictures have no file in {LANDMARKS}/")
    has_aus = coded is not None and next(coded.glob(f"S*/*/[!.]*{_CODES}"), None) is not None
    return Published(
        rows=make_rows(records),
        pictures=partial(read_pictures, files),
        labels=CKPLUS if known["neutral"] else LabelSet(CKPLUS.classes[1:]),
        aus=has_aus,
        intensities=has_aus,
        notes=tuple(notes),
    )


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    frames = options["frames"]
    if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
        raise ConfigError(f"Expected `sets.ckplus.frames` to be a whole number from 1; got {frames!r}.")
    for key in ("neutral", "clips"):
        if not isinstance(options[key], bool):
            raise ConfigError(f"Expected `sets.ckplus.{key}` to be true or false; got {options[key]!r}.")
    if options["pool"] not in (OTHERS, ALL):
        raise ConfigError(f"Expected `sets.ckplus.pool` to be {OTHERS} or {ALL}; got {options['pool']!r}.")
    return options


def _place(folder: Path, name: str) -> Path | None:
    """Return where a part of the set lies: the first place that has a folder of a person."""
    for place in (folder / name, folder / _ARCHIVE[name] / name):
        if place.is_dir() and any(_folders(place, _PERSON)):
            return place
    return None


def _folders(place: Path, name: re.Pattern[str]) -> Iterator[Path]:
    """Yield the folders in `place` that are called so, by name; none where it is no folder itself."""
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        if name.fullmatch(path.name) and path.is_dir():
            yield path


def _of(place: Path, sequence: Sequence) -> Path:
    return place / sequence.person / sequence.name.removeprefix(f"{sequence.person}_")


def _read_sequences(images: Path, labels: Path) -> tuple[list[Sequence], list[str]]:
    """Return all sequences that have pictures or a label, by name, and notes."""
    found: dict[str, Sequence] = {}
    others = 0
    for place in (images, labels):
        for person in _folders(place, _PERSON):
            for path in _folders(person, _SEQUENCE):
                name = f"{person.name}_{path.name}"
                sequence = found.setdefault(name, Sequence(person.name, name))
                if place == images:
                    others += _read_frames(path, sequence)
                else:
                    _read_label(path, sequence)
    notes = [f"{others} pictures in {IMAGES}/ are not named as frames of their sequence"] if others else []
    return [found[name] for name in sorted(found) if found[name].stems], notes


def _read_frames(place: Path, sequence: Sequence) -> int:
    """Add the frames of a sequence, and return how many pictures are none of them."""
    others = 0
    numbered: list[tuple[int, Path]] = []
    for path in pictures_in(place):
        number = _frame(path.stem, sequence.name)
        if number is None:
            others += 1
        else:
            numbered.append((number, path))
    for number, path in sorted(numbered):
        if number in sequence.stems:
            first = sequence.files[sequence.stems[number]].name
            raise DataError(f"{place} has frame {number} twice: {first} and {path.name}.")
        sequence.stems[number] = path.stem
        sequence.files[path.stem] = path
    return others


def _frame(stem: str, sequence: str) -> int | None:
    number = stem.removeprefix(f"{sequence}_")
    return int(number) if number != stem and _FRAME.fullmatch(number) else None


def _read_label(place: Path, sequence: Sequence) -> None:
    paths = sorted(p for p in place.iterdir() if p.name.endswith(_LABEL) and not p.name.startswith("."))
    if not paths:
        return
    path = paths[0]
    if len(paths) > 1:
        raise DataError(f"{place} has two labels of one sequence: {path.name} and {paths[1].name}.")
    stem = path.name.removesuffix(_LABEL)
    peak = _frame(stem, sequence.name)
    if peak is None:
        raise DataError(f"Expected {path} to be named {sequence.name}_NNNNNNNN{_LABEL}, as its folder says.")
    lines = [(n, text.strip()) for n, text in enumerate(read_text(path).splitlines(), 1) if text.strip()]
    expected = "one number from 0 to 7, the emotion, in the file"
    if not lines:
        raise DataError(f"{path} is empty; expected {expected}.")
    if len(lines) > 1:
        raise bad_line(path, *lines[1], expected)
    try:
        value = float(lines[0][1])
    except ValueError:
        value = np.nan
    if value not in range(len(CKPLUS.classes)):
        raise bad_line(path, *lines[0], expected)
    sequence.emotion, sequence.peak = int(value), peak
    sequence.stems = dict(sorted(({peak: stem} | sequence.stems).items()))


def _records(
    labelled: list[Sequence], pool: list[Sequence], busy: set[str], options: dict[str, Any]
) -> Iterator[tuple[Sequence, str, dict[str, Any]]]:
    """Yield (sequence, name of a picture, a row's beginnings): stills, then the pool, then the frames of clips."""
    neutral = options["neutral"]
    for sequence in labelled:
        emotion = (sequence.emotion or 0) - (not neutral)
        shown = [stem for number, stem in sequence.stems.items() if number <= sequence.peak]
        if neutral and len(shown) > 1:
            first = shown.pop(0)
            yield sequence, first, {"sample_id": first, "emotion": 0}
        for stem in shown[-options["frames"] :]:
            yield sequence, stem, {"sample_id": stem, "emotion": emotion}
    for sequence in pool:
        last = list(sequence.stems.values())[-1]
        why = f"{SUBJECT_IN}{sequence.person} has labelled pictures" if sequence.person in busy else None
        yield sequence, last, {"sample_id": last, "split": "pool", "drop_reason": why}
    for sequence in labelled if options["clips"] else ():
        clip, begin = f"clips/{sequence.name}", min(sequence.stems)
        for number, stem in sequence.stems.items():
            frame = number - begin  # gaps stay gaps
            if frame > LAST_FRAME:
                raise DataError(f"Expected the frames of {sequence.name} to count to {LAST_FRAME}; got {stem!r}.")
            emotion = (sequence.emotion or 0) - (not neutral)
            record = {"sample_id": f"{clip}/{frame}", "clip_id": clip, "frame": frame, "emotion": emotion}
            yield sequence, stem, record


def _notes(labelled: list[Sequence], pool: list[Sequence], busy: set[str], options: dict[str, Any]) -> list[str]:
    notes = []
    if labelled and options["frames"] > 1:
        notes.append(f"the last {options['frames']} frames of a sequence have the emotion of its peak, the last one")
    if labelled and options["neutral"]:
        notes.append("neutral are the first frames of the labelled sequences: nobody labelled them")
    if pool:
        whole = len(labelled) + len(pool)
        text = f"{len(pool)} of {whole} sequences have no label: their last frame is in the pool"
        away = sum(sequence.person in busy for sequence in pool)
        notes.append(text + (f", but for {away} of people who have labelled sequences too" if away else ""))
    skipped = sum(sequence.emotion is not None for sequence in pool)
    if skipped:
        notes.append(f"{skipped} of these are labelled neutral, which `neutral: false` leaves out")
    return notes


def _landmarks(place: Path | None, sequence: Sequence, stem: str) -> np.ndarray | None:
    """Return eyes, nose and mouth corners, float32 (10,), out of 68 points in the order of Multi-PIE and iBUG."""
    path = None if place is None else _of(place, sequence) / f"{stem}{_TRACKED}"
    if path is None or not path.is_file():
        return None
    lines = [(number, line.split()) for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    points = []
    for number, parts in lines:
        try:
            x, y = (float(part) for part in parts)
            if not math.isfinite(x + y):
                raise ValueError
        except ValueError:
            raise bad_line(path, number, " ".join(parts), "x and y of a point") from None
        points.append((x, y))
    if len(points) != _POINTS:
        raise DataError(f"{path}: expected {_POINTS} lines, x and y of a point each; got {len(points)}.")
    all_points = np.array(points)
    eyes = [all_points[36:42].mean(0), all_points[42:48].mean(0)]
    return np.concatenate([*eyes, *all_points[[30, 48, 54]]]).astype(np.float32)
