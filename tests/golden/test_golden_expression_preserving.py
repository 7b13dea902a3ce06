"""The even change of light: by hand, as a naive loop, against torchvision; nothing is painted, no order reversed."""

import math
from dataclasses import replace

import pytest
import torch
from torchvision.transforms.v2 import functional as vision

from fer_core.augment import augment, expression_preserving
from fer_core.augment.batch import Batch
from fer_core.augment.expression_preserving import relight
from fer_core.augment.regions import TEMPLATE


def faces(count, channels=1, size=32, seed=0):
    images = torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))
    points = (torch.tensor(TEMPLATE) * size - 0.5).repeat(count, 1, 1)
    return Batch(images, points, torch.zeros(count, 2), ("AU1", "AU12"))


def run(batch, seed=0):
    return augment("expression_preserving", batch, torch.Generator().manual_seed(seed))


def still(monkeypatch):
    monkeypatch.setattr(expression_preserving, "warp", lambda batch, *_, **__: batch)


def test_light_by_hand():
    picture = torch.tensor([0.2, 0.4, 0.6]).reshape(1, 1, 1, 3)
    one = torch.ones(1)
    # contrast 1.5 about 0.4: 0.1, 0.4, 0.7; brightness 1.2: 0.12, 0.48, 0.84; square
    found = relight(picture, 1.2 * one, 1.5 * one, 2 * one)
    assert found.flatten().tolist() == pytest.approx([0.0144, 0.2304, 0.7056])
    # brightness 2: 0.4, 0.8, clipped to 1; root
    found = relight(picture, 2 * one, one, 0.5 * one)
    assert found.flatten().tolist() == pytest.approx([math.sqrt(0.4), math.sqrt(0.8), 1])


def test_naive_loop(monkeypatch):
    still(monkeypatch)
    batch = faces(5, channels=3, size=6)
    found = run(batch, seed=4).images
    draws = torch.rand(5, 8, generator=torch.Generator().manual_seed(4)) * 2 - 1
    for i in range(5):
        brightness, contrast, gamma = (draws[i, k].item() for k in (5, 6, 7))
        mean = batch.images[i].mean().item()
        for value, new in zip(batch.images[i].flatten().tolist(), found[i].flatten().tolist(), strict=True):
            lit = (1 + 0.25 * brightness) * ((1 + 0.25 * contrast) * (value - mean) + mean)
            assert new == pytest.approx(min(max(lit, 0), 1) ** (1.4**gamma), abs=1e-5)


def test_equals_torchvisions():
    picture = faces(1).images * 0.5 + 0.2  # nothing is clipped, which torchvision does after every step
    one = torch.ones(1)
    for brightness, contrast, gamma in ((1.2, 1, 1), (1, 0.8, 1), (1, 1, 0.72), (0.85, 1.1, 1.3)):
        steps = vision.adjust_brightness(vision.adjust_contrast(picture, contrast), brightness)
        expected = vision.adjust_gamma(steps, gamma)
        torch.testing.assert_close(relight(picture, brightness * one, contrast * one, gamma * one), expected)


def test_one_rising_curve_for_the_whole_picture(monkeypatch):
    still(monkeypatch)
    batch = faces(40, channels=3)
    found = run(batch).images
    for before, after in zip(batch.images.flatten(1), found.flatten(1), strict=True):
        order = before.argsort()
        assert (after[order].diff() >= -1e-6).all(), "what was darker stays darker, so no contour comes or goes"
    assert (found - batch.images).abs().mean(dim=(1, 2, 3)).gt(0.005).float().mean() > 0.9


def test_bounds_and_evenness():
    batch = faces(2000, size=8)
    flat = replace(batch, images=torch.full_like(batch.images, 0.4))
    out = run(flat)
    level = out.images.mean(dim=(1, 2, 3))
    assert (out.images.std(dim=(1, 2, 3)) < 1e-5).all(), "nothing is painted on a flat picture"
    lowest, highest = (0.4 * 0.75) ** 1.4, (0.4 * 1.25) ** (1 / 1.4)
    assert lowest <= level.min() < lowest + 0.03 and highest - 0.03 < level.max() <= highest
    # as far as face_aware moves, not as far as generic
    points = {}
    for name in ("generic", "face_aware", "expression_preserving"):
        moved = augment(name, batch, torch.Generator().manual_seed(1)).landmarks
        points[name] = (moved - batch.landmarks).norm(dim=-1).mean().item()
    assert points["expression_preserving"] == pytest.approx(points["face_aware"], rel=0.05)
    assert points["expression_preserving"] < 0.7 * points["generic"]


def test_about_half_are_mirrored_and_keep_the_viewers_left_first():
    batch = faces(400, size=16)
    ramp = torch.linspace(0.8, 0.2, 16).expand(400, 1, 16, 16)
    out = run(replace(batch, images=ramp))
    mirrored = (out.images[..., :8].mean(dim=(1, 2, 3)) < out.images[..., 8:].mean(dim=(1, 2, 3))).float().mean()
    assert 0.4 < mirrored < 0.6
    assert (out.landmarks[:, 0, 0] < out.landmarks[:, 1, 0]).all()


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("size", [1, 16])
def test_black_and_white_stay_finite(level, size):
    batch = faces(20, size=size)
    out = run(replace(batch, images=torch.full_like(batch.images, level), landmarks=batch.landmarks * torch.nan))
    assert out.images.isfinite().all() and out.landmarks.isnan().all()
    if level == 0:
        assert (out.images == 0).all()
