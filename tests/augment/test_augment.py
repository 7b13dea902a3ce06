import math

import pytest
import torch

from fer_core.augment import AUGMENTS, Batch, augment
from fer_core.augment.face_aware import occupied
from fer_core.augment.regions import (
    AU_REGIONS,
    REGIONS,
    TEMPLATE,
    box_masks,
    known_landmarks,
    protected_regions,
    region_boxes,
)
from fer_core.errors import ConfigError

NAMES = ("AU1", "AU2", "AU4", "AU5", "AU6", "AU9", "AU12", "AU17", "AU25")


def faces(count=6, channels=1, size=64, aus=None, names=NAMES, landmarks=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, channels, size, size, generator=generator)
    points = (torch.tensor(TEMPLATE) * size - 0.5).repeat(count, 1, 1)
    if not landmarks:
        points = torch.full_like(points, math.nan)
    return Batch(images, points, torch.zeros(count, len(names)) if aus is None else aus, names)


def run(name, batch, seed=0):
    return augment(name, batch, torch.Generator().manual_seed(seed))


def test_unknown_name():
    with pytest.raises(ConfigError, match="Did you mean 'face_aware'"):
        run("face_awere", faces())


@pytest.mark.parametrize("name", AUGMENTS)
@pytest.mark.parametrize(("count", "channels", "size"), [(1, 1, 48), (5, 3, 64), (0, 1, 64)])
@pytest.mark.parametrize("landmarks", [True, False])
def test_shape_range_and_purity(name, count, channels, size, landmarks):
    batch = faces(count, channels, size, landmarks=landmarks)
    before = batch.images.clone(), batch.landmarks.clone()
    out = run(name, batch)
    assert out.images.shape == batch.images.shape and out.images.dtype == torch.float32
    assert out.images.isfinite().all() and ((out.images >= 0) & (out.images <= 1)).all()
    assert out.landmarks.shape == batch.landmarks.shape
    assert out.landmarks.isnan().all(dim=(1, 2)).tolist() == [not landmarks] * count
    torch.testing.assert_close(out.aus, batch.aus, equal_nan=True)
    torch.testing.assert_close(batch.images, before[0], atol=0, rtol=0)
    torch.testing.assert_close(batch.landmarks, before[1], atol=0, rtol=0, equal_nan=True)


@pytest.mark.parametrize("name", ["generic", "face_aware"])
def test_one_seed_one_result_and_parameters_per_sample(name):
    batch = faces(8)
    same = Batch(batch.images[:1].repeat(8, 1, 1, 1), batch.landmarks, batch.aus, batch.au_names)
    out = run(name, same).images
    assert out.equal(run(name, same).images)
    assert not out.equal(run(name, same, seed=1).images)
    for i in range(8):
        for j in range(i):
            assert (out[i] - out[j]).abs().mean() > 0.01


def test_none_is_the_same_object():
    batch = faces()
    assert run("none", batch) is batch


def test_about_half_of_the_faces_are_mirrored():
    batch = faces(400, size=16)
    for name in ("generic", "face_aware"):
        out = run(name, batch)
        # a picture bright on its left half tells which way it looks
        ramp = torch.linspace(1, 0, 16).expand(400, 1, 16, 16)
        out = run(name, Batch(ramp, batch.landmarks, torch.ones(400, len(NAMES)), NAMES))
        mirrored = (out.images[..., :8].mean(dim=(1, 2, 3)) < out.images[..., 8:].mean(dim=(1, 2, 3))).float()
        assert 0.4 < mirrored.mean() < 0.6
        eyes = out.landmarks[:, 0, 0] < out.landmarks[:, 1, 0]
        assert eyes.all()  # viewer's left first, mirrored or not


def test_generic_changes_brightness_face_aware_moves_less():
    batch = faces(200)
    generic, careful = run("generic", batch), run("face_aware", batch)

    def distance(out):
        return (out.landmarks - batch.landmarks).norm(dim=-1).mean()

    assert distance(careful) < 0.7 * distance(generic)
    flat = Batch(torch.full_like(batch.images, 0.4), batch.landmarks, batch.aus, NAMES)
    levels = run("generic", flat).images.mean(dim=(1, 2, 3))
    assert 0.31 < levels.min() < 0.34 and 0.46 < levels.max() < 0.49


# --- regions ---------------------------------------------------------------------------------------------------


def region(name):
    return list(REGIONS).index(name)


def test_every_action_unit_lives_somewhere_and_every_region_is_known():
    assert {name for places in AU_REGIONS.values() for name in places} == set(REGIONS)
    for number in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27, 28, 43):
        assert AU_REGIONS[f"AU{number}"]


@pytest.mark.parametrize(
    ("active", "protected"),
    [
        ((), ()),
        (("AU1",), ("brows",)),
        (("AU12",), ("cheeks", "mouth")),
        (("AU6", "AU25"), ("eyes", "cheeks", "mouth")),
        (("AU9", "AU17"), ("nose", "cheeks", "mouth", "chin")),
    ],
)
def test_active_units_protect_their_regions(active, protected):
    aus = torch.tensor([[float(name in active) for name in NAMES]])
    found = protected_regions(aus, NAMES)[0]
    assert {name for name in REGIONS if found[region(name)]} == set(protected)


def test_unannotated_units_count_as_active():
    aus = torch.zeros(1, len(NAMES))
    aus[0, NAMES.index("AU1")] = math.nan
    found = protected_regions(aus, NAMES)[0]
    assert {name for name in REGIONS if found[region(name)]} == {"brows"}
    assert protected_regions(torch.full((2, len(NAMES)), math.nan), NAMES).all()


def test_without_au_labels_and_for_units_of_unknown_place_the_whole_face_is_protected():
    assert protected_regions(torch.zeros(2, 0), ()).tolist() == [[True] * len(REGIONS)] * 2
    names = ("AU99",)
    assert protected_regions(torch.ones(1, 1), names).all()
    assert not protected_regions(torch.zeros(1, 1), names).any()


def test_a_region_that_no_label_speaks_of_is_protected():
    found = protected_regions(torch.zeros(1, 1), ("AU1",))[0]
    assert found.tolist() == [name != "brows" for name in REGIONS]


def test_boxes_by_hand():
    # eyes 20 apart at y = 30, mouth 20 below them: eye distance 20 beats 0.7 · 20
    points = torch.tensor([[[40.0, 30.0], [60.0, 30.0], [50.0, 40.0], [43.0, 50.0], [57.0, 50.0]]])
    boxes = region_boxes(points)[0]
    assert boxes[region("mouth")].tolist() == pytest.approx([33.0, 67.0, 43.0, 59.0])
    assert boxes[region("brows")].tolist() == pytest.approx([29.0, 71.0, 14.0, 28.0])


def test_boxes_hold_the_landmarks_of_turned_and_tilted_faces():
    base = torch.tensor(TEMPLATE) * 64
    for angle in (-0.4, 0.0, 0.4):
        for narrow in (0.4, 1.0):
            turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
            points = ((base - 32) * torch.tensor([narrow, 1.0])) @ turn.T + 32
            boxes = region_boxes(points[None])[0]
            for point, name in [(0, "eyes"), (1, "eyes"), (2, "nose"), (3, "mouth"), (4, "mouth")]:
                x0, x1, y0, y1 = boxes[region(name)]
                assert x0 <= points[point, 0] <= x1 and y0 <= points[point, 1] <= y1


def test_masks_by_hand():
    boxes = torch.tensor([[[0.0, 1.0, 0.0, 0.0], [1.0, 2.0, 1.0, 1.5], [0.0, 9.0, 2.0, 9.0]]])
    mask = box_masks(boxes, torch.tensor([[True, True, False]]), (3, 4))
    assert mask[0].tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_template_stands_in_for_unknown_and_half_known_points():
    batch = faces(3, landmarks=False)
    half = batch.landmarks.clone()
    half[1] = torch.arange(10.0).reshape(5, 2)
    half[2, 0] = torch.tensor([3.0, 4.0])
    filled = known_landmarks(half, (64, 64))
    assert filled[1].equal(half[1])
    expected = torch.tensor(TEMPLATE) * 64 - 0.5
    torch.testing.assert_close(filled[0], expected)
    torch.testing.assert_close(filled[2], expected)


def test_degenerate_landmarks_stay_finite():
    batch = faces(2)
    batch = Batch(batch.images, torch.full_like(batch.landmarks, 5.0), batch.aus, NAMES)
    assert run("face_aware", batch).images.isfinite().all()


# --- face-aware painting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("landmarks", [True, False])
def test_protected_pixels_are_only_moved(monkeypatch, channels, landmarks):
    """Without the affine, protected pixels are untouched to the bit and most free ones are not."""
    from fer_core.augment import face_aware

    monkeypatch.setattr(
        face_aware, "warp", lambda batch, *_, **__: Batch(batch.images.clone(), batch.landmarks, batch.aus, NAMES)
    )
    aus = torch.zeros(40, len(NAMES))
    aus[:20, NAMES.index("AU12")] = 1
    aus[20:30, NAMES.index("AU4")] = math.nan
    batch = faces(40, channels, aus=aus, landmarks=landmarks)
    out = run("face_aware", batch).images
    known = Batch(batch.images, known_landmarks(batch.landmarks, (64, 64)), aus, NAMES)
    kept = occupied(known, (64, 64))[:, None].bool().expand_as(out)
    assert (out == batch.images)[kept].all()
    assert (out != batch.images)[~kept].float().mean() > 0.9
    assert not kept[30:].any()  # every AU annotated and absent: all is free
    mouth = known.landmarks[0, 3:].round().long()
    for x, y in mouth:
        assert kept[:20, 0, y, x].all() and not kept[20:30, 0, y, x].any()


def test_occlusion_and_noise_hit_about_as_often_as_asked():
    flat = faces(600, size=32)
    flat = Batch(torch.full_like(flat.images, 0.5), flat.landmarks, flat.aus, NAMES)
    out = run("face_aware", flat).images.flatten(1)
    painted = ((out.amax(dim=1) - out.amin(dim=1)) > 1e-4).float().mean()
    assert 0.70 < painted < 0.80  # 1 - 0.5 · 0.5


def test_warp_moves_the_protected_region_with_the_face():
    aus = torch.ones(64, len(NAMES))
    picture = torch.zeros(64, 1, 64, 64)
    points = faces(1).landmarks[0]
    for x, y in points.round().long():
        picture[:, 0, y - 1 : y + 2, x - 1 : x + 2] = 1
    out = run("face_aware", Batch(picture, points.repeat(64, 1, 1), aus, NAMES))
    for image, moved in zip(out.images[:, 0], out.landmarks, strict=True):
        for x, y in moved.round().long():
            assert image[y, x] > 0.5  # the marks are where the landmarks say, and nothing painted them over
