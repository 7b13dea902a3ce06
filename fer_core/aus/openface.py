"""AUs that OpenFace 2 estimated: `openface/*.csv` beside the pictures, or one `openface.csv`.

Baltrušaitis, Zadeh, Lim, Morency, "OpenFace 2.0: Facial Behavior Analysis Toolkit", FG 2018. Its columns, with a blank
after each comma in some versions, as its documentation ("Output Format") and public readers of its files give them:

    frame, face_id, timestamp, confidence, success, ..., AU01_r, ..., AU45_r, AU01_c, ..., AU45_c    FeatureExtraction
    face, confidence, ..., AU01_r, ..., AU45_r, AU01_c, ..., AU45_c                                  FaceLandmarkImg

`AUxx_c` is 1 where the AU is present, `AUxx_r` its intensity from 0 to 5; AU28 has no intensity. FeatureExtraction
writes one file a video or folder, one row a frame, from 1; FaceLandmarkImg one file a picture, one row a face. A file
is called as the picture, the clip or the video is: `0001.csv`. A single `openface.csv` needs a column `picture` with
the pictures' names, which OpenFace does not write. Rows without success, and with a confidence below `au_confidence`,
are not known. The format is taken from these descriptions; no file of OpenFace was at hand.
"""

import math
import re
from pathlib import Path

import pandas as pd

from fer_core.aus.estimates import (
    PICTURE_COLUMNS,
    Face,
    csv_files,
    floats,
    frame_of,
    join_faces,
    number,
    read_csv,
    units,
)
from fer_core.aus.labels import AuLabels
from fer_core.errors import DataError
from fer_core.manifest import STRONGEST

NAME = "openface"
CONFIDENCE = 0.8
_PRESENT, _STRONG = re.compile(r"AU(\d\d?)_c"), re.compile(r"AU(\d\d?)_r")


def read(folder: Path, rows: pd.DataFrame, confidence: float = CONFIDENCE) -> AuLabels | None:
    """Read OpenFace's files; see `fer_core.aus.labels.Source`.

    Args:
        folder: the published files, beside which OpenFace's lie.
        rows: the set's rows of the manifest.
        confidence: OpenFace's own, from 0 to 1, below which a face is not known.

    Raises:
        DataError: names file, line and column of what is not OpenFace's; a file is of several pictures.
    """
    files = csv_files(folder, NAME)
    if not files:
        return None
    faces = [face for path in files for face in _faces(path, folder / NAME, confidence)]
    return join_faces(faces, rows, str(files[0].parent))


def _faces(path: Path, base: Path, confidence: float) -> list[Face]:
    faces: list[Face] = []
    present: dict[str, int] = {}
    strong: dict[str, int] = {}
    present_aus: tuple[int, ...] = ()
    strong_aus: tuple[int, ...] = ()
    named: str | None = None
    first = 1
    for line, row in read_csv(path):
        if not present:
            present, strong = units(path, row, _PRESENT), units(path, row, _STRONG)
            present_aus, strong_aus = tuple(present.values()), tuple(strong.values())
            named = next((name for name in PICTURE_COLUMNS if name in row), None)
            _check_header(path, base, row, present, named)
            first = 0 if row.get("frame") == "0" else 1  # some versions begin with 0
        sure = number(path, line, "confidence", row["confidence"], 1)
        known = sure >= confidence and (number(path, line, "success", row.get("success", "1"), 1) == 1)
        faces.append(
            Face(
                path=path,
                line=line,
                name=row[named] if named else path.relative_to(base).with_suffix("").as_posix(),
                frame=frame_of(path, line, row, first),
                score=-1.0 if math.isnan(sure) else sure,
                present_aus=present_aus,
                present=floats(_present(path, line, name, row[name], known) for name in present),
                strong_aus=strong_aus,
                strong=floats(_strong(path, line, name, row[name], known) for name in strong),
            )
        )
    return faces


def _check_header(path: Path, base: Path, row: dict[str, str], present: dict[str, int], named: str | None) -> None:
    if not present or "confidence" not in row:
        shown = ", ".join(list(row)[:6])
        raise DataError(f"{path}: expected OpenFace's columns confidence, AU01_c, AU02_c ..; got {shown} ...")
    if named is None and not path.is_relative_to(base):
        raise DataError(f"{path}: expected a column `picture`, as OpenFace's own do not say which picture a row is of.")


def _present(path: Path, line: int, name: str, text: str, known: bool) -> float:
    value = number(path, line, name, text, 1)
    if value not in (0, 1) and not math.isnan(value):
        raise DataError(f"{path}, line {line}: expected 0 or 1 in the column `{name}`; got {text!r}.")
    return value if known else math.nan


def _strong(path: Path, line: int, name: str, text: str, known: bool) -> float:
    value = number(path, line, name, text, STRONGEST)
    return value if known else math.nan
