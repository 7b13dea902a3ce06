"""AUs that Py-Feat estimated: `pyfeat.csv` beside the pictures, or `pyfeat/*.csv`.

Cheong et al., "Py-Feat: Python Facial Expression Analysis Toolbox", Affective Science 2023. A `Fex` table saved with
`to_csv`: one row a face, columns as in the CSV files of Py-Feat's own repository and its documentation:

    frame, FaceRectX, FaceRectY, FaceRectWidth, FaceRectHeight, FaceScore, ..., AU01, AU02, ..., AU43, ..., input

`input` is the path of the picture or video, also as Windows writes it; `frame` counts from 0. `AUxx` is a probability
from 0 to 1 (or 0 and 1, with its SVM); an AU counts as present from 0.5 on. A probability is no intensity. A picture
without a face has a row of nulls. Files without `input` are of the picture or video that they are called after.
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

NAME = "pyfeat"
PRESENT = 0.5
_UNIT = re.compile(r"AU(\d\d?)")


def read(folder: Path, rows: pd.DataFrame) -> AuLabels | None:
    """Read Py-Feat's files; see `fer_core.aus.labels.Source`.

    Raises:
        DataError: names file, line and column of what is not Py-Feat's; a picture stands in two files.
    """
    files = csv_files(folder, NAME)
    if not files:
        return None
    faces = [face for path in files for face in _faces(path, folder / NAME)]
    return join_faces(faces, rows, str(files[0].parent))


def _faces(path: Path, base: Path) -> list[Face]:
    faces: list[Face] = []
    columns: dict[str, int] = {}
    aus: tuple[int, ...] = ()
    named: str | None = None
    for line, row in read_csv(path):
        if not columns:
            columns = units(path, row, _UNIT)
            aus = tuple(columns.values())
            named = next((name for name in PICTURE_COLUMNS if name in row), None)
            if not columns:
                raise DataError(f"{path}: expected Py-Feat's columns AU01, AU02 ..; got {', '.join(list(row)[:6])} ...")
            if named is None and not path.is_relative_to(base):
                raise DataError(f"{path}: expected the column `input`, which says which picture a row is of.")
        score = number(path, line, "FaceScore", row.get("FaceScore", ""), math.inf)
        faces.append(
            Face(
                path=path,
                line=line,
                name=row[named] if named else path.relative_to(base).with_suffix("").as_posix(),
                frame=frame_of(path, line, row, first=0),
                score=-1.0 if math.isnan(score) else score,
                present_aus=aus,
                present=floats(_present(number(path, line, name, row[name], 1)) for name in columns),
            )
        )
    return faces


def _present(probability: float) -> float:
    return probability if math.isnan(probability) else float(probability >= PRESENT)
