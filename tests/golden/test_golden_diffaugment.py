"""DiffAugment: each operation by hand and as a loop over pixels, its bounds, its draws, its gradients."""

import math

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from fer_core.errors import ConfigError
from fer_core.synthesis.config import POLICIES
from fer_core.synthesis.diffaugment import (
    OPERATIONS,
    brightness,
    contrast,
    cutout,
    diff_augment,
    saturation,
    translate,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=6, channels=3, height=8, width=8, seed=1):
    return torch.rand(count, channels, height, width, generator=generator(seed), dtype=torch.float64) * 2 - 1


def test_colour_by_hand():
    x = torch.tensor([[[[0.2]], [[0.4]], [[0.9]]]], dtype=torch.float64)  # one pixel, mean 0.5
    u = torch.tensor([0.75], dtype=torch.float64)
    assert brightness(x, u).flatten().tolist() == pytest.approx([0.45, 0.65, 1.15])
    assert saturation(x, u).flatten().tolist() == pytest.approx([0.05, 0.35, 1.1])  # 0.5 + 1.5 · (−0.3, −0.1, 0.4)
    assert contrast(x, u).flatten().tolist() == pytest.approx([0.125, 0.375, 1.0])  # 0.5 + 1.25 · (...)


def test_colour_as_loops():
    x, u = pictures(), torch.rand(6, generator=generator(2), dtype=torch.float64)
    bright, saturated, contrasted = torch.empty_like(x), torch.empty_like(x), torch.empty_like(x)
    for b in range(6):
        whole = sum(x[b].flatten().tolist()) / x[b].numel()
        for i in range(8):
            for j in range(8):
                grey = sum(x[b, c, i, j].item() for c in range(3)) / 3
                for c in range(3):
                    bright[b, c, i, j] = x[b, c, i, j] + u[b] - 0.5
                    saturated[b, c, i, j] = (x[b, c, i, j] - grey) * u[b] * 2 + grey
                    contrasted[b, c, i, j] = (x[b, c, i, j] - whole) * (u[b] + 0.5) + whole
    torch.testing.assert_close(brightness(x, u), bright)
    torch.testing.assert_close(saturation(x, u), saturated)
    torch.testing.assert_close(contrast(x, u), contrasted)


def test_the_colour_policy_is_the_three_in_the_papers_order():
    x = pictures()
    u = torch.rand(3, 6, generator=generator(5)).double()
    expected = contrast(saturation(brightness(x, u[0]), u[1]), u[2])
    torch.testing.assert_close(diff_augment(x, ["color"], generator(5)), expected)


def test_contrast_and_saturation_against_torchvision():
    """torchvision's grey is a luminance, which in grey pictures is the plain mean of contrast, clamped to 0..1."""
    grey = pictures(1, 1).float() * 0.2 + 0.5
    u = torch.tensor([0.7])
    torch.testing.assert_close(contrast(grey, u), tv.adjust_contrast(grey, 1.2), atol=1e-6, rtol=0)
    torch.testing.assert_close(saturation(grey, u), grey, msg="one channel has no saturation")


def test_translation_by_hand():
    x = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    assert translate(x, torch.tensor([1]), torch.tensor([0]))[0, 0].tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert translate(x, torch.tensor([0]), torch.tensor([-1]))[0, 0].tolist() == [[2, 3, 0], [5, 6, 0], [8, 9, 0]]


def test_translation_as_a_loop_and_against_torchvision():
    x = pictures(height=7, width=9)
    down, right = torch.tensor([0, 1, -2, 3, -1, 6]), torch.tensor([0, -3, 2, 1, 8, -1])
    expected = torch.zeros_like(x)
    for b in range(6):
        for i in range(7):
            for j in range(9):
                row, column = i - int(down[b]), j - int(right[b])
                if 0 <= row < 7 and 0 <= column < 9:
                    expected[b, :, i, j] = x[b, :, row, column]
    moved = translate(x, down, right)
    assert moved.equal(expected)
    for b in range(6):
        shift = [int(right[b]), int(down[b])]
        torch.testing.assert_close(moved[b], tv.affine(x[b], angle=0.0, translate=shift, scale=1.0, shear=[0.0, 0.0]))


def test_cutout_by_hand_and_as_a_loop():
    ones = torch.ones(1, 1, 3, 4)
    cut = cutout(ones, torch.tensor([-1]), torch.tensor([1]), (2, 2))
    assert cut[0, 0].tolist() == [[1, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1]], "a part may be outside"
    x = pictures(height=7, width=9)
    row, column = torch.tensor([-2, 0, 3, 5, 1, 2]), torch.tensor([8, -1, 2, 0, 4, 6])
    expected = x.clone()
    for b in range(6):
        for i in range(7):
            for j in range(9):
                if row[b] <= i < row[b] + 4 and column[b] <= j < column[b] + 5:
                    expected[b, :, i, j] = 0
    assert cutout(x, row, column, (4, 5)).equal(expected)


@pytest.mark.parametrize("side", [16, 17, 18])
def test_translation_reaches_an_eighth_either_way_and_no_further(side):
    """A picture of 1s: the rows and columns of 0 that came in are the shift."""
    shifted = diff_augment(torch.ones(4000, 1, side, side), ["translation"], generator())
    reach = int(side / 8 + 0.5)
    for lines in (shifted.amax(dim=3)[:, 0], shifted.amax(dim=2)[:, 0]):
        first, last, missing = lines[:, 0], lines[:, -1], (lines == 0).sum(dim=1)
        signed = torch.where(first == 0, missing, -missing)
        assert ((first == 1) | (last == 1)).all()
        values, counts = signed.unique(return_counts=True)
        assert values.tolist() == list(range(-reach, reach + 1))
        assert (counts / 4000 - 1 / (2 * reach + 1)).abs().max() < 0.03, "all equally often"


@pytest.mark.parametrize("side", [8, 9, 10])
def test_cutout_takes_half_a_side_and_its_centre_lies_anywhere(side):
    cut = diff_augment(torch.ones(6000, 1, side, side), ["cutout"], generator()) == 0
    size = int(side / 2 + 0.5)
    rows, columns = cut.any(dim=3).sum(dim=2), cut.any(dim=2).sum(dim=2)
    assert rows.max() == columns.max() == size
    assert rows.min() >= size // 2 and (cut.sum(dim=(1, 2, 3)) == (rows * columns).flatten()).all(), "one box"
    often = cut.double().mean(dim=0)[0]
    torch.testing.assert_close(often, often.flip(0), atol=0.03, rtol=0, msg="as often above as below")
    torch.testing.assert_close(often, often.mT, atol=0.03, rtol=0)
    assert often.max() < 0.45 and often.min() > 0.05, "no pixel is safe, none is always cut"


def test_bounds_of_the_colour_draws():
    black = torch.zeros(4000, 1, 2, 2)
    shift = diff_augment(black, ["color"], generator())[:, 0, 0, 0]
    assert -0.5 <= shift.min() < -0.49 and 0.49 < shift.max() <= 0.5
    edge = torch.tensor([-1.0, 1.0]).reshape(1, 1, 1, 2).expand(4000, 1, 1, 2)
    gap = diff_augment(edge, ["color"], generator())
    gap = (gap[..., 1] - gap[..., 0]).flatten() / 2
    assert 0.5 <= gap.min() < 0.51 and 1.49 < gap.max() <= 1.5 and gap.mean().item() == pytest.approx(1, abs=0.02)
    red = torch.tensor([1.0, -1.0, 0.0]).reshape(1, 3, 1, 1).expand(4000, 3, 1, 1)
    colour = diff_augment(red, ["color"], generator())
    colour = (colour[:, 0] - colour[:, 1]).flatten() / 2  # saturation times contrast
    assert colour.min() < 0.01 and 2.5 < colour.max() <= 3 and colour.mean().item() == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("name", POLICIES)
def test_each_picture_has_draws_of_its_own_and_the_generator_decides(name):
    same = pictures(1).expand(16, -1, -1, -1)
    once = diff_augment(same, [name], generator(3))
    assert once.equal(diff_augment(same, [name], generator(3)))
    assert not once.equal(diff_augment(same, [name], generator(4)))
    assert len({tuple(item.flatten().tolist()) for item in once}) > 5, "of 9 shifts, 81 boxes, any colour"
    assert once.shape == same.shape and once.dtype == same.dtype


@pytest.mark.parametrize("name", POLICIES)
def test_the_global_generator_is_left_alone(name):
    before = torch.random.get_rng_state()
    diff_augment(pictures(), [name], generator())
    assert torch.random.get_rng_state().equal(before)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_gradcheck(name, channels):
    x = pictures(2, channels, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda images: diff_augment(images, [name], generator(7)), x)


def test_the_gradient_reaches_what_made_the_picture():
    """As T(G(z)): a weight before all three operations is moved."""
    weight = torch.ones(3, 1, 1, dtype=torch.float64, requires_grad=True)
    diff_augment(pictures() * weight, POLICIES, generator()).square().sum().backward()
    assert (weight.grad.abs() > 1e-3).all()
    kept = torch.ones(1, 1, 4, 4, requires_grad=True)
    cutout(
        translate(kept, torch.tensor([1]), torch.tensor([0])), torch.tensor([2]), torch.tensor([0]), (2, 4)
    ).sum().backward()
    assert kept.grad[0, 0].tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], "only what is seen"


def test_names_order_and_nothing():
    assert tuple(OPERATIONS) == POLICIES
    x = pictures()
    assert diff_augment(x, [], generator()) is x
    both, random = diff_augment(x, ["translation", "cutout"], generator(1)), generator(1)
    assert both.equal(OPERATIONS["cutout"](OPERATIONS["translation"](x, random), random))
    with pytest.raises(ConfigError, match=r"gan\.diffaugment.*Did you mean 'cutout'"):
        diff_augment(x, ["cutot"], generator())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_degenerate_and_half_precision(dtype):
    half = diff_augment(pictures().to(dtype), POLICIES, generator())
    assert half.dtype == dtype and half.isfinite().all()
    full = diff_augment(pictures().to(dtype).double(), POLICIES, generator())
    torch.testing.assert_close(half.double(), full, atol=0.05, rtol=0)
    assert diff_augment(torch.empty(0, 3, 8, 8), POLICIES, generator()).shape == (0, 3, 8, 8)
    one = diff_augment(torch.ones(1, 1, 1, 1), POLICIES, generator())
    assert one.shape == (1, 1, 1, 1) and math.isfinite(one.item())
