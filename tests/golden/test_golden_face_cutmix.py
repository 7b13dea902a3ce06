"""Face CutMix: by hand, as a naive loop with OpenCV's warp; halves fit their faces, AUs go region by region."""

import math

import cv2
import numpy as np
import pytest
import torch

from fer_core.augment import face_cutmix
from fer_core.augment.face_cutmix import owners, part_masks, similarities
from fer_core.augment.mixing import mix
from fer_core.augment.regions import REGIONS, TEMPLATE
from fer_core.aus.vocabulary import RAFCE, column
from fer_core.errors import DataError
from fer_core.faces.similarity import similarity

NAMES = ("AU1", "AU6", "AU9", "AU12", "AU25", "AU99")
UPPER, LOWER, WHOLE = 0, 1, 2
# eyes 20 apart at y = 24.5, the mouth 20 below; no pixel's centre lies on an edge of a half
UPRIGHT = torch.tensor([[[22.0, 24.0], [42.0, 24.0], [32.0, 33.0], [25.0, 44.0], [39.0, 44.0]]]) + 0.5


def run(images, targets, aus, landmarks=None, names=NAMES, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return mix("face_cutmix", images, targets, aus, alpha=0.0, generator=generator, landmarks=landmarks, au_names=names)


def fix(monkeypatch, partner, part):
    """Decide what is otherwise drawn."""
    monkeypatch.setattr(face_cutmix, "partners", lambda *_: torch.tensor(partner))
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor(part))


def turned(points, degrees, scale=1.0, shift=(0.0, 0.0), centre=31.5):
    angle = math.radians(degrees)
    turn = scale * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (points - centre) @ turn.T + centre + torch.tensor(shift)


def spots(points, size=64):
    """A picture that is white around each point."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    marks = [torch.exp(-((x - px) ** 2 + (y - py) ** 2) / 4) for px, py in points.tolist()]
    return torch.stack(marks).sum(dim=0)[None]


def test_two_samples_by_hand(monkeypatch):
    fix(monkeypatch, [1, 0], [UPPER, LOWER])
    images = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 64, 64)
    nan = math.nan
    aus = torch.tensor([[1.0, 1.0, 1.0, 1.0, nan, 1.0], [0.0, 1.0, 0.0, nan, 0.0, 1.0]])
    mixed, targets, units = run(images, torch.eye(2), aus, UPRIGHT.repeat(2, 1, 1))
    # in face coordinates 20 pixels are 1 from (32.5, 24.5): x to 23 on either side, y from 16 above to 6 below
    upper = torch.zeros(64, 64)
    upper[9:31, 10:56] = 1
    assert mixed[0, 0].equal(upper)
    lower = torch.ones(64, 64)
    lower[31:65, 10:56] = 0
    assert mixed[1, 0].equal(lower)
    share = 22 * 46 / 4096, 33 * 46 / 4096
    assert targets.flatten().tolist() == pytest.approx([1 - share[0], share[0], share[1], 1 - share[1]])
    #                         AU1 is brows, AU6 and AU9 are cut, AU12 and AU25 are below, AU99 is nobody knows where
    expected = torch.tensor([[0.0, nan, nan, 1.0, nan, nan], [0.0, nan, nan, 1.0, nan, nan]])
    torch.testing.assert_close(units, expected, equal_nan=True)


def test_owners_by_hand():
    assert owners(("AU1", "AU43", "AU12", "AU17", "AU12L", "AU4R")).tolist() == [[1, 1, 0, 0, 0, 1], [0, 0, 1, 1, 1, 0]]
    assert owners(("AU6", "AU9", "AU10", "AU38", "AU99")).isnan().all()
    assert owners(()).shape == (2, 0)


def test_every_unit_is_one_halfs_or_nobodys():
    found = owners(tuple(column(number) for number in RAFCE))
    known = ~found.isnan()
    assert known.all(dim=0).sum() == 19  # all but AU6, AU9 and AU10
    assert known[0].equal(known[1])
    assert (found[0] + found[1])[known[0]].eq(1).all(), "what is not the partner's is the sample's own"


def test_owners_are_who_has_the_pixels():
    """The naive count: draw the halves and regions of an upright face finely, and count."""
    points = UPRIGHT * 10
    masks = part_masks(points.repeat(2, 1, 1), torch.tensor([0, 1]), (800, 640))
    for i, part in enumerate(face_cutmix.PARTS):
        for x0, x1, y0, y1 in REGIONS.values():
            inside = masks[
                i, round(245 + 200 * y0) : round(245 + 200 * y1), round(325 + 200 * x0) : round(325 + 200 * x1)
            ]
            box = face_cutmix._covered((x0, x1, y0, y1), face_cutmix.PARTS[part])
            assert inside.mean().item() == pytest.approx(box, abs=0.02)


@pytest.mark.parametrize("degrees", [0, 20, -35, 135])
def test_halves_meet_without_gap_or_overlap(degrees):
    points = turned(UPRIGHT, degrees).repeat(2, 1, 1)
    masks = part_masks(points, torch.tensor([0, 1]), (64, 64))
    assert (masks.sum(dim=0) <= 1).all()
    assert all(mask.sum() > 300 for mask in masks)
    whole = masks.sum(dim=0).numpy().astype(np.uint8)
    closed = cv2.morphologyEx(np.pad(whole, 3), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))[3:-3, 3:-3]
    assert (closed - whole).sum() <= 12  # only along the ragged outer edge
    for index, inside in ((0, (1, 0)), (1, (1, 0)), (2, (0, 1)), (3, (0, 1)), (4, (0, 1))):
        x, y = points[0, index].round().long()
        assert tuple(masks[:, y, x].tolist()) == inside


def test_naive_loop_with_opencvs_warp(monkeypatch):
    fix(monkeypatch, [1, 2, 0], [UPPER, LOWER, WHOLE])
    y, x = torch.meshgrid(torch.linspace(0, 3, 64), torch.linspace(0, 4, 64), indexing="ij")
    images = torch.stack([torch.stack([(torch.sin(x + k) * torch.cos(y * k) + 1) / 2] * 3) for k in range(1, 4)])
    base = UPRIGHT[0]
    landmarks = torch.stack([base, turned(base, 12, 1.1, (2, -1)), turned(base, -8, 0.9, (-3, 2))])
    targets = torch.softmax(torch.arange(12.0).reshape(3, 4).sin(), dim=1)
    mixed, labels, _ = run(images, targets, torch.zeros(3, 0), landmarks, names=())
    for i, (partner, (top, bottom)) in enumerate([(1, (-0.8, 0.3)), (2, (0.3, 2.0))]):
        fit = similarity(landmarks[partner : partner + 1].numpy(), landmarks[i].numpy())[0]
        picture = images[partner].permute(1, 2, 0).numpy()
        laid = cv2.warpAffine(picture, fit, (64, 64), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        points = landmarks[i].double()
        origin, mouth = points[:2].mean(dim=0), points[3:].mean(dim=0)
        across, down = points[1] - points[0], mouth - origin
        axes = np.linalg.inv(torch.stack([across, down], dim=1).numpy())
        expected, pasted = images[i].permute(1, 2, 0).numpy().copy(), 0
        for row in range(64):
            for col in range(64):
                a, b = axes @ (np.array([col, row]) - origin.numpy())
                if -1.15 <= a <= 1.15 and top <= b < bottom:
                    expected[row, col] = laid[row, col]
                    pasted += 1
        torch.testing.assert_close(mixed[i].permute(1, 2, 0), torch.from_numpy(expected), atol=0.005, rtol=0)
        share = pasted / 4096
        torch.testing.assert_close(labels[i], (1 - share) * targets[i] + share * targets[partner])
    assert mixed[2].equal(images[2]) and labels[2].equal(targets[2])


@pytest.mark.parametrize("part", [UPPER, LOWER])
@pytest.mark.parametrize("degrees", [-25, 10])
def test_the_partners_points_come_to_lie_on_the_samples_own(monkeypatch, part, degrees):
    fix(monkeypatch, [1, 0], [part, WHOLE])
    own, other = turned(UPRIGHT[0], 6, 1.05), turned(UPRIGHT[0], degrees, 0.85, (4, -3))
    images = torch.stack([torch.zeros(1, 64, 64), spots(other)])
    mixed, _, _ = run(images, torch.eye(2), torch.zeros(2, 0), torch.stack([own, other]), names=())
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    for index in range(5):
        near = ((x - own[index, 0]) ** 2 + (y - own[index, 1]) ** 2) < 16
        seen = mixed[0, 0] * near
        is_pasted = (index < 2) if part == UPPER else (index > 2)
        if index == 2:  # the nose tip lies close to the cut
            continue
        if is_pasted:
            found = torch.stack([(seen * x).sum(), (seen * y).sum()]) / seen.sum()
            torch.testing.assert_close(found, own[index], atol=0.3, rtol=0)
        else:
            assert seen.max() < 0.05


def test_similarity_is_least_squares():
    generator = torch.Generator().manual_seed(0)
    base = torch.tensor(TEMPLATE) * 64
    source = base + torch.randn(20, 5, 2, generator=generator) * 2
    target = turned(base, 15, 1.1) + torch.randn(20, 5, 2, generator=generator) * 2
    linear, shift, fits = similarities(source, target, (64, 64))
    assert fits.all()
    centre = torch.tensor([31.5, 31.5])
    offset = centre + shift - (linear @ centre)
    reference = similarity(source.numpy(), target.numpy())
    torch.testing.assert_close(linear.double(), torch.from_numpy(reference[..., :2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(offset.double(), torch.from_numpy(reference[..., 2]), atol=1e-3, rtol=0)
    for i in range(20):  # the naive system: x' = c x - s y + u, y' = s x + c y + v
        rows, right = [], []
        for (x, y), (u, v) in zip(source[i].tolist(), target[i].tolist(), strict=True):
            rows += [[x, -y, 1, 0], [y, x, 0, 1]]
            right += [u, v]
        cos, sin, u, v = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
        assert linear[i].flatten().tolist() == pytest.approx([cos, -sin, sin, cos], abs=1e-4)
        assert offset[i].tolist() == pytest.approx([u, v], abs=1e-2)


def test_half_of_the_samples_stay_whole_to_the_bit():
    count = 800
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 1, 16, 16, generator=generator)
    targets = torch.eye(count)
    aus = (torch.rand(count, 6, generator=generator) > 0.5).float()
    mixed, labels, units = run(images, targets, aus)
    whole = labels.diagonal() == 1
    assert 0.45 < whole.float().mean() < 0.55
    assert mixed[whole].equal(images[whole]) and units[whole].equal(aus[whole])
    cut = units[~whole].isnan()
    assert cut[:, [1, 2, 5]].all() and not cut[:, [0, 3, 4]].any()
    shares = labels[~whole].amax(dim=1)
    assert len(shares.unique()) == 2, "upper and lower halves of the template"
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(count))
    partner = labels.clone().fill_diagonal_(0).argmax(dim=1)[~whole]
    for column_of in (0, 3, 4):
        own, other = aus[~whole, column_of], aus[partner, column_of]
        found = units[~whole, column_of]
        assert ((found == own) | (found == other)).all()
        assert (found != own).any() and (found != other).any()


def test_labels_and_intensities_of_one_unit_go_the_same_way(monkeypatch):
    fix(monkeypatch, [1, 0], [UPPER, LOWER])
    aus = torch.tensor([[1.0, 0.0, 4.0, 0.0], [0.0, 1.0, 0.0, 3.0]])
    _, _, units = run(torch.zeros(2, 1, 64, 64), torch.eye(2), aus, UPRIGHT.repeat(2, 1, 1), ("AU1", "AU25") * 2)
    assert units.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]
    fix(monkeypatch, [1, 0], [LOWER, UPPER])
    _, _, units = run(torch.zeros(2, 1, 64, 64), torch.eye(2), aus, UPRIGHT.repeat(2, 1, 1), ("AU1", "AU25") * 2)
    assert units.tolist() == [[1, 1, 4, 3], [1, 1, 4, 3]]


def degenerate(case):
    points = UPRIGHT.repeat(2, 1, 1).clone()
    if case == "one point":
        points[1] = 30.0
    elif case == "a line":
        points[1] = torch.arange(5.0)[:, None] * torch.tensor([8.0, 4.0])
    elif case == "tiny":
        points[1] = (points[1] - 30) * 0.3 + 30
    return points


@pytest.mark.parametrize("case", ["one point", "a line", "tiny"])
def test_faces_that_do_not_fit_stay_as_they_are(monkeypatch, case):
    fix(monkeypatch, [1, 0], [UPPER, LOWER])
    images, aus = torch.rand(2, 1, 64, 64), torch.ones(2, 6)
    mixed, targets, units = run(images, torch.eye(2), aus, degenerate(case))
    assert mixed.equal(images) and targets.equal(torch.eye(2)) and units.equal(aus)


def test_unknown_landmarks_use_the_template(monkeypatch):
    fix(monkeypatch, [1, 0], [UPPER, LOWER])
    images = torch.rand(2, 3, 32, 32)
    template = (torch.tensor(TEMPLATE) * 32 - 0.5).repeat(2, 1, 1)
    half_known = template.clone()
    half_known[0, 3] = math.nan
    reference = run(images, torch.eye(2), torch.ones(2, 6), template)
    for landmarks in (None, torch.full((2, 5, 2), math.nan), half_known):
        for found, expected in zip(run(images, torch.eye(2), torch.ones(2, 6), landmarks), reference, strict=True):
            torch.testing.assert_close(found, expected, equal_nan=True)
    assert not reference[0].equal(images)


def test_one_sample_all_unannotated_and_half_precision(monkeypatch):
    one = run(torch.rand(1, 1, 8, 8), torch.ones(1, 1), torch.ones(1, 6))
    assert one[1].tolist() == [[1]] and one[2].tolist() == [[1] * 6]
    fix(monkeypatch, [1, 0], [UPPER, LOWER])
    images = torch.rand(2, 1, 64, 64)
    nothing = torch.full((2, 6), math.nan)
    for kind in (torch.bfloat16, torch.float16):
        mixed, labels, units = run(images.to(kind), torch.eye(2), nothing, UPRIGHT.repeat(2, 1, 1))
        assert mixed.dtype == kind and mixed.isfinite().all()
        assert labels.isfinite().all() and units.isnan().all()


def test_inputs_stay_and_names_are_asked_for():
    images, targets, aus = torch.rand(6, 1, 32, 32), torch.eye(6), torch.ones(6, 6)
    before = images.clone(), targets.clone(), aus.clone()
    run(images, targets, aus)
    assert all(a.equal(b) for a, b in zip(before, (images, targets, aus), strict=True))
    with pytest.raises(DataError, match="name 6 AU columns; got 2"):
        run(images, targets, aus, names=("AU1", "AU2"))
