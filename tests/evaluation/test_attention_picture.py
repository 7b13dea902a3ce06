"""Where the attention looks: which faces are shown, and that the picture shows their maps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch

from fer_core.errors import DataError
from fer_core.evaluation.look import first_faces, look, union_of_regions
from fer_core.evaluation.plots.attention import draw_attention
from fer_core.models import build_model
from fer_core.models.attention_maps import spatial_maps
from fer_core.training.faces import FaceSet

NAN = float("nan")


def faces(labels: list[int], aus: list[list[float]] | None = None) -> FaceSet:
    count = len(labels)
    draw = torch.Generator().manual_seed(0)
    return FaceSet(
        ids=[str(row) for row in range(count)],
        pixels=torch.randint(256, (count, 32, 32, 1), generator=draw, dtype=torch.uint8),
        labels=torch.tensor(labels),
        aus=torch.tensor(aus or [[1.0, 0.0]] * count),
        landmarks=torch.full((count, 5, 2), NAN),
        subjects=torch.full((count,), -1),
        votes=torch.zeros(count, 0),
        intensities=torch.full((count, 2), NAN),
        au_names=("AU1", "AU25"),
    )


def model(attention: str) -> Any:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"timm_name": "test_vit", "model_args": {"patch_size": 8}, "in_chans": 1, "size": 32}
    return build_model(**settings, classes=3, aus=0, attention=attention)


def test_first_faces_of_each_class() -> None:
    assert first_faces(torch.tensor([2, 0, 2, 0, 5, 2, 2, 0, 0])).tolist() == [1, 3, 7, 0, 2, 5, 4]
    assert first_faces(torch.arange(20).flip(0)).tolist() == list(range(19, 5, -1)), "one of each, 14 in all"
    assert first_faces(torch.tensor([4])).tolist() == [0]


@pytest.mark.parametrize("attention", ["none", "se", "cbam", "spatial", "au_guided"])
def test_look_gives_the_maps_of_those_faces(attention: str) -> None:
    data, made = faces([1, 0, 1, 2, 2, 0, 1, 1, 1]), model(attention)
    seen = look(made, data)
    if attention in ("none", "se"):
        assert seen is None
        return
    assert seen is not None
    index = first_faces(data.labels)
    assert seen["labels"].tolist() == [0, 0, 1, 1, 1, 2, 2] and seen["faces"].equal(data.pixels[index])
    assert seen["maps"].equal(spatial_maps(made, data.images(index)))
    assert set(seen) == {"faces", "labels", "maps"} | ({"taught"} if attention == "au_guided" else set())


def test_union_of_regions_of_known_and_unknown_aus() -> None:
    """AU1 lives in the brows, AU25 in the mouth; of eyes, nose, cheeks and chin nothing is known here."""
    data = faces([0] * 5, [[1, 0], [0, 0], [1, 1], [NAN, NAN], [NAN, 1]])
    brows, nothing, both, unknown, half = union_of_regions(data, torch.arange(5))
    upper, lower = brows == 1, (both == 1) & (brows != 1)
    assert upper[:16].sum() == upper.sum() > 0, "the upper half of the face"
    assert lower.any() and not (nothing == 1).any() and (nothing == 0).any() and nothing.isnan().any()
    assert unknown.isnan().all()
    assert half[lower].eq(1).all() and half[upper & ~(half == 1)].isnan().all(), "nothing is known of the brows"
    assert union_of_regions(replace(data, weak_aus=True), torch.arange(5)).isnan().all()


def pixels(path: Path) -> np.ndarray:
    found: np.ndarray = matplotlib.image.imread(path)[..., :3]
    return found


def test_the_picture_shows_the_maps_and_what_was_taught(tmp_path: Path) -> None:
    crops = np.full((2, 32, 32, 1), 128, np.uint8)
    flat = np.full((2, 4, 4), 0.5)
    tilted = np.stack([np.linspace(0.4, 0.6, 16).reshape(4, 4)] * 2)
    names = ["happily_surprised", "sad"]
    for name, maps in (("flat", flat), ("tilted", tilted)):
        draw_attention(tmp_path / f"{name}.png", crops, maps, names, "a title")
    draw_attention(tmp_path / "again.png", crops, tilted, names, "a title")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "tilted.png").read_bytes()

    def colours(path: Path) -> int:
        found = pixels(path)
        body = found[: int(0.95 * len(found)), : int(0.75 * found.shape[1])]  # without the scale
        coloured = body[(body.max(-1) - body.min(-1)) > 0.15]
        return len(np.unique((coloured * 64).astype(int), axis=0))

    assert colours(tmp_path / "flat.png") < 8 < colours(tmp_path / "tilted.png"), "a small difference is seen"
    taught = np.zeros((2, 32, 32))
    taught[1] = NAN
    draw_attention(tmp_path / "taught.png", crops, tilted, names, "a title", taught)
    assert len(pixels(tmp_path / "taught.png")) > len(pixels(tmp_path / "tilted.png")), "a third row"
    known = taught.copy()
    known[1] = 0.0
    draw_attention(tmp_path / "known.png", crops, tilted, names, "a title", known)
    assert (pixels(tmp_path / "known.png") != pixels(tmp_path / "taught.png")).any(), "unknown is not coloured"


def test_many_faces_stand_in_blocks_and_colours_stay(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)
    draw_attention(tmp_path / "a.png", crops, rng.random((9, 2, 2)), [str(n) for n in range(9)], "nine")
    draw_attention(tmp_path / "one.png", crops[:1], rng.random((1, 2, 2)), ["x"], "one")
    assert len(pixels(tmp_path / "a.png")) > 1.6 * len(pixels(tmp_path / "one.png"))


@pytest.mark.parametrize(("count", "maps", "names"), [(0, 0, 0), (2, 1, 2), (2, 2, 1)])
def test_numbers_that_differ_are_refused(tmp_path: Path, count: int, maps: int, names: int) -> None:
    with pytest.raises(DataError, match="as many maps and names as faces"):
        draw_attention(
            tmp_path / "x.png", np.zeros((count, 8, 8, 1), np.uint8), np.zeros((maps, 2, 2)), ["a"] * names, ""
        )
    assert not (tmp_path / "x.png").exists()
