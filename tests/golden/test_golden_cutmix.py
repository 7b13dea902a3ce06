"""CutMix: boxes by hand and of timm, the whole as a naive loop; labels are the share of pixels really pasted."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from timm.data.mixup import cutmix_bbox_and_lam, mixup_target

from fer_core.augment import cutmix
from fer_core.augment.mixing import mix


def run(images, targets, aus, alpha=1.0, seed=0):
    return mix("cutmix", images, targets, aus, alpha=alpha, generator=torch.Generator().manual_seed(seed))


def draws(count, size, alpha, seed):
    """Repeat what the mix draws: shares, box centres and partners."""
    generator = torch.Generator().manual_seed(seed)
    draw = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    lam = draw.beta(alpha, alpha, count)
    rows, columns = draw.integers(size[0], size=count), draw.integers(size[1], size=count)
    return lam, rows, columns, torch.randperm(count, generator=generator)


def flat_case(count=8, height=10, width=14):
    """Picture i is white in channel i alone, so that a pixel tells whose it is."""
    eye = torch.eye(count)
    return eye[:, :, None, None].expand(count, count, height, width).clone(), eye, eye.clone()


def test_boxes_by_hand():
    lam = np.array([0.75, 0.75, 0.0, 1.0, 0.64, 0.75])
    rows, columns = np.array([4, 0, 4, 4, 7, 7]), np.array([6, 0, 5, 5, 9, 9])
    found = cutmix.cut_boxes(lam, rows, columns, (8, 10))
    assert found.tolist() == [
        [4, 9, 2, 6],  # half of 8 rows about row 4; half of 10 columns about column 6, the odd one to the right
        [0, 3, 0, 2],  # clipped at the corner
        [0, 10, 0, 8],  # all
        [5, 5, 4, 4],  # nothing
        [6, 10, 5, 8],  # 0.6 of 8 is cut to 4: from 5 to 9; 6 columns from 6 to 12: clipped
        [7, 10, 5, 8],
    ]


def test_two_samples_by_hand(monkeypatch):
    monkeypatch.setattr(cutmix, "cut_boxes", lambda *_: np.array([[1, 3, 0, 1], [0, 4, 0, 2]]))
    monkeypatch.setattr(cutmix, "partners", lambda *_: torch.tensor([1, 0]))
    images = torch.tensor([[1.0, 2, 3, 4, 5, 6, 7, 8], [10.0, 20, 30, 40, 50, 60, 70, 80]]).reshape(2, 1, 2, 4)
    mixed, targets, aus = run(images, torch.eye(2), torch.tensor([[1.0, 0.0, math.nan], [0.0, 0.0, 1.0]]))
    assert mixed[0, 0].tolist() == [[1, 20, 30, 4], [5, 6, 7, 8]]
    assert mixed[1, 0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert targets.tolist() == [[0.75, 0.25], [1, 0]]
    # all of the second was pasted over, so its AUs are the first's
    torch.testing.assert_close(aus, torch.tensor([[0.75, 0, math.nan], [1, 0, math.nan]]), equal_nan=True)


@pytest.mark.parametrize("size", [(32, 32), (20, 33)])
def test_boxes_and_shares_equal_timms(size):
    for seed in range(60):
        lam = np.random.default_rng(seed).beta(1, 1)
        np.random.seed(seed)  # noqa: NPY002 - timm draws from the global state
        (top, bottom, left, right), corrected = cutmix_bbox_and_lam((1, 3, *size), lam, correct_lam=True)
        np.random.seed(seed)  # noqa: NPY002 - timm draws from the global state
        row, column = np.random.randint(size[0]), np.random.randint(size[1])  # noqa: NPY002
        (found,) = cutmix.cut_boxes(np.array([lam]), np.array([row]), np.array([column]), size)
        assert found.tolist() == [left, right, top, bottom]
        area = (found[1] - found[0]) * (found[3] - found[2])
        assert 1 - area / (size[0] * size[1]) == pytest.approx(corrected)


def test_targets_equal_timms_for_the_share_of_pixels():
    images, targets, aus = flat_case()
    mixed, labels, _ = run(images, targets, aus, seed=3)
    partner = draws(8, (10, 14), 1.0, 3)[3]
    for i in range(8):
        kept = mixed[i, i].mean().item()
        pair = torch.stack([torch.tensor(i), partner[i]])
        reference = mixup_target(torch.stack([pair, pair.flip(0)])[0], 8, lam=kept)[0]
        torch.testing.assert_close(labels[i], reference)
    assert (labels.amax(dim=1) < 1).sum() > 3


def test_naive_loop():
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(6, 3, 9, 12, generator=generator)
    targets = torch.softmax(torch.randn(6, 5, generator=generator), dim=1)
    aus = torch.rand(6, 2, generator=generator)
    for seed in range(4):
        mixed, labels, units = run(images, targets, aus, alpha=0.7, seed=seed)
        lam, rows, columns, partner = draws(6, (9, 12), 0.7, seed)
        for i in range(6):
            ratio = math.sqrt(1 - lam[i])
            high, wide = int(9 * ratio), int(12 * ratio)
            expected, pasted = images[i].clone(), 0
            for y in range(9):
                for x in range(12):
                    if (
                        -(high // 2) <= y - rows[i] < (high + 1) // 2
                        and -(wide // 2) <= x - columns[i] < (wide + 1) // 2
                    ):
                        expected[:, y, x] = images[partner[i], :, y, x]
                        pasted += 1
            assert mixed[i].equal(expected)
            share = pasted / 108
            torch.testing.assert_close(labels[i], (1 - share) * targets[i] + share * targets[partner[i]])
            torch.testing.assert_close(units[i], (1 - share) * aus[i] + share * aus[partner[i]])


def test_share_is_beta_distributed_per_sample(monkeypatch):
    seen = []
    plain = cutmix.cut_boxes
    monkeypatch.setattr(cutmix, "cut_boxes", lambda *rest: seen.append(rest) or plain(*rest))
    count = 3000
    run(torch.zeros(count, 1, 6, 8), torch.ones(count, 1), torch.zeros(count, 0), alpha=0.6)
    lam, rows, columns, size = seen[0]
    assert size == (6, 8)
    assert stats.kstest(lam, stats.beta(0.6, 0.6).cdf).pvalue > 0.001
    for centres, side in ((rows, 6), (columns, 8)):
        assert stats.chisquare(np.bincount(centres, minlength=side)).pvalue > 0.001
        assert abs(stats.spearmanr(lam, centres).statistic) < 0.06


def test_a_pasted_share_of_nothing_or_all_does_not_ask_for_the_others_labels():
    values = torch.tensor([[1.0, math.nan], [math.nan, 0.0], [1.0, 0.0]])
    found = cutmix.blend(values, torch.tensor([1, 0, 1]), torch.tensor([0.0, 1.0, 0.5]))
    expected = torch.tensor([[1.0, math.nan], [1.0, math.nan], [math.nan, 0.0]])
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_gradients_go_where_the_pixels_came_from():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 1, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    aus = torch.rand(3, 1, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *given: run(*given, seed=1), (images, targets, aus))


def test_inputs_stay_totals_are_kept_and_half_precision_works():
    images, targets, aus = flat_case()
    before = images.clone(), targets.clone(), aus.clone()
    mixed, labels, _ = run(images.bfloat16(), targets, aus, alpha=0.01, seed=2)
    assert mixed.dtype == torch.bfloat16 and mixed.isfinite().all()
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(8))
    assert all(a.equal(b) for a, b in zip(before, (images, targets, aus), strict=True))
    same = run(images, targets, aus, alpha=0.0)
    assert same[0] is images and same[1] is targets and same[2] is aus
