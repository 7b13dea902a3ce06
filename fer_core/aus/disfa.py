"""DISFA's AU labels: the intensity of 12 AUs in every frame of 27 people's videos.

    ActionUnit_Labels/SN001/SN001_au1.txt       1,0
                                                2,3          frame from 1, intensity from 0 to 5
    ActionUnit_Labels/ActionUnit_Labels/SN001/..    the same, as some archives unpack

Mavadati et al., "DISFA: A Spontaneous Facial Action Intensity Database", IEEE TAC 2013. There are no binary labels; an
AU counts as present from intensity 2 on, as the works that detect AUs in DISFA take it, so that a trace (1) is absent.
The intensities are kept. A frame without a line in an AU's file, and an AU without a file, is not annotated.

Folders, names and columns are those that public programs read; the files themselves were not at hand.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from fer_core.aus.labels import AuLabels
from fer_core.aus.vocabulary import DISFA, column
from fer_core.datasets.lines import bad_line, read_text
from fer_core.errors import DataError
from fer_core.manifest import STRONGEST

FOLDER = "ActionUnit_Labels"
PLACES = (FOLDER, f"{FOLDER}/{FOLDER}")
PRESENT = 2
_LINE = re.compile(r"(\d{1,9})\s*,\s*(\d)(?:\.0*)?")
_FILE = re.compile(r"(SN\d+)_au(\d+)\.txt", re.IGNORECASE)
_FRAME = re.compile(r"(SN\d+)/(\d+)")


def read(folder: Path, rows: pd.DataFrame) -> AuLabels | None:
    """Read the files; see `fer_core.aus.labels.Source`. A row's `sample_id` is `SN001/12`: person and frame.

    Labels without a row are listed as ranges of frames, `SN001/13-4845`: a manifest may hold every tenth frame only.

    Raises:
        DataError: names file and line where a line is not a frame and an intensity or a frame stands twice; or the
            file, where its name is of no AU of DISFA.
    """
    files = _files(folder)
    if not files:
        return None
    samples = {_frame(str(name)): str(name) for name in rows["sample_id"] if _FRAME.fullmatch(str(name))}
    wanted: dict[str, dict[int, int]] = {}
    for row, (person, frame) in enumerate(samples):
        wanted.setdefault(person, {})[frame] = row
    strong = np.full((len(samples), len(DISFA)), np.nan, np.float32)
    alone: list[str] = []
    lines = 0
    for person, of_person in files.items():
        frames: set[int] = set()
        place = wanted.get(person, {})
        for number, path in of_person.items():
            values = _read_file(path)
            lines += len(values)
            frames |= values.keys()
            for frame, row in place.items():
                strong[row, DISFA.index(number)] = values.get(frame, np.nan)
        alone += _ranges(person, sorted(frames - place.keys()))
    columns = [column(number) for number in DISFA]
    intensities = pd.DataFrame(strong, index=pd.Index(list(samples.values()), name="sample_id"), columns=columns)
    intensities = intensities[intensities.notna().any(axis=1)]
    table = intensities.ge(PRESENT).astype(np.float32).where(intensities.notna())
    return AuLabels(table, lines, 0, intensities=intensities, without_picture=tuple(alone))


def _frame(sample: str) -> tuple[str, int]:
    person, number = sample.split("/")
    return person.upper(), int(number)


def _files(folder: Path) -> dict[str, dict[int, Path]]:
    """Return person -> AU -> file."""
    found: dict[str, dict[int, Path]] = {}
    paths = [path for place in PLACES for path in sorted((folder / place).glob("SN*/[!.]*.txt"))]
    for path in paths:
        match = _FILE.fullmatch(path.name)
        if not match or int(match[2]) not in DISFA:
            wanted = ", ".join(map(str, DISFA))
            raise DataError(f"{path}: expected a name such as SN001_au1.txt with an AU of {wanted}; got {path.name!r}.")
        of_person = found.setdefault(match[1].upper(), {})
        if int(match[2]) in of_person:
            raise DataError(f"{path}: AU {match[2]} of {match[1]} stands already in {of_person[int(match[2])]}.")
        of_person[int(match[2])] = path
    return found


def _read_file(path: Path) -> dict[int, int]:
    """Return frame -> intensity."""
    out: dict[int, int] = {}
    for number, raw in enumerate(read_text(path).splitlines(), start=1):
        text = raw.strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if not match or int(match[2]) > STRONGEST:
            raise bad_line(path, number, text, f"a frame and an intensity from 0 to {STRONGEST}, such as 12,3")
        if int(match[1]) in out:
            raise bad_line(path, number, text, f"frame {match[1]} in one line only")
        out[int(match[1])] = int(match[2])
    return out


def _ranges(person: str, frames: list[int]) -> list[str]:
    """Return `SN001/3-7` for frames 3 to 7, `SN001/9` for one."""
    starts = [k for k, frame in enumerate(frames) if k == 0 or frames[k - 1] != frame - 1]
    out = []
    for start, end in zip(starts, [*starts[1:], len(frames)], strict=True):
        first, last = frames[start], frames[end - 1]
        out.append(f"{person}/{first}" if first == last else f"{person}/{first}-{last}")
    return out
