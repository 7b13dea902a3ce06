"""The contact sheet shows the faces that it is given, in their places, with a note."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from fer_core.errors import DataError
from fer_core.evaluation.plots.synthetic import _sheet, draw_synthetic


def faces(count: int, *tone: int, side: int = 4) -> np.ndarray:
    return np.full((count, side, side, len(tone)), tone, dtype=np.uint8)


def test_sheet_by_hand() -> None:
    sheet = _sheet([faces(2, 10, side=2), faces(1, 20, side=2)], 2)
    assert sheet[..., 0].tolist() == [
        [10, 10, 255, 10, 10],
        [10, 10, 255, 10, 10],
        [255, 255, 255, 255, 255],
        [20, 20, 255, 255, 255],
        [20, 20, 255, 255, 255],
    ]
    assert sheet.shape == (5, 5, 3) and (sheet == sheet[..., :1]).all(), "grey in three channels"
    assert _sheet([faces(9, 10, side=2)], 3).shape == (2, 8, 3), "the first ones only"
    assert _sheet([faces(1, 1, 2, 3)], 1)[0, 0].tolist() == [1, 2, 3]


def colours(path: Path) -> dict[tuple[int, ...], np.ndarray]:
    pixels = (matplotlib.image.imread(path)[..., :3] * 255).round().astype(int)
    wanted = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    return {colour: np.argwhere((pixels == colour).all(axis=-1)) for colour in wanted}


def test_the_three_blocks_stand_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    rows = {
        "sadly_angry": (faces(5, 200, 0, 0), faces(2, 0, 200, 0), faces(2, 0, 0, 200)),
        "happily disgusted": (faces(5, 200, 0, 0), faces(5, 0, 200, 0), faces(5, 0, 0, 200)),
    }
    draw_synthetic(path, rows, "Synthetic faces", "generated stand-in", columns=5)
    real, made, nearest = colours(path).values()
    assert real[:, 1].max() < made[:, 1].min() and made[:, 1].max() < nearest[:, 1].min()
    assert 0.6 < len(made) / len(real) < 0.8 and len(made) == pytest.approx(len(nearest), rel=0.05)  # 7 of 10 faces
    upper = made[made[:, 0] < (made[:, 0].min() + made[:, 0].max()) / 2]
    assert upper[:, 1].max() < made[:, 1].max(), "two faces in the first row, five in the second"


def test_same_faces_same_bytes_and_grey_ones(tmp_path: Path) -> None:
    rows = {"fear": (faces(1, 50), faces(0, 50), faces(0, 50)), "anger": (faces(0, 9), faces(3, 60), faces(3, 90))}
    for name in ("a.png", "b.png"):
        draw_synthetic(tmp_path / name, rows, "Synthetic faces")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    with pytest.raises(DataError, match="one class or more"):
        draw_synthetic(path, {}, "x")
    with pytest.raises(DataError, match="one shape with 1 or 3 channels"):
        draw_synthetic(path, {"fear": (faces(1, 1), faces(1, 1, side=5), faces(1, 1))}, "x")
    with pytest.raises(DataError, match="1 or 3 channels"):
        draw_synthetic(path, {"fear": (faces(1, 1, 2), faces(1, 1, 2), faces(1, 1, 2))}, "x")
    with pytest.raises(DataError, match="nearest face of each synthetic one of 'fear'; got 1 of 2"):
        draw_synthetic(path, {"fear": (faces(1, 1), faces(2, 1), faces(1, 1))}, "x")
    assert not path.exists()


def test_a_long_note_is_broken_into_lines_that_fit(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    rows = {"sadly_angry": (faces(5, 200, 0, 0), faces(2, 0, 200, 0), faces(2, 0, 0, 200))}
    draw_synthetic(path, rows, "a title", "generated faces, not people " * 20)
    pixels = matplotlib.image.imread(path)[..., :3]
    below = pixels[len(pixels) // 2 :]
    assert (below[:, :3] == 1).all() and (below[:, -3:] == 1).all(), "nothing is cut at the edges"
    assert (below < 1).any()
