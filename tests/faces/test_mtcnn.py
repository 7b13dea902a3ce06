"""MTCNN on generated faces: where the points lie, and that a picture's faces do not depend on its company."""

import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from drawn import ODD, Sample, backdrop, error, find, in_scene, tight

from fer_core.errors import ConfigError
from fer_core.faces.canvas import place
from fer_core.faces.detect import BATCH, DETECTORS, Detector, Faces, nearest
from fer_core.faces.mtcnn import SEARCHES, Mtcnn, load

pytestmark = pytest.mark.usefixtures("one_thread")
MIRRORED = [1, 0, 2, 4, 3]  # a point's place when the picture is mirrored


@pytest.fixture(scope="module")
def detector() -> Detector:
    return DETECTORS["mtcnn"](None)


@pytest.fixture(scope="module")
def found(samples: list[Sample], detector: Detector) -> list[Faces | None]:
    return [find(detector, picture) for picture, _ in samples]


def assert_same(one: Faces, two: Faces, most: float) -> None:
    assert len(one) == len(two)
    np.testing.assert_allclose(one.points, two.points, rtol=0, atol=most)
    np.testing.assert_allclose(one.boxes, two.boxes, rtol=0, atol=most)
    np.testing.assert_allclose(one.scores, two.scores, rtol=0, atol=1e-4)


def test_points_lie_where_they_were_annotated(samples: list[Sample], found: list[Faces | None]) -> None:
    errors = [error(face, points) for face, (_, points) in zip(found, samples, strict=True) if face]
    assert len(errors) >= 0.9 * len(samples) >= 36
    assert np.median(errors) < 0.15
    assert np.percentile(errors, 95) < 0.4
    for face, (picture, points) in zip(found, samples, strict=True):
        if face is None:
            continue
        box, five = face.boxes[0], face.points[0]
        assert 0.5 < face.scores[0] <= 1
        assert (box[:2] < points.mean(0)).all() and (points.mean(0) < box[2:]).all()
        assert five[0, 0] < five[1, 0] and five[3, 0] < five[4, 0], "viewer's left first"
        assert five[:2, 1].mean() < five[3:, 1].mean(), "eyes above mouth"
        assert (five > -10).all() and (five[:, 0] < picture.shape[1] + 10).all()
        assert box.dtype == five.dtype == face.scores.dtype == np.float64


def test_points_follow_the_picture(samples: list[Sample], found: list[Faces | None], detector: Detector) -> None:
    """Mirrored, enlarged and moved: no shift of half a pixel, no swapped sides, no lost scale."""
    apart: dict[str, list[np.ndarray]] = {"mirrored": [], "enlarged": [], "moved": []}
    for face, (picture, points) in list(zip(found, samples, strict=True))[:16]:
        height, width = picture.shape[:2]
        room = cv2.copyMakeBorder(picture, 0, 0, 40, 0, cv2.BORDER_REPLICATE)
        twice = cv2.resize(picture, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
        changed = (("mirrored", picture[:, ::-1]), ("enlarged", twice), ("moved", room))
        for name, other in ((name, find(detector, p)) for name, p in changed):
            if not face or not other:
                continue
            five = other.points[0]
            back = {
                "mirrored": (np.array([width - 1, 0]) + five * [-1, 1])[MIRRORED],
                "enlarged": (five + 0.5) / 2 - 0.5,
                "moved": five - [40, 0],
            }[name]
            apart[name].append((back - face.points[0]) / np.linalg.norm(points[1] - points[0]))
    for name, limit in (("mirrored", 0.05), ("enlarged", 0.01), ("moved", 0.02)):
        assert len(apart[name]) >= 14
        assert np.abs(np.median(apart[name], axis=(0, 1))).max() < limit, name


def test_the_reference_finds_the_same(samples: list[Sample]) -> None:
    """facenet-pytorch's own loop on the same canvases; it squeezes faces at the edge, so not every one agrees."""
    from facenet_pytorch import MTCNN

    search = SEARCHES[0]
    theirs = MTCNN(min_face_size=search.smallest, keep_all=True)
    ours = load("cpu")
    apart, both = [], 0
    for picture, _ in samples[:24]:
        canvas = place(picture, search.canvas, search.border)
        _, _, expected = theirs.detect(canvas.pixels, landmarks=True)
        points = ours.faces([picture])[0].points
        both += (expected is None) == (len(points) == 0)
        if expected is not None and len(points):
            mine = (points[0] + 0.5) * canvas.scale - 0.5 + canvas.shift
            other = expected[0].astype(float)
            apart.append(np.linalg.norm(mine - other, axis=1).mean() / np.linalg.norm(other[1] - other[0]))
    assert both >= 22
    assert np.median(apart) < 0.05


def test_a_batch_gives_each_picture_its_own_faces(samples: list[Sample], detector: Detector) -> None:
    """Different sizes, grey beside colour, several faces, none, and faces that only the last search finds."""
    pictures = [picture for picture, _ in samples[:12]] + [tight(sample)[0] for sample in samples[:6]]
    pictures += [in_scene(sample)[0] for sample in samples[:4]] + list(ODD.values())
    two = in_scene(samples[0], 260, 400, 10, 20)[0]
    two[20 : 20 + samples[1][0].shape[0], 240 : 240 + samples[1][0].shape[1]] = samples[1][0]
    pictures.append(two)
    order = np.random.default_rng(0).permutation(len(pictures))
    together = detector([pictures[k] for k in order])
    counts = []
    for at, k in enumerate(order):
        (alone,) = detector([pictures[k]])
        assert_same(together[at], alone, 1e-3)
        counts.append(len(alone))
    assert counts.count(0) >= len(ODD), "some without"
    assert max(counts) >= 2, "one with several"
    assert sum(count > 0 for count in counts) >= 18


def test_a_batch_may_be_empty_or_longer_than_batch(samples: list[Sample], detector: Detector) -> None:
    assert detector([]) == []
    pictures = [samples[k % 3][0] for k in range(BATCH + 5)]
    for k, faces in enumerate(detector(pictures)):
        assert_same(faces, detector([samples[k % 3][0]])[0], 1e-3)


def test_later_searches_see_only_pictures_without_a_face(samples: list[Sample]) -> None:
    """The networks together get as many pictures as the searches have work for, not all of them three times."""
    networks = load("cpu")
    seen: list[tuple[int, int]] = []
    run = networks._run

    def spy(which: int, pictures: np.ndarray) -> list[np.ndarray]:
        if which == 0:
            seen.append((len(pictures), pictures.shape[1]))
        return run(which, pictures)

    networks._run = spy  # type: ignore[method-assign]
    assert all(len(faces) for faces in networks.faces([samples[0][0], samples[1][0]]))
    once = seen.copy()
    assert {count for count, _ in once} == {2}
    seen.clear()
    networks.faces([samples[0][0], ODD["blobs"], samples[1][0]])
    assert [count for count, _ in seen[: len(once)]] == [3] * len(once)
    assert {count for count, _ in seen[len(once) :]} == {1}
    assert max(side for _, side in seen) == round(512 * 12 / 20), "the last search was made"


def test_threads_do_not_disturb_each_other(samples: list[Sample], detector: Detector) -> None:
    parts = [[picture for picture, _ in samples[start : start + 4]] for start in range(0, 24, 4)]
    expected = [detector(part) for part in parts]
    with ThreadPoolExecutor(3) as pool:
        again = list(pool.map(detector, parts))
    for one, two in zip(expected, again, strict=True):
        for mine, other in zip(one, two, strict=True):
            np.testing.assert_array_equal(mine.points, other.points)
            np.testing.assert_array_equal(mine.scores, other.scores)


def test_grey_is_as_good_as_colour(samples: list[Sample], detector: Detector) -> None:
    errors = []
    for picture, points in samples[:16]:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        face, same = find(detector, grey[..., None]), find(detector, np.repeat(grey[..., None], 3, 2))
        assert (face is None) == (same is None)
        if face and same:
            np.testing.assert_array_equal(face.points, same.points)
            errors.append(error(face, points))
    assert len(errors) >= 14
    assert np.median(errors) < 0.15


def test_tight_crops_of_48_pixels(samples: list[Sample], detector: Detector) -> None:
    crops = [tight(sample) for sample in samples[:20]]
    pairs = [(find(detector, picture), points) for picture, points in crops]
    errors = [error(face, points) for face, points in pairs if face]
    assert len(errors) >= 16
    assert np.median(errors) < 0.2


def test_a_small_face_in_a_large_picture(samples: list[Sample], detector: Detector) -> None:
    """A face of a tenth of the picture's side: only the last way to look is fine enough."""
    scenes = [in_scene(sample) for sample in samples[:8]]
    pairs = [(find(detector, picture), points) for picture, points in scenes]
    errors = [error(face, points) for face, points in pairs if face]
    assert len(errors) >= 5
    assert np.median(errors) < 0.2
    first = Mtcnn(tuple(load("cpu")._networks), "cpu", SEARCHES[:1])  # type: ignore[arg-type]
    assert sum(len(faces) > 0 for faces in first.faces([picture for picture, _ in scenes])) < len(errors)


@pytest.mark.parametrize("name", ODD)
def test_no_face(name: str, detector: Detector) -> None:
    (faces,) = detector([ODD[name]])
    assert (faces.boxes.shape, faces.scores.shape, faces.points.shape) == ((0, 4), (0,), (0, 5, 2))


def test_the_large_central_face_or_the_annotated_one(samples: list[Sample], detector: Detector) -> None:
    sure = [s for s in samples[:10] if (face := find(detector, s[0])) and error(face, s[1]) < 0.15]
    assert len(sure) >= 4
    for (large, points), (small, aside) in zip(sure[:2], sure[2:4], strict=True):
        scene = backdrop(240, 400)
        big = cv2.resize(large, None, fx=1.6, fy=1.6, interpolation=cv2.INTER_CUBIC)
        big = big[: min(len(big), 230)]
        top, left = 5, 110
        scene[: small.shape[0], 400 - small.shape[1] :] = small
        scene[top : top + big.shape[0], left : left + big.shape[1]] = big
        face = find(detector, scene)
        assert face is not None
        assert error(face, (points + 0.5) * 1.6 - 0.5 + [left, top]) < 0.2
        (every,) = detector([scene])
        assert len(every) >= 2, "there was something to choose"
        annotated = aside + np.array([400 - small.shape[1], 0])
        fits = nearest(every, annotated)
        assert fits is not None
        assert np.linalg.norm(every.points[fits] - annotated, axis=1).mean() < 0.2 * np.linalg.norm(aside[1] - aside[0])
        assert nearest(every, np.concatenate([annotated.min(0), annotated.max(0)])) in (fits, None)


def test_without_the_package_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    with pytest.raises(
        ConfigError, match=r'facenet-pytorch, which is not installed; run `pip install -e "\.\[mtcnn\]"`'
    ):
        DETECTORS["mtcnn"](None)
