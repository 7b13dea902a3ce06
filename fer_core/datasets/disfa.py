"""DISFA: 27 people watch a film of four minutes; every frame of their faces has the intensity of 12 AUs, 0 to 5.

Mavadati et al., "DISFA: A Spontaneous Facial Action Intensity Database", IEEE TAC 2013. Its files, as programs that
read it describe them; file names are also written in small or capital letters throughout:

    ActionUnit_Labels/SN001/SN001_au1.txt         "1,0": frame from 1 and intensity; read by `fer_core.aus`, here for
                                                  the numbers of the frames alone
    Videos_LeftCamera/LeftVideoSN001_comp.avi     20 frames a second, 4,844 or 4,845 of them
    Video_RightCamera/RightVideoSN001_comp.avi    the same from the other side; Videos_RightCamera in some copies
    Images/SN001/0001.jpg                         not published: frames taken out of a video beforehand, the number at
                                                  the end of the name that of the frame, from 1; also Frames/, and
                                                  LeftVideoSN001, LeftVideoSN001_comp instead of SN001

Nobody labelled an emotion, so all frames are in the pool, with their subject. They serve pretraining, and join to a set
that has emotions. Of a person whose frames lie there as pictures the video is not opened.
"""

import re
from collections.abc import Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import pandas as pd

from fer_core.datasets.dataset import NO_PICTURE, Info, Pictures, Published
from fer_core.datasets.lines import bad_line, read_text
from fer_core.datasets.options import read_options
from fer_core.datasets.pictures import pictures_in
from fer_core.datasets.rows import make_rows
from fer_core.errors import ConfigError, DataError
from fer_core.labels import LabelSet

LABELS = "ActionUnit_Labels"
CAMERAS = ("left", "right")
DEFAULTS = {"every": 20, "camera": "left"}
QUALITY = 95  # of the JPEG that a frame of a video becomes
_IMAGES = ("images", "frames")
_PERSON = re.compile(r"(?:(left|right)(?:video)?_?)?(SN[0-9]+)(?:_comp)?", re.IGNORECASE)
_FRAME = re.compile(r"(?:.*[^0-9])?([0-9]{1,9})", re.DOTALL)
_LINE = re.compile(r"([0-9]{1,9})\s*,\s*[0-9.]+")

INFO = Info(
    title="DISFA",
    page="mohammadmahoor.com/disfa",
    files=(
        "ActionUnit_Labels/SN001/SN001_au1.txt ..",
        "Videos_LeftCamera/LeftVideoSN001_comp.avi .. or Video_RightCamera/RightVideoSN001_comp.avi ..",
        "Images/SN001/0001.jpg .. instead of the videos, if you took the frames out yourself",
    ),
    obtain="By a signed agreement with the publishers, for academic use; the videos may not be passed on.",
    marks=(f"{LABELS}/SN*", "Video*_*Camera/*SN*.avi"),
    verified="made-up files in the published form, from programs that read it",
)


class Place(NamedTuple):
    """Where the picture of a row is: a file and, where that is a video, the number of the frame in it, from 1."""

    file: Path
    frame: int | None = None


def read(folder: Path, options: Mapping[str, Any]) -> Published:
    """Read which frames there are.

    Args:
        folder: where the published files lie.
        options: `every` (20), take frame 1 and each so-many-th after it; `camera` (left), left or right.

    Raises:
        ConfigError: an option is not known or not valid.
        DataError: there are no labels, videos or pictures where they should be, a line of a label file does not parse
            or names a frame twice (file, line, text), or pictures are not numbered as the labels are.
    """
    known = _checked(read_options("disfa", options, DEFAULTS))
    every, camera = known["every"], known["camera"]
    coded = _label_files(folder)
    pictures, videos = _picture_folders(folder, camera), _videos(folder, camera)
    people = sorted({*coded, *pictures, *videos})
    if not people:
        state = f"has no {LABELS}/SN001/SN001_au1.txt and no frames" if folder.is_dir() else "does not exist"
        raise DataError(f"{folder} {state}; expected there, as published: {'; '.join(INFO.files)}.")

    records: list[dict[str, Any]] = []
    places: dict[str, Place] = {}
    unlabelled = absent = 0
    chosen: dict[int, Place | None]
    for person in people:
        numbers = _frames_of(coded[person]) if person in coded else []
        files = _numbered(pictures[person]) if person in pictures else {}
        if files:
            chosen = {number: Place(path) for number, path in files.items() if _taken(number, every)}
            if not chosen:
                raise DataError(
                    f"{pictures[person]} has {len(files)} pictures, but none of the frames 1, {1 + every}, "
                    f"{1 + 2 * every} .. of `sets.disfa.every: {every}`. If frames were left out before, set it to 1."
                )
            absent += sum(_taken(number, every) and number not in files for number in numbers)
        else:
            video = videos.get(person)
            counted = numbers or range(1, _length(video) + 1)
            chosen = {number: Place(video, number) if video else None for number in counted if _taken(number, every)}
        unlabelled += len(set(chosen) - set(numbers))
        for number, place in chosen.items():
            sample = f"{person}/{number}"
            records.append(_record(folder, sample, person, place))
            if place:
                places[sample] = place
    return Published(
        rows=make_rows(records),
        pictures=partial(read_pictures, places),
        labels=LabelSet(()),
        aus=bool(coded),
        intensities=bool(coded),
        notes=_notes(every, unlabelled, absent),
    )


def read_pictures(places: Mapping[str, Place], rows: pd.DataFrame) -> Pictures:
    """Yield (sample_id, encoded picture) in the order of `rows`; None where there is none or it does not decode.

    A video is decoded from its beginning to the last frame that is asked for, once where the rows ask in ascending
    order, and one frame is held at a time: to seek in these videos lands on other frames than the labels mean.
    """
    wanted = ((sample, places.get(sample)) for sample in rows["sample_id"])
    for video, run in groupby(wanted, lambda pair: pair[1].file if pair[1] and pair[1].frame else None):
        if video:
            yield from _decoded(video, [(sample, place.frame) for sample, place in run if place and place.frame])
        else:
            for sample, place in run:
                yield sample, place.file.read_bytes() if place else None


def _decoded(video: Path, wanted: list[tuple[str, int]]) -> Pictures:
    capture = cv2.VideoCapture(str(video))
    at = 0  # the frame that was decoded last
    try:
        for sample, number in wanted:
            if number <= at:
                capture.release()
                capture, at = cv2.VideoCapture(str(video)), 0
            while at < number and capture.grab():
                at += 1
            yield sample, _as_jpeg(capture) if at == number else None
    finally:
        capture.release()


def _as_jpeg(capture: cv2.VideoCapture) -> bytes | None:
    known, frame = capture.retrieve()
    if not known:
        return None
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return bytes(data) if done else None


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    every, camera = options["every"], options["camera"]
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ConfigError(f"Expected `sets.disfa.every` to be a whole number from 1; got {every!r}.")
    if camera not in CAMERAS:
        raise ConfigError(f"Expected `sets.disfa.camera` to be left or right; got {camera!r}.")
    return options


def _taken(number: int, every: int) -> bool:
    return number % every == 1 % every


def _label_files(folder: Path) -> dict[str, Path]:
    """Return person -> one of the label files, all of which have the same frames."""
    found: dict[str, Path] = {}
    for place in (folder / LABELS, folder / LABELS / LABELS):
        for person in _folders(place):
            files = sorted(person.glob("[!.]*_au[0-9]*.txt"))
            if files and re.fullmatch(r"SN[0-9]+", person.name):
                found.setdefault(person.name, files[0])
    return found


def _frames_of(path: Path) -> list[int]:
    """Return the numbers of the frames that a label file has, ascending."""
    lines: dict[int, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        text = line.strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if not match or int(match[1]) < 1:
            raise bad_line(path, number, text, "a frame from 1, a comma and an intensity")
        frame = int(match[1])
        if frame in lines:
            raise DataError(f"{path}, line {number}: frame {frame} stands already in line {lines[frame]}.")
        lines[frame] = number
    if not lines:
        raise DataError(f"{path} is empty.")
    return sorted(lines)


def _picture_folders(folder: Path, camera: str) -> dict[str, Path]:
    """Return person -> folder with frames as pictures, of this camera or of none that is named."""
    found: dict[str, Path] = {}
    for place in _folders(folder):
        for path in _folders(place) if place.name.lower() in _IMAGES else ():
            match = _PERSON.fullmatch(path.name)
            if match and (match[1] or camera).lower() == camera:
                person = match[2].upper()
                if person in found:
                    raise DataError(f"Expected one folder with the frames of {person}; got {found[person]} and {path}.")
                found[person] = path
    return found


def _videos(folder: Path, camera: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place in _folders(folder):
        if re.fullmatch(rf"videos?_{camera}camera", place.name, re.IGNORECASE):
            for path in sorted(place.iterdir()):
                match = _PERSON.fullmatch(path.stem)
                if path.suffix.lower() == ".avi" and match and (match[1] or camera).lower() == camera:
                    found.setdefault(match[2].upper(), path)
    return found


def _folders(place: Path) -> list[Path]:
    """Return the folders directly in `place`, by name, without hidden ones; none where it is no folder."""
    if not place.is_dir():
        return []
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))


def _numbered(place: Path) -> dict[int, Path]:
    """Return number of a frame -> picture, ascending."""
    found: dict[int, Path] = {}
    for path in pictures_in(place):
        match = _FRAME.fullmatch(path.stem)
        if not match or int(match[1]) < 1:
            expected = f"end in the number of their frame, from 1 as in {LABELS}"
            raise DataError(f"Expected the names of the pictures in {place} to {expected}; got {path.name!r}.")
        number = int(match[1])
        if number in found:
            raise DataError(f"{place} has frame {number} twice: {found[number].name} and {path.name}.")
        found[number] = path
    return dict(sorted(found.items()))


def _length(video: Path | None) -> int:
    """Return how many frames a video says that it has; 0 where it cannot be opened."""
    if video is None:
        return 0
    capture = cv2.VideoCapture(str(video))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return max(count, 0)


def _record(folder: Path, sample: str, person: str, place: Place | None) -> dict[str, Any]:
    record: dict[str, Any] = {"sample_id": sample, "subject": person, "split": "pool"}
    if place is None:
        return record | {"picture": sample, "drop_reason": NO_PICTURE}
    name = place.file.relative_to(folder).as_posix()
    return record | {"picture": name if place.frame is None else f"{name}#{place.frame}"}


def _notes(every: int, unlabelled: int, absent: int) -> tuple[str, ...]:
    notes = []
    if every > 1:
        notes.append(f"1 of {every} frames is taken")
    if unlabelled:
        notes.append(f"{unlabelled} frames have no line in {LABELS}/")
    if absent:
        notes.append(f"{absent} frames of {LABELS}/ have no picture among those of their subject")
    return tuple(notes)
