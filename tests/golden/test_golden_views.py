"""Views of a face against torchvision, and their weights against naive loops and scipy; nothing leaks into a fold."""

import math

import numpy as np
import pytest
import torch
from ensemble_members import made_members
from scipy.optimize import minimize
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from fer_core.ensemble import METHODS, fit
from fer_core.ensemble.combiner import stratified_folds
from fer_core.errors import ConfigError, DataError
from fer_core.tta import CROP, VIEWS, make_views, view_names
from fer_core.views import WEIGHTINGS, join_views

KINDS = {"flip": "flip", "rotate": "angle", "bright": "brightness", "dark": "brightness", "large": "scale"}


def smooth(size=40, channels=3, count=2):
    coarse = torch.rand(count, channels, 6, 6, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


def view(images, name):
    return make_views(images, ["identity", name])[1]


# --- views ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, one in VIEWS.items() if one.crop is None])
def test_a_view_without_a_crop_equals_torchvisions(name):
    images, one = smooth(), VIEWS[name]
    expected = vision.hflip(images) if one.flip else images
    expected = vision.affine(
        expected, one.angle, [0, 0], one.scale, [0, 0], interpolation=InterpolationMode.BILINEAR, fill=0.0
    )
    expected = vision.adjust_brightness(expected, one.brightness)
    ours = view(images, name)
    # torchvision fills what comes from outside with black and we repeat the border: compared is what comes from inside
    edge = math.ceil(40 / 2 * (1 / min(one.scale, 1) - 1 + math.sin(math.radians(abs(one.angle))))) + 1
    inside = (..., slice(edge, 40 - edge), slice(edge, 40 - edge))
    torch.testing.assert_close(ours[inside], expected[inside], atol=1e-4, rtol=0)


CORNERS = {"top_left": (0, 0), "top_right": (0, 4), "bottom_left": (4, 0), "bottom_right": (4, 4), "centre": (2, 2)}


@pytest.mark.parametrize(("corner", "place"), CORNERS.items())
def test_a_crop_equals_torchvisions_resized_crop(corner, place):
    images = smooth()  # 36 px of 40 are 90 %, so the window stands on whole pixels
    expected = vision.resized_crop(images, *place, 36, 36, [40, 40], InterpolationMode.BILINEAR, antialias=False)
    ours = view(images, f"crop_{corner}")
    # at the window's edge a pixel looks half a pixel beyond it: torchvision repeats the last, we see the picture
    torch.testing.assert_close(ours[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours, expected, atol=0.02, rtol=0)


@pytest.mark.parametrize(("corner", "place"), CORNERS.items())
def test_a_crop_as_a_naive_bilinear_loop(corner, place):
    images, side = smooth(20, 1, 1), 20
    ours, picture = view(images, f"crop_{corner}")[0, 0], images[0, 0].numpy()
    top, left = place[0] / 2, place[1] / 2  # of 20 px, of which 18 are shown
    for row in range(side):
        for column in range(side):
            y, x = top + (row + 0.5) * CROP - 0.5, left + (column + 0.5) * CROP - 0.5
            y, x = min(max(y, 0), side - 1), min(max(x, 0), side - 1)
            r, c = min(int(y), side - 2), min(int(x), side - 2)
            dy, dx = y - r, x - c
            expected = (1 - dy) * ((1 - dx) * picture[r, c] + dx * picture[r, c + 1]) + dy * (
                (1 - dx) * picture[r + 1, c] + dx * picture[r + 1, c + 1]
            )
            assert ours[row, column].item() == pytest.approx(expected, abs=1e-5)


def test_a_crop_by_hand_moves_a_mark_at_the_corner():
    image = torch.zeros(1, 1, 40, 40)
    image[0, 0, 2, 3] = 1  # its centre is 3.5 px from the left, 3.9 after enlarging to 10/9
    found = view(image, "crop_top_left")[0, 0]
    y, x = torch.meshgrid(torch.arange(40.0) + 0.5, torch.arange(40.0) + 0.5, indexing="ij")
    assert ((found * x).sum() / found.sum()).item() == pytest.approx(3.5 / 0.9, abs=0.1)
    assert ((found * y).sum() / found.sum()).item() == pytest.approx(2.5 / 0.9, abs=0.1)
    assert view(image, "crop_bottom_right").sum() == 0, "it lies outside that window"


@pytest.mark.parametrize("count", range(6, 11))
def test_from_six_views_on_there_is_one_of_each_kind(count):
    found = [VIEWS[name] for name in view_names(count)]
    assert any(one.flip for one in found) and any(one.angle for one in found) and any(one.crop for one in found)
    assert any(one.scale != 1 for one in found) and any(one.brightness != 1 for one in found)


def test_the_ten_views_come_in_pairs_without_a_bias():
    found = [VIEWS[name] for name in view_names(10)]
    assert sum(one.angle for one in found) == 0
    assert sum(one.scale - 1 for one in found) == pytest.approx(0)
    assert sum(one.brightness - 1 for one in found) == pytest.approx(0)
    assert [sum(one.crop[axis] for one in found if one.crop) for axis in (0, 1)] == [0, 0]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["identity", "flip", "flip", "darker", "larger"], "each view once"),
        (["flip", "identity", "brighter", "darker", "larger"], "first view to be 'identity'"),
        (["identity", "flip", "brighter", "darker", "crop_center"], "Did you mean 'crop_centre'"),
        (["identity", "flip", "brighter", "darker"], "between 5 and 10 views"),
        (list(VIEWS), "between 5 and 10 views"),
    ],
)
def test_names_that_do_not_fit_are_refused(names, words):
    with pytest.raises(ConfigError, match=words):
        view_names(names)


# --- weights -------------------------------------------------------------------------------------------------------


def made_views(members=2, samples=120, skill=(2.0, 1.6, 1.2, 0.0), seed=0):
    """(M, V, N, K) log-probabilities on validation and test, and the labels."""
    labels = made_members(samples, seed=seed)[1]
    both = []
    for part in (0, 100):
        found = []
        for member in range(members):
            generator = np.random.default_rng([seed, part, member])
            logits = generator.normal(size=(len(skill), samples, 4))
            logits[:, np.arange(samples), labels] += np.array(skill)[:, None]
            found.append(logits - np.log(np.exp(logits).sum(axis=2, keepdims=True)))
        both.append(np.stack(found))
    return both[0], both[1], labels


def test_equal_weights_by_a_naive_loop_over_members_views_and_faces():
    validation, test, labels = made_views()
    found = join_views(validation, test, labels, "mean", "mean", seed=0, folds=5)
    for logs, joined in ((validation, found.validation), (test, found.test)):
        for i in range(0, 120, 7):
            for k in range(4):
                expected = sum(math.exp(logs[m, v, i, k]) for m in range(2) for v in range(4)) / 8
                assert joined[i, k] == pytest.approx(math.log(expected))
    assert found.weights.tolist() == [[0.25] * 4] * 2


def test_joined_views_by_hand():
    validation = np.log(np.array([[[[0.8, 0.2], [0.3, 0.7]], [[0.4, 0.6], [0.1, 0.9]]]]))  # one member, two views
    found = join_views(validation, validation, np.array([0, 1]), "mean", "single", seed=0, folds=2)
    np.testing.assert_allclose(np.exp(found.test), [[0.6, 0.4], [0.2, 0.8]])
    np.testing.assert_allclose(found.validation, found.test)


def test_it_stays_finite_where_probabilities_underflow():
    sure = np.zeros((1, 2, 4, 2))
    sure[..., 1] = -2000
    found = join_views(sure, sure, np.array([0, 0, 1, 0]), "learned", "single", seed=0, folds=2)
    assert np.isfinite(found.validation).all() and found.test.argmax(axis=1).tolist() == [0, 0, 0, 0]


def test_learned_weights_equal_scipys_optimum_on_the_simplex():
    validation, test, labels = made_views()
    found = join_views(validation, test, labels, "learned", "mean", seed=0, folds=5)
    for member, weights in zip(validation, found.weights, strict=True):
        true = np.exp(member[:, np.arange(120), labels])
        reference = minimize(
            lambda w, true=true: -np.log(w @ true).mean(),
            np.full(4, 1 / 4),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-12},
        )
        np.testing.assert_allclose(weights, reference.x, atol=3e-3)
        assert weights.sum() == pytest.approx(1) and (weights >= 0).all()


def test_a_useless_view_weighs_nothing_and_is_not_missed():
    validation, test, labels = made_views(1, 400, skill=(2.0, 2.0, 2.0, 0.0))
    validation[:, 3] = np.log(np.random.default_rng(3).dirichlet(np.ones(4), size=(1, 400)))
    found = join_views(validation, test, labels, "learned", "single", seed=0, folds=5)
    assert found.weights[0, 3] < 0.01 and found.weights[0, :3].min() > 0.1
    plain = join_views(validation, test, labels, "mean", "single", seed=0, folds=5)
    rows = np.arange(400)
    assert found.validation[rows, labels].mean() > plain.validation[rows, labels].mean()


def test_one_view_is_left_as_it_is():
    validation, test, labels = made_views(1)
    for weighting in WEIGHTINGS:
        found = join_views(validation[:, :1], test[:, :1], labels, weighting, "single", seed=0, folds=5)
        np.testing.assert_allclose(found.validation, validation[0, 0])
        np.testing.assert_allclose(found.test, test[0, 0])
        assert found.weights.tolist() == [[1.0]]


@pytest.mark.parametrize("method", METHODS)
def test_with_equal_weights_the_vote_is_the_stacks_own_on_the_means(method):
    validation, test, labels = made_views()
    found = join_views(validation, test, labels, "mean", method, seed=1, folds=4)
    means = np.log(np.exp(validation).mean(axis=1))
    fitted = fit(method, means, labels, folds=4, seed=1)
    np.testing.assert_allclose(found.validation, fitted.cross_fitted, atol=1e-6)
    np.testing.assert_allclose(found.test, fitted.predict(np.log(np.exp(test).mean(axis=1))), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_weights_and_vote_never_see_the_fold_that_they_predict(method):
    validation, test, labels = made_views()
    found = join_views(validation, test, labels, "learned", method, seed=3, folds=5)
    fold = stratified_folds(labels, 5, 3)
    for held in (0, 3):
        seen = fold != held
        weights = [WEIGHTINGS["learned"](member[:, seen], labels[seen], 3) for member in validation]
        joined = np.stack([one.predict(member) for one, member in zip(weights, validation, strict=True)])
        vote = METHODS[method](joined[:, seen], labels[seen], 3)
        np.testing.assert_allclose(found.validation[~seen], vote.predict(joined[:, ~seen]), atol=1e-12)


def test_what_does_not_fit_is_refused():
    validation, test, labels = made_views()
    settings = {"seed": 0, "folds": 5}
    with pytest.raises(ConfigError, match=r"`tta.weights` .*Did you mean 'learned'"):
        join_views(validation, test, labels, "learnt", "mean", **settings)
    with pytest.raises(ConfigError, match=r"`stack.method` .*Did you mean 'greedy'"):
        join_views(validation, test, labels, "mean", "greed", **settings)
    with pytest.raises(ConfigError, match="one member for the method 'single'; got 2"):
        join_views(validation, test, labels, "mean", "single", **settings)
    with pytest.raises(ConfigError, match=r"stack\.folds.*at least 2"):
        join_views(validation, test, labels, "mean", "mean", seed=0, folds=1)
    with pytest.raises(DataError, match="for 119"):
        join_views(validation, test, labels[:-1], "mean", "mean", **settings)
    with pytest.raises(DataError, match=r"members, views and classes of \(2, 4, 120, 4\) on test; got \(2, 3,"):
        join_views(validation, test[:, :3], labels, "mean", "mean", **settings)
