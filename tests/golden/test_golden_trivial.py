"""TrivialAugment: by hand, as naive loops, every operation at every strength against torchvision and Pillow."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from scipy import stats
from torchvision.transforms.v2 import TrivialAugmentWide
from torchvision.transforms.v2 import functional as vision

from fer_core.augment import trivial
from fer_core.augment.batch import Batch
from fer_core.augment.regions import TEMPLATE
from fer_core.augment.tones import TONES, posterize, sharpness, solarize

BINS = torch.arange(31)
# ours -> torchvision's name, whose table of magnitudes is the reference's
THEIRS = {
    "identity": "Identity",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
    "rotate": "Rotate",
    "brightness": "Brightness",
    "color": "Color",
    "contrast": "Contrast",
    "sharpness": "Sharpness",
    "posterize": "Posterize",
    "solarize": "Solarize",
    "autocontrast": "AutoContrast",
    "equalize": "Equalize",
}


def bytes_picture(channels, size=24, seed=0):
    """A picture of whole grey levels, not all of 0..255, as uint8 (C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(channels, size, size, generator=generator)
    ramp = torch.linspace(0.1, 0.8, size)[None, :, None] * torch.linspace(0.4, 1, channels)[:, None, None]
    return ((0.7 * ramp + 0.25 * noise) * 255).round().byte()


def ours(name, picture, sign=1, bins=BINS):
    count = len(bins)
    images = picture.float().div(255).repeat(count, 1, 1, 1)
    batch = Batch(images, torch.zeros(count, 5, 2), torch.zeros(count, 0))
    return trivial.apply(batch, [name] * count, bins, torch.full((count,), sign)).images


def theirs(name, picture, sign, index, interpolation="bilinear"):
    magnitudes, signed = TrivialAugmentWide._AUGMENTATION_SPACE[THEIRS[name]]
    values = magnitudes(31, *picture.shape[-2:])
    magnitude = 0.0 if values is None else float(values[index]) * (sign if signed else 1)
    reference = TrivialAugmentWide(interpolation=interpolation)
    return reference._apply_image_or_video_transform(
        picture, THEIRS[name], magnitude, interpolation=reference.interpolation, fill=reference._fill
    )


def test_the_set_is_torchvisions():
    assert set(trivial.OPERATIONS) == set(THEIRS)
    assert set(THEIRS.values()) == set(TrivialAugmentWide._AUGMENTATION_SPACE)


# --- tones ---------------------------------------------------------------------------------------------------------


def test_tones_by_hand():
    levels = torch.tensor([0.0, 51.0, 128.0, 183.0, 255.0]).div(255).reshape(1, 1, 1, 5)
    one, none, plus = torch.ones(1), torch.zeros(1), torch.ones(1)
    # 2 bits keep multiples of 64; 8 bits keep all
    assert posterize(levels, one, plus).mul(255).round().flatten().tolist() == [0, 0, 128, 128, 192]
    torch.testing.assert_close(posterize(levels, none, plus), levels)
    # strength 1/2 keeps 5 bits, multiples of 8
    assert posterize(levels, one / 2, plus).mul(255).round().flatten().tolist() == [0, 48, 128, 176, 248]
    # threshold 1 - 0.4 = 153/255
    assert solarize(levels, 0.4 * one, plus).mul(255).round().flatten().tolist() == [0, 51, 128, 72, 0]
    assert solarize(levels, none, plus).mul(255).round().flatten().tolist() == [0, 51, 128, 183, 0]
    dark = TONES["brightness"](levels, one, -plus)
    torch.testing.assert_close(dark, levels * 0.01)
    bright = TONES["brightness"](levels, one / 3, plus)  # times 1.33
    assert bright.mul(255).flatten().tolist() == pytest.approx([0, 67.83, 170.24, 243.39, 255], abs=0.01)
    flat = TONES["contrast"](levels, one, -plus)
    assert flat.mul(255).flatten().tolist() == pytest.approx([122.166, 122.676, 123.446, 123.996, 124.716], abs=0.01)
    two = torch.tensor([[[[0.2, 0.6, 0.4]]]])
    torch.testing.assert_close(TONES["autocontrast"](two, one, plus), torch.tensor([[[[0.0, 1.0, 0.5]]]]))
    # colour: luma of pure red is 0.2989; -0.99 leaves 1 % of the colour
    red = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
    assert TONES["color"](red, one, -plus).flatten().tolist() == pytest.approx([0.305911, 0.295911, 0.295911])


def test_sharpness_is_the_naive_loop():
    picture = bytes_picture(1, 7).float().div(255)
    for sign in (-1, 1):
        found = sharpness(picture[None], torch.tensor([0.6]), torch.tensor([sign]))[0, 0]
        factor = 1 + sign * 0.99 * 0.6
        for y in range(7):
            for x in range(7):
                dull = picture[0, y, x]
                if 0 < y < 6 and 0 < x < 6:
                    around = picture[0, y - 1 : y + 2, x - 1 : x + 2]
                    dull = (around.sum() + 4 * picture[0, y, x]) / 13
                expected = dull + factor * (picture[0, y, x] - dull)
                assert found[y, x].item() == pytest.approx(float(expected.clamp(0, 1)), abs=1e-6)


def test_equalize_is_the_naive_loop():
    picture = bytes_picture(1, 40)
    histogram = np.bincount(picture.flatten().numpy(), minlength=256)
    last = int(picture.max())
    step = (picture.numel() - histogram[last]) // 255
    assert step > 0
    table = [min((step // 2 + histogram[:level].sum()) // step, 255) for level in range(256)]
    expected = torch.tensor(table)[picture.long()]
    assert ours("equalize", picture, bins=BINS[:1])[0].mul(255).round().long().equal(expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", ["identity", *TONES])
def test_tones_equal_torchvisions(name, sign, channels):
    picture = bytes_picture(channels, 48 if name == "equalize" else 24)
    found = ours(name, picture, sign)
    changed = 0
    for index in range(31):
        integer = theirs(name, picture, sign, index).float().div(255)
        changed += not torch.equal(integer, picture.float().div(255))
        if name in ("posterize", "solarize", "equalize", "identity"):
            same = (found[index] - integer).abs() < 1e-5
            if name == "solarize":  # where a level is the threshold itself, theirs is a matter of rounding
                same |= 30 * picture.int() == 255 * (30 - index)
            assert same.all(), index
        else:
            floating = theirs(name, picture.float().div(255), sign, index)
            torch.testing.assert_close(found[index], floating, atol=2e-6, rtol=0)
            # the integer version cuts fractions off, for contrast those of the grey picture as well
            assert (found[index] - integer).abs().max() <= 2.01 / 255
    still = name == "identity" or (name == "color" and channels == 1)
    assert changed == 0 if still else changed >= 15, "a picture that does not change proves nothing"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_autocontrast_and_equalize_equal_pillows(mode):
    picture = bytes_picture(1 if mode == "L" else 3, 48)
    array = picture.permute(1, 2, 0).numpy()
    image = Image.fromarray(array[..., 0] if mode == "L" else array)
    for name, reference in (("autocontrast", ImageOps.autocontrast), ("equalize", ImageOps.equalize)):
        expected = torch.from_numpy(np.array(reference(image))).reshape(48, 48, -1).permute(2, 0, 1)
        found = ours(name, picture, bins=BINS[:1])[0].mul(255)
        assert (found - expected).abs().max() < (1.001 if name == "autocontrast" else 0.01)  # Pillow cuts fractions off


# --- moves ---------------------------------------------------------------------------------------------------------


def move(name, picture, index, sign, points=None):
    points = torch.zeros(1, 5, 2) if points is None else points
    batch = Batch(picture[None], points, torch.zeros(1, 0))
    return trivial.apply(batch, [name], torch.tensor([index]), torch.tensor([sign]))


def test_translation_by_hand():
    picture = torch.arange(6.0).div(10).expand(1, 6, 6)
    # 3/30 of 32 pixels is 3.2, cut to 3; the border is repeated
    assert move("translate_x", picture, 3, 1).images[0, 0, 0].tolist() == pytest.approx([0, 0, 0, 0, 0.1, 0.2])
    assert move("translate_x", picture, 3, -1).images[0, 0, 0].tolist() == pytest.approx([0.3, 0.4, 0.5, 0.5, 0.5, 0.5])
    torch.testing.assert_close(move("translate_y", picture, 3, 1).images[0], picture)
    down = move("translate_y", picture.mT.contiguous(), 3, 1).images[0, 0]
    assert down[:, 0].tolist() == pytest.approx([0, 0, 0, 0, 0.1, 0.2])
    assert move("translate_x", picture, 30, 1, torch.ones(1, 5, 2)).landmarks.tolist() == [[[33.0, 1.0]] * 5]


def test_points_by_hand():
    points = torch.tensor([[[2.0, 1.0]] * 5])
    flat = torch.zeros(1, 5, 7)
    # (2, 1) lies 2.5 right of and 1.5 below the picture's corner (-0.5, -0.5); level 0.495
    sheared = move("shear_x", flat, 15, 1, points).landmarks[0, 0]
    assert sheared.tolist() == pytest.approx([2 - 0.495 * 1.5, 1])
    assert move("shear_y", flat, 15, 1, points).landmarks[0, 0].tolist() == pytest.approx([2, 1 - 0.495 * 2.5])
    # 90 degrees counter-clockwise about (3, 2): one left and one up becomes one left and one down
    assert move("rotate", flat, 20, 1, points).landmarks[0, 0].tolist() == pytest.approx([2, 3], abs=1e-5)


@pytest.mark.parametrize("size", [(40, 40), (36, 48)])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", trivial.MOVES)
def test_moves_equal_torchvisions_where_the_picture_is(name, sign, size):
    y, x = torch.meshgrid(torch.linspace(0, 3, size[0]), torch.linspace(0, 4, size[1]), indexing="ij")
    picture = torch.stack([(torch.sin(x + k) * torch.cos(y + k) + 1) / 2 for k in range(3)])
    # not 15 of 30: half of 32 pixels is 15.999998 in their table, and cut to 15
    for index in (0, 1, 7, 14, 16, 22, 30):
        found = move(name, picture, index, sign).images[0]
        reference = theirs(name, picture, sign, index)
        inside = theirs(name, torch.ones_like(picture), sign, index) > 0.9999  # theirs fills with black
        if index < 20 or name == "rotate":
            assert inside.float().mean() > 0.2
        torch.testing.assert_close(found[inside], reference[inside], atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", trivial.MOVES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_landmarks_move_along(name, sign):
    size = 64
    points = torch.tensor([[[25.0, 24.0], [38.0, 25.0], [31.0, 31.0], [27.0, 38.0], [36.0, 37.0]]])
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    for index in (4, 9):
        for i in range(5):
            spot = torch.exp(-((x - points[0, i, 0]) ** 2 + (y - points[0, i, 1]) ** 2) / 8.0)
            out = move(name, spot[None], index, sign, points)
            warped = out.images[0, 0]
            found = torch.stack([(warped * x).sum(), (warped * y).sum()]) / warped.sum()
            torch.testing.assert_close(found, out.landmarks[0, i], atol=0.1, rtol=0)
            assert (out.landmarks[0, i] - points[0, i]).norm() > 1 or (name, i) == ("rotate", 2)  # near the centre


# --- draws and degenerate inputs ------------------------------------------------------------------------------------


def test_draws_are_uniform_and_per_sample(monkeypatch):
    seen = []
    monkeypatch.setattr(trivial, "apply", lambda batch, *rest: seen.append(rest) or batch)
    count = 6000
    batch = Batch(torch.zeros(count, 1, 2, 2), torch.zeros(count, 5, 2), torch.zeros(count, 0))
    trivial.augment(batch, torch.Generator().manual_seed(0))
    names, magnitude, sign = seen[0]
    for values, levels in ((names, 14), (magnitude.tolist(), 31), (sign.tolist(), 2)):
        _, counts = np.unique(values, return_counts=True)
        assert len(counts) == levels
        assert stats.chisquare(counts).pvalue > 0.001
    assert set(magnitude.tolist()) == set(range(31)) and set(sign.tolist()) == {-1, 1}
    table = np.zeros((14, 31))
    for name, index in zip(names, magnitude.tolist(), strict=True):
        table[trivial.OPERATIONS.index(name), index] += 1
    assert stats.chi2_contingency(table).pvalue > 0.001, "strength does not depend on the operation"


def test_a_batch_is_its_samples_one_by_one():
    names = list(trivial.OPERATIONS) * 2
    count = len(names)
    generator = torch.Generator().manual_seed(2)
    images = (torch.rand(count, 3, 20, 20, generator=generator) * 255).round().div(255)
    points = (torch.tensor(TEMPLATE) * 20).repeat(count, 1, 1)
    magnitude = torch.randint(31, (count,), generator=generator)
    sign = torch.tensor([1] * 14 + [-1] * 14)
    before = images.clone(), points.clone()
    together = trivial.apply(Batch(images, points, torch.zeros(count, 0)), names, magnitude, sign)
    assert images.equal(before[0]) and points.equal(before[1])
    for i, name in enumerate(names):
        one = Batch(images[i : i + 1], points[i : i + 1], torch.zeros(1, 0))
        alone = trivial.apply(one, [name], magnitude[i : i + 1], sign[i : i + 1])
        torch.testing.assert_close(together.images[i], alone.images[0])
        torch.testing.assert_close(together.landmarks[i], alone.landmarks[0])
        if name not in trivial.MOVES:
            assert together.landmarks[i].equal(points[i])
        if name == "identity":
            assert together.images[i].equal(images[i])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_flat_and_tiny_pictures_stay_in_range(channels, size, level):
    count = len(trivial.OPERATIONS)
    images = torch.full((count, channels, size, size), level)
    points = torch.full((count, 5, 2), math.nan)
    for sign in (-1, 1):
        batch = Batch(images, points, torch.zeros(count, 0))
        out = trivial.apply(batch, list(trivial.OPERATIONS), torch.full((count,), 30), torch.full((count,), sign))
        assert out.images.isfinite().all() and out.images.min() >= 0 and out.images.max() <= 1
        assert out.landmarks.isnan().all()
        for name, image in zip(trivial.OPERATIONS, out.images, strict=True):
            if name not in ("brightness", "posterize", "solarize"):
                torch.testing.assert_close(image, images[0], atol=2e-4, rtol=0)  # luma's weights sum to 0.9999


def test_grey_and_colour_agree_on_grey_pictures():
    grey = bytes_picture(1)
    for name in trivial.OPERATIONS:
        alone, three = ours(name, grey, bins=BINS[::6]), ours(name, grey.expand(3, -1, -1), bins=BINS[::6])
        # the three weights of brightness sum to 0.9999
        torch.testing.assert_close(three, alone.expand(-1, 3, -1, -1), atol=2e-4, rtol=0)


def test_same_functions_of_the_library_are_what_is_compared():
    """The reference's table calls the public functions, so a change of theirs would be seen here."""
    picture = bytes_picture(3)
    assert theirs("posterize", picture, 1, 30).equal(vision.posterize(picture, 2))
    assert theirs("rotate", picture, 1, 20).equal(vision.rotate(picture, 90.0))
