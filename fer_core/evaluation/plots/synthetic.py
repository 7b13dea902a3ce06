"""Synthetic faces for people to look at: beside real ones of their class, and beside their nearest train faces."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import numpy as np
import numpy.typing as npt

from fer_core.errors import DataError
from fer_core.evaluation.plots.style import GREY, picture

Pixels = npt.NDArray[np.uint8]

_TITLES = ("real train faces", "synthetic", "their nearest train faces")
_SIDE = 0.55  # inches of a face


def draw_synthetic(
    path: Path, rows: Mapping[str, tuple[Pixels, Pixels, Pixels]], title: str, note: str = "", *, columns: int = 5
) -> None:
    """Draw one row per class to `path` (PNG): real | synthetic | the nearest train face of each synthetic one.

    Args:
        path: the picture.
        rows: class name to real, synthetic and nearest faces, uint8 (N, H, W, C) with C 1 or 3, of one H, W, C; the
            first `columns` of each are shown, cells of a class with fewer stay white. A column of the third block
            belongs to the same column of the second.
        title: the headline.
        note: stands below: what the data are, as a picture travels alone.
        columns: faces of each block and row.

    Raises:
        DataError: there is no class, faces are not alike in shape, or synthetic and nearest faces differ in number.
    """
    if not rows:
        raise DataError("Expected one class or more with synthetic faces to draw; got none.")
    shapes = {faces.shape[1:] for blocks in rows.values() for faces in blocks}
    if len(shapes) != 1 or len(shape := next(iter(shapes))) != 3 or shape[2] not in (1, 3):
        raise DataError(f"Expected faces (N, H, W, C) of one shape with 1 or 3 channels; got {sorted(shapes)}.")
    for name, (_, synthetic, nearest) in rows.items():
        if len(synthetic) != len(nearest):
            raise DataError(
                f"Expected a nearest face of each synthetic one of {name!r}; got {len(nearest)} of {len(synthetic)}."
            )
    height, width = 1.0 + _SIDE * len(rows), 1.6 + 3 * _SIDE * columns
    with picture(path, width, height) as figure:
        figure.suptitle(title, fontsize=13, fontweight="bold")
        for number, axes in enumerate(figure.subplots(1, 3)):
            axes.imshow(_sheet([blocks[number] for blocks in rows.values()], columns), interpolation="nearest")
            axes.set_title(_TITLES[number], fontsize=10)
            axes.set_xticks([])
            axes.spines[:].set_visible(False)
            names = [name.replace("_", " ") for name in rows] if number == 0 else []
            axes.set_yticks([(row + 0.5) * (shape[0] + 1) - 1 for row in range(len(names))], names, fontsize=9)
            axes.tick_params(length=0)
        if note:
            figure.supxlabel(fill(note, int(13 * width)), fontsize=9, color=GREY)


def _sheet(rows: list[Pixels], columns: int) -> Pixels:
    """Return the faces of each row side by side, uint8 (H', W', 3), a white pixel between two of them."""
    height, width = rows[0].shape[1:3]
    sheet = np.full((len(rows) * (height + 1) - 1, columns * (width + 1) - 1, 3), 255, dtype=np.uint8)
    for row, faces in enumerate(rows):
        for column, face in enumerate(faces[:columns]):
            top, left = row * (height + 1), column * (width + 1)
            sheet[top : top + height, left : left + width] = face  # one channel becomes three
    return sheet
