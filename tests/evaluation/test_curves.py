"""The picture of the learning curves shows a curriculum's schedule, and only where there is one."""

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.colors import to_rgb

from fer_core.evaluation.plots.curves import draw_curves
from fer_core.evaluation.plots.style import BLUE, LIGHT


def history(**more: Any) -> list[dict[str, Any]]:
    return [{"epoch": n, "train_accuracy": n / 10, "validation_macro_f1": n / 20, **more} for n in range(1, 9)]


def grey(path: Path, colour: str = LIGHT) -> int:
    """Pixels in the colour of the schedule."""
    pixels = matplotlib.image.imread(path)[..., :3]
    return int((np.abs(pixels - np.array(to_rgb(colour))).max(axis=-1) < 0.02).sum())


def test_a_curriculum_stands_behind_its_curves(tmp_path: Path) -> None:
    histories = {"plain": history(), "curriculum": history(curriculum_share=0.5)}
    draw_curves(tmp_path / "with.png", histories, {})
    draw_curves(tmp_path / "without.png", histories | {"curriculum": history()}, {})
    draw_curves(tmp_path / "more.png", histories | {"curriculum": history(curriculum_share=1.0)}, {})
    plain, half, all_shown = (grey(tmp_path / f"{name}.png") for name in ("without", "with", "more"))
    assert plain < half < all_shown
    assert all_shown - plain > 1.6 * (half - plain), "twice the share, about twice the area"


def test_probes_of_pretraining_stand_before_the_curves(tmp_path: Path) -> None:
    rows = [{"epoch": n - 4, "validation_macro_f1": None} for n in range(1, 5)]  # epochs up to 0
    probes = [row | {"knn_uar": 0.8, "probe_uar": 0.6} for row in rows]
    lost = [row | {"knn_uar": None, "probe_uar": None} for row in rows]  # epochs in which nobody asked
    lost[0] = probes[0]
    for name, before in (("with", probes), ("lost", lost)):
        draw_curves(tmp_path / f"{name}.png", {"ssl": before + history()}, {})
    assert grey(tmp_path / "with.png", BLUE) > grey(tmp_path / "lost.png", BLUE) + 60, "three more epochs of two marks"
