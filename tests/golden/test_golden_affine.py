"""The batched warp: by hand, as a naive bilinear loop, against OpenCV; landmarks land where their pixels land."""

import math

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.transforms.v2 import functional as vision

from fer_core.augment.affine import matrices, warp_images, warp_points


def case(angle=0.0, scale=1.0, flip=False, count=1):
    one = torch.ones(count)
    return matrices(math.radians(angle) * one, scale * one, torch.full((count,), flip))


def smooth_picture(height, width, channels=1):
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    planes = [(torch.sin(x + k) * torch.cos(y * (k + 1)) + 1) / 2 for k in range(channels)]
    return torch.stack(planes)[None]


def test_shift_by_hand():
    image = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    moved = warp_images(image, case(), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(moved, torch.tensor([[[[1.0, 1.0, 2.0]]]]))  # one to the right, border repeated


def test_half_pixel_shift_by_hand():
    moved = warp_images(torch.tensor([[[[0.0, 1.0, 1.0]]]]), case(), torch.tensor([[0.5, 0.0]]))
    torch.testing.assert_close(moved, torch.tensor([[[[0.0, 0.5, 1.0]]]]))


def test_flip_and_quarter_turn_by_hand():
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    zero = torch.zeros(1, 2)
    torch.testing.assert_close(warp_images(image, case(flip=True), zero), image.flip(-1))
    clockwise = torch.tensor([[[[3.0, 1.0], [4.0, 2.0]]]])
    torch.testing.assert_close(warp_images(image, case(angle=90), zero), clockwise)


def test_mirror_comes_before_rotation_and_keeps_lengths_by_hand():
    linear = case(angle=90, scale=2.0, flip=True)[0]
    # (1, 0) is mirrored to (-1, 0), turned clockwise to (0, -1) and doubled; (0, 1) goes to (-1, 0), doubled
    torch.testing.assert_close(linear, torch.tensor([[0.0, -2.0], [-2.0, 0.0]]), atol=1e-6, rtol=0)
    tilted = case(angle=30, flip=True)[0]
    torch.testing.assert_close(tilted @ tilted.T, torch.eye(2))
    assert torch.linalg.det(tilted).item() == pytest.approx(-1)


@pytest.mark.parametrize(("angle", "scale", "flip"), [(10, 1.0, False), (-20, 1.1, True), (5, 0.8, False)])
def test_naive_bilinear_loop(angle, scale, flip):
    height, width = 9, 13
    image = smooth_picture(height, width)
    linear, shift = case(angle, scale, flip), torch.tensor([[1.3, -0.7]])
    ours = warp_images(image, linear, shift)[0, 0]
    inverse = np.linalg.inv(linear[0].numpy())
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    pixels = image[0, 0].numpy()
    for row in range(height):
        for column in range(width):
            x, y = inverse @ (np.array([column, row]) - centre - shift[0].numpy()) + centre
            x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
            x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
            a, b = x - x0, y - y0
            expected = (
                pixels[y0, x0] * (1 - a) * (1 - b)
                + pixels[y0, x0 + 1] * a * (1 - b)
                + pixels[y0 + 1, x0] * (1 - a) * b
                + pixels[y0 + 1, x0 + 1] * a * b
            )
            assert ours[row, column].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80)])
def test_equals_opencv(height, width):
    image = smooth_picture(height, width, channels=3)
    linear, shift = case(12, 1.07, True), torch.tensor([[3.0, -2.0]])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = linear[0].numpy()
    forward = np.column_stack([matrix, centre - matrix @ centre + shift[0].numpy()])
    reference = cv2.warpAffine(
        image[0].permute(1, 2, 0).numpy(),
        forward,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    ours = warp_images(image, linear, shift)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - reference).max() < 0.004  # OpenCV rounds positions to 1/32 pixel


def test_angle_and_scale_equal_torchvisions_inside():
    image = smooth_picture(64, 64, channels=3)
    reference = vision.affine(
        image, angle=10, translate=[0, 0], scale=1.1, shear=[0, 0], interpolation=vision.InterpolationMode.BILINEAR
    )
    ours = warp_images(image, case(10, 1.1), torch.zeros(1, 2))
    inside = (..., slice(8, -8), slice(8, -8))  # it fills corners with black
    torch.testing.assert_close(ours[inside], reference[inside], atol=2e-4, rtol=0)


@pytest.mark.parametrize("flip", [False, True])
def test_landmarks_follow_their_pixels(flip):
    height, width = 40, 56
    points = torch.tensor([[[20.0, 12.0], [34.0, 13.0], [27.0, 20.0], [22.0, 27.0], [33.0, 28.0]]])
    linear, shift = case(14, 1.1, flip), torch.tensor([[2.0, -1.0]])
    moved = warp_points(points, linear, shift, torch.tensor([flip]), (height, width))
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    order = [1, 0, 2, 4, 3] if flip else range(5)
    for new, old in enumerate(order):
        spot = torch.exp(-((x - points[0, old, 0]) ** 2 + (y - points[0, old, 1]) ** 2) / 8.0)
        warped = warp_images(spot[None, None], linear, shift)[0, 0]
        found = torch.stack([(warped * x).sum(), (warped * y).sum()]) / warped.sum()
        torch.testing.assert_close(found, moved[0, new], atol=0.05, rtol=0)


def test_a_mirrored_face_keeps_the_viewers_left_first():
    points = torch.tensor([[[1.0, 0.0], [5.0, 0.0], [3.0, 2.0], [2.0, 4.0], [4.0, 4.0]]])
    moved = warp_points(points, case(flip=True), torch.zeros(1, 2), torch.tensor([True]), (7, 9))
    assert moved[0].tolist() == [[3.0, 0.0], [7.0, 0.0], [5.0, 2.0], [4.0, 4.0], [6.0, 4.0]]  # by hand: x -> 8 - x


def test_every_sample_has_its_own_warp():
    image = smooth_picture(16, 16).repeat(3, 1, 1, 1)
    angles = torch.tensor([0.0, 0.2, -0.2])
    linear = matrices(angles, torch.ones(3), torch.tensor([False, False, True]))
    together = warp_images(image, linear, torch.zeros(3, 2))
    for i in range(3):
        alone = warp_images(image[i : i + 1], linear[i : i + 1], torch.zeros(1, 2))
        torch.testing.assert_close(together[i : i + 1], alone)


def test_unknown_landmarks_stay_unknown():
    points = torch.full((1, 5, 2), math.nan)
    assert warp_points(points, case(10), torch.zeros(1, 2), torch.tensor([True]), (8, 8)).isnan().all()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (12, 20)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_torchs_affine_grid(height, width, layout):
    image = smooth_picture(height, width, channels=3).repeat(2, 1, 1, 1).contiguous(memory_format=layout)
    linear = torch.tensor([[[0.9, -0.4], [0.3, 1.2]], [[-1.1, 0.2], [0.1, 0.8]]])  # shears and a mirror too
    shift = torch.tensor([[2.0, -1.5], [0.0, 3.0]])
    size = torch.tensor([width, height])
    inverse = torch.linalg.inv(linear)
    theta = torch.cat(
        [inverse * size / size[:, None], -(inverse @ (2 * shift)[..., None]) / size[:, None]],
        dim=-1,
    )
    grid = functional.affine_grid(theta, list(image.shape), align_corners=False)
    reference = functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
    found = warp_images(image, linear, shift)
    torch.testing.assert_close(found, reference, atol=3e-6, rtol=0)
    assert found.is_contiguous()


def test_a_double_picture_is_warped_in_double_precision_and_stays_itself():
    image = smooth_picture(8, 8).double()
    found = warp_images(image, case(), torch.zeros(1, 2))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, image, atol=1e-12, rtol=0)
    assert found.data_ptr() != image.data_ptr()
