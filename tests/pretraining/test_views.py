import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torchvision.transforms.v2 import functional as vision

from fer_core.pretraining.views import (
    LUMA,
    blurring,
    channels_last,
    colour_matrix,
    crop,
    cropping,
    gaussians,
    jitter,
    resampled,
    views,
)


def smooth(count=4, channels=3, size=64):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, 6, 6, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(48, 48), (64, 40)])
def test_two_different_views_of_the_same_shape_and_range(channels, size):
    images = torch.rand(8, channels, *size)
    before = images.clone()
    first, second = views(images, torch.Generator().manual_seed(0))
    for view in (first, second):
        assert view.shape == images.shape and view.isfinite().all()
        assert view.min() >= 0 and view.max() <= 1
    assert (first - second).abs().mean() > 0.02
    assert images.equal(before)
    again = views(images, torch.Generator().manual_seed(0))
    assert first.equal(again[0]) and second.equal(again[1])


def test_parameters_are_per_sample():
    images = smooth(1).repeat(6, 1, 1, 1)
    first, _ = views(images, torch.Generator().manual_seed(0))
    for i in range(6):
        for j in range(i):
            assert (first[i] - first[j]).abs().mean() > 0.01


def test_crop_equals_torchvisions_resized_crop():
    image = smooth(1, 1)
    matrix = cropping(64, torch.tensor([0.5]), torch.tensor([0.25]))
    ours = matrix @ image[0, 0] @ matrix.mT
    # by hand: half of 64 pixels, starting a quarter into the 32 that are free
    reference = vision.resized_crop(image, 8, 8, 32, 32, [64, 64], antialias=False)[0]
    inside = slice(2, -2)  # at the crop's edge ours interpolates with the pixel beyond, theirs repeats
    torch.testing.assert_close(ours[0, inside, inside], reference[0, inside, inside], atol=1e-5, rtol=0)


def test_flip_mirrors_one_side():
    zero = torch.zeros(1)
    matrix = cropping(5, torch.ones(1), zero, torch.tensor([True]))
    torch.testing.assert_close(matrix[0], torch.eye(5).flip(1))


def test_blur_equals_a_gaussian_and_keeps_the_mean():
    image = smooth(1, 1)
    matrix = gaussians(64, torch.tensor([1.5]))
    torch.testing.assert_close(matrix.sum(dim=2), torch.ones(1, 64))
    ours = (matrix @ image[0, 0] @ matrix.mT)[0]
    reference = vision.gaussian_blur(image, [13, 13], [1.5, 1.5])[0, 0]
    torch.testing.assert_close(ours[8:-8, 8:-8], reference[8:-8, 8:-8], atol=1e-4, rtol=0)
    pillow = Image.fromarray((image[0, 0] * 255).numpy().astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5))
    assert np.abs(np.asarray(pillow) / 255 - ours.numpy())[8:-8, 8:-8].max() < 0.03


def test_matrices_hold_no_denormal_numbers():
    matrix = blurring(cropping(64, torch.tensor([0.7]), torch.tensor([0.3])), torch.tensor([0.4]))
    assert ((matrix == 0) | (matrix.abs() > 1e-30)).all()  # they would make a CPU many times slower


def test_a_gaussians_rows_by_hand():
    matrix = gaussians(3, torch.tensor([1.0, 0.0]))
    near, far = np.exp(-0.5), np.exp(-2.0)
    ends, middle = 1 + near + far, 1 + 2 * near
    expected = [[1 / ends, near / ends, far / ends], [near / middle, 1 / middle, near / middle]]
    torch.testing.assert_close(matrix[0, :2], torch.tensor(expected, dtype=torch.float32))
    torch.testing.assert_close(matrix[1], torch.eye(3))  # no blur


def test_only_the_drawn_pictures_are_blurred_as_if_all_were():
    sigma = torch.tensor([0.0, 0.7, 0.0, 1.2, 0.1])
    sharp = cropping(16, torch.linspace(0.4, 1, 5), torch.linspace(0, 1, 5), torch.arange(5) % 2 == 0)
    expected = torch.stack([gaussians(16, sigma[i : i + 1])[0] @ sharp[i] for i in range(5)])
    found = blurring(sharp.clone(), sigma)
    torch.testing.assert_close(found, expected)
    assert found[0].equal(sharp[0]) and found[2].equal(sharp[2]) and not found[3].equal(sharp[3])
    assert blurring(sharp.clone(), torch.zeros(5)).equal(sharp)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_rows_and_columns_act_on_their_own_side(channels, memory):
    images = torch.rand(3, channels, 5, 7).contiguous(memory_format=memory)
    rows, columns = torch.rand(3, 5, 5), torch.rand(3, 7, 7)
    found = channels_last(resampled(images, rows, columns))
    assert found.is_contiguous(memory_format=torch.channels_last)
    for i in range(3):
        for c in range(channels):
            torch.testing.assert_close(found[i, c], rows[i] @ images[i, c] @ columns[i].T)


def test_a_crop_draws_five_numbers_a_picture_and_a_view_fourteen():
    images = torch.rand(3, 3, 8, 8)
    generator, other = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    crop(images, generator)
    views(images, generator)
    torch.rand(3, 5, generator=other), torch.rand(3, 14, generator=other), torch.rand(3, 14, generator=other)
    assert torch.rand(1, generator=generator).equal(torch.rand(1, generator=other))


def test_colour_matrix_by_hand():
    torch.testing.assert_close(colour_matrix(torch.ones(1), torch.zeros(1))[0], torch.eye(3), atol=1e-5, rtol=0)
    grey = colour_matrix(torch.zeros(1), torch.zeros(1))[0]
    torch.testing.assert_close(grey, torch.tensor([LUMA] * 3), atol=2e-3, rtol=0)
    turned = colour_matrix(torch.ones(1), torch.tensor([0.6]))[0]
    luma = torch.tensor(LUMA)
    torch.testing.assert_close(luma @ turned, luma, atol=1e-3, rtol=0)  # a hue has no brightness
    torch.testing.assert_close(turned @ torch.ones(3), torch.ones(3), atol=5e-3, rtol=0)  # grey stays grey


def test_jitter_off_changes_nothing_and_grey_has_equal_channels():
    images = smooth(2)
    off = torch.tensor([[0.9, 0.1, 0.9, 0.3, 0.2, 0.5, 0.0]]).repeat(2, 1)
    torch.testing.assert_close(jitter(images, off), images, atol=1e-5, rtol=0)
    off[:, 5] = 0.1  # below the probability of a grey picture
    grey = jitter(images, off)
    assert (grey[:, 0] - grey[:, 1]).abs().max() < 5e-3 and (grey[:, 0] - grey[:, 2]).abs().max() < 5e-3
