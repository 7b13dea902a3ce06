import cv2
import numpy as np
import pytest

from fer_core.faces.similarity import ARCFACE, apply, similarity, template


def umeyama_svd(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Transcribe Umeyama 1991, eq. 38-42, for one face."""
    mean_x, mean_y = source.mean(0), target.mean(0)
    x, y = source - mean_x, target - mean_y
    covariance = y.T @ x / len(x)
    u, d, vt = np.linalg.svd(covariance)
    s = np.eye(2)
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        s[1, 1] = -1
    rotation = u @ s @ vt
    scale = np.trace(np.diag(d) @ s) / (x**2).sum(1).mean()
    return np.column_stack([scale * rotation, mean_y - scale * rotation @ mean_x])


def noisy_faces(count: int, noise: float) -> np.ndarray:
    generator = np.random.default_rng(3)
    angle = generator.uniform(-0.8, 0.8, count)
    scale = generator.uniform(0.3, 5, count)
    shift = generator.uniform(-100, 400, (count, 1, 2))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
    points = scale[:, None, None] * (ARCFACE @ turn.swapaxes(1, 2))
    return points + shift + generator.normal(0, noise, points.shape) * scale[:, None, None]


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_equals_the_paper_s_svd(noise: float) -> None:
    faces = noisy_faces(200, noise)
    expected = [umeyama_svd(face, template(64, 0.9)) for face in faces]
    np.testing.assert_allclose(similarity(faces, template(64, 0.9)), expected, atol=1e-9)


def test_equals_opencv() -> None:
    faces = noisy_faces(50, 0.3)  # OpenCV iterates: with more noise it stops earlier, 2e-5 away
    target = template(112)
    found = similarity(faces, target)
    for face, matrix in zip(faces, found, strict=True):
        expected, _ = cv2.estimateAffinePartial2D(
            face, target, method=cv2.RANSAC, ransacReprojThreshold=1e6, refineIters=100
        )
        np.testing.assert_allclose(
            apply(matrix[None], face[None])[0], face @ expected[:, :2].T + expected[:, 2], atol=1e-5
        )


def test_no_other_similarity_is_nearer() -> None:
    faces = noisy_faces(20, 5.0)
    best = similarity(faces, ARCFACE)

    def error(matrices: np.ndarray) -> np.ndarray:
        return ((apply(matrices, faces) - ARCFACE) ** 2).sum((1, 2))

    for entry in range(4):
        for step in (-1e-3, 1e-3):
            a = [[1, 0, 0], [0, 1, 0]], [[0, -1, 0], [1, 0, 0]], [[0, 0, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 1]]
            assert (error(best + step * np.array(a[entry])) > error(best)).all()


def test_a_mirrored_face_is_turned_not_mirrored() -> None:
    matrix = similarity(ARCFACE[None] * [-1, 1], ARCFACE)[0]
    assert np.linalg.det(matrix[:, :2]) > 0


def test_points_that_coincide_or_are_missing_give_nan() -> None:
    faces = np.stack([np.full((5, 2), 7.0), np.full((5, 2), np.nan), ARCFACE])
    found = similarity(faces, ARCFACE)
    assert np.isnan(found[:2]).all(axis=(1, 2)).all()
    np.testing.assert_allclose(found[2], [[1, 0, 0], [0, 1, 0]], atol=1e-9)


def test_template_is_arcface_and_scales_pixel_centres() -> None:
    np.testing.assert_array_equal(template(112), ARCFACE)
    np.testing.assert_allclose(template(224), 2 * ARCFACE + 0.5)


def test_zoom_below_one_keeps_the_chin_of_a_dropped_jaw_inside() -> None:
    chin = np.array([[[56.0, 122.0]]])  # below ArcFace's crop
    for zoom, inside in ((1.0, False), (0.8, True)):
        matrix = similarity(ARCFACE[None], template(112, zoom))
        assert bool(apply(matrix, chin)[0, 0, 1] < 112) is inside
