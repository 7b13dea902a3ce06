"""Pose of a head that is turned by known angles and projected, and sharpness by hand."""

import cv2
import numpy as np
import pytest

from fer_core.faces.quality import HEAD, inter_ocular, pose, sharpness
from fer_core.faces.similarity import ARCFACE


def turned(roll: float, yaw: float, pitch: float) -> np.ndarray:
    """Return the head after pitch (chin up), yaw (nose to the viewer's right) and roll (clockwise), axis by axis.

    x is right, y down, z towards the viewer.
    """
    r, y, p = np.radians([roll, yaw, pitch])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    shake = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    tilt = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return HEAD @ (tilt @ shake @ nod).T


def far(head: np.ndarray, scale: float = 60.0) -> np.ndarray:
    return head[:, :2] * scale + [200, 150]


def near(head: np.ndarray, distance: float = 10.0) -> np.ndarray:
    """Perspective from 10 eye distances, about 63 cm: a portrait by phone."""
    return 500 * head[:, :2] / (distance - head[:, 2:]) + [200, 150]


ANGLES = [(0, 0, 0), (20, 0, 0), (0, 35, 0), (0, -35, 0), (0, 0, 25), (0, 0, -25), (-40, 25, 15), (170, -50, -30)]


@pytest.mark.parametrize("angles", ANGLES)
def test_a_head_seen_from_far_away_has_the_angles_it_was_turned_by(angles: tuple[float, float, float]) -> None:
    found = pose(far(turned(*angles))[None])
    np.testing.assert_allclose(np.array(found)[:, 0], angles, atol=1e-6)


@pytest.mark.parametrize("angles", ANGLES[:7])
def test_perspective_moves_it_by_some_degrees(angles: tuple[float, float, float]) -> None:
    found = pose(near(turned(*angles))[None])
    np.testing.assert_allclose(np.array(found)[:, 0], angles, atol=6)


def test_the_signs_as_a_viewer_sees_them() -> None:
    looking_right, chin_up, clockwise = (far(turned(*a)) for a in ((0, 30, 0), (0, 0, 30), (30, 0, 0)))
    front = far(turned(0, 0, 0))
    assert looking_right[2, 0] > front[2, 0], "the nose moved right"
    eyes_to_nose = chin_up[2, 1] - chin_up[0, 1]
    assert eyes_to_nose < front[2, 1] - front[0, 1], "the nose moved up towards the eyes"
    assert clockwise[1, 1] > clockwise[0, 1], "the right-hand eye is lower"


def test_noise_scale_and_place_hardly_matter() -> None:
    generator = np.random.default_rng(1)
    angles = generator.uniform(-30, 30, (200, 3))
    heads = np.stack([far(turned(*a), scale) for a, scale in zip(angles, generator.uniform(20, 200, 200), strict=True)])
    eyes = np.linalg.norm(heads[:, 1] - heads[:, 0], axis=1)
    noisy = heads + generator.normal(0, 0.02, heads.shape) * eyes[:, None, None]
    apart = np.stack(pose(noisy), 1) - angles
    assert np.median(np.abs(apart)) < 3
    assert np.percentile(np.abs(apart), 95) < 12


def test_arcface_s_template_looks_straight_ahead() -> None:
    assert np.abs(np.array(pose(ARCFACE[None]))).max() < 1.5


def test_what_is_not_known_is_nan() -> None:
    points = np.stack([ARCFACE, np.full((5, 2), np.nan), np.full((5, 2), 7.0)])
    points[0, 2, 0] = np.nan
    assert np.isnan(np.array(pose(points))).all()
    assert np.isnan(inter_ocular(points[1:2])).all()
    assert [len(angle) for angle in pose(np.zeros((0, 5, 2)))] == [0, 0, 0]


def test_inter_ocular_by_hand() -> None:
    points = np.zeros((1, 5, 2))
    points[0, 1] = 3, 4
    assert inter_ocular(points).tolist() == [5.0]


def test_sharpness_by_hand() -> None:
    """One bright pixel of 10 in 5 x 5 zeros: the Laplacian is -40 there and 10 at its four neighbours."""
    crop = np.zeros((5, 5, 1), np.uint8)
    crop[2, 2] = 10
    values = np.array([-40, 10, 10, 10, 10] + [0] * 20)
    assert sharpness(crop) == pytest.approx(values.var())
    assert sharpness(np.full((5, 5, 3), 77, np.uint8)) == 0


def test_blur_lowers_sharpness_and_colour_counts_as_grey() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert sharpness(cv2.GaussianBlur(crop, (0, 0), 1)) < sharpness(crop) / 4
    assert sharpness(crop) == sharpness(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None])
