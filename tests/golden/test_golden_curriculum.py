"""The curriculum: pacing and difficulty by hand, as naive loops from the papers' formulas, against scipy's ranks."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import percentileofscore

from fer_core.errors import ConfigError
from fer_core.sampling import epoch_order
from fer_core.sampling.curriculum import classes_open, difficulty, open_share

LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2])  # sizes 4, 2, 1: rarities 0, 1/2, 1
LOSSES = torch.tensor([0.1, 5.0, 0.3, 0.2, 0.4, 9.0, 0.5])  # loss ranks 0, 5, 2, 1, 3, 6, 4 of 6


def draw(labels=LABELS, losses=LOSSES, progress=0.0, start=0.3, end=0.5, seed=0):
    return epoch_order(
        "curriculum",
        labels,
        torch.Generator().manual_seed(seed),
        progress=progress,
        losses=None if losses is None else lambda: losses,
        curriculum_start=start,
        curriculum_end=end,
    )


def test_open_share_by_hand():
    # c0 = 0.6, so c0² = 0.36 and 1 - c0² = 0.64; T = 0.8
    assert open_share(0.0, 0.6, 0.8) == pytest.approx(0.6)
    assert open_share(0.4, 0.6, 0.8) == pytest.approx(math.sqrt(0.5 * 0.64 + 0.36))  # √0.68
    assert open_share(0.35, 0.6, 0.8) == pytest.approx(0.8)  # 0.4375 · 0.64 + 0.36 = 0.64
    assert open_share(0.8, 0.6, 0.8) == open_share(0.9, 0.6, 0.8) == 1.0


def test_open_share_naive_loop():
    for start in (0.01, 0.3, 0.75, 1.0):
        for end in (0.1, 0.5, 1.0):
            for t in np.linspace(0, 1, 21):
                expected = min(1, (t * (1 - start**2) / end + start**2) ** 0.5)  # Platanios et al., equation 7
                assert open_share(float(t), start, end) == pytest.approx(expected)


@settings(deadline=None)
@given(start=st.floats(1e-6, 1), end=st.floats(1e-6, 1), progress=st.floats(0, 1))
def test_open_share_grows_from_start_to_exactly_one(start, end, progress):
    share = open_share(progress, start, end)
    assert start - 1e-12 <= share <= 1
    assert share <= open_share(min(1.0, progress + 0.1), start, end) + 1e-12
    assert open_share(end, start, end) == 1.0


@pytest.mark.parametrize("progress", [-0.1, 1.1, math.nan])
def test_progress_out_of_range(progress):
    with pytest.raises(ConfigError, match="progress"):
        open_share(progress, 0.3, 0.5)


def test_difficulty_by_hand():
    expected = [
        (0 + 0 / 6) / 2,
        (0 + 5 / 6) / 2,
        (0 + 2 / 6) / 2,
        (0 + 1 / 6) / 2,
        (1 / 2 + 3 / 6) / 2,
        (1 / 2 + 6 / 6) / 2,
        (1 + 4 / 6) / 2,
    ]
    assert difficulty(LABELS, LOSSES).tolist() == pytest.approx(expected)
    assert difficulty(LABELS, None).tolist() == pytest.approx([0, 0, 0, 0, 0.5, 0.5, 1])
    # equal sizes share a rarity, equal losses their mean rank: 0.5 · (1/2 of (0 + 1)) each
    assert difficulty(torch.tensor([1, 4]), torch.tensor([3.0, 3.0])).tolist() == pytest.approx([0.25, 0.25])


def naive_difficulty(labels, losses):
    sizes = sorted({labels.count(label) for label in labels}, reverse=True)
    result = []
    for label, loss in zip(labels, losses, strict=True):
        rarity = sizes.index(labels.count(label)) / max(len(sizes) - 1, 1)
        below = sum(other < loss for other in losses)
        equal = sum(other == loss for other in losses) - 1
        result.append((rarity + (below + equal / 2) / max(len(losses) - 1, 1)) / 2)
    return result


cases = st.lists(st.tuples(st.sampled_from([0, 1, 3, 4]), st.integers(0, 6)), min_size=1, max_size=30)


@settings(max_examples=100, deadline=None)
@given(case=cases)
def test_difficulty_naive_loop(case):
    labels, losses = (list(column) for column in zip(*case, strict=True))
    ours = difficulty(torch.tensor(labels), torch.tensor(losses) / 4)
    assert ours.tolist() == pytest.approx(naive_difficulty(labels, losses))
    assert ours.min() >= 0 and ours.max() <= 1


def test_loss_rank_equals_scipys_percentile():
    losses = torch.tensor([3.0, 1.0, 1.0, 7.0, 2.0, 3.0, 3.0])
    labels = torch.zeros(7, dtype=torch.int64)  # one class: all equally rare
    # its "mean" percentile of x is (below + below or equal) / 2N, a mean rank counted from 1/2
    percents = percentileofscore(losses.numpy(), losses.numpy(), kind="mean")
    expected = (percents / 100 * 7 - 0.5) / 6
    assert (2 * difficulty(labels, losses)).tolist() == pytest.approx(expected.tolist())


@settings(max_examples=50, deadline=None)
@given(case=cases, data=st.data())
def test_difficulty_follows_its_picture_and_not_the_class_number(case, data):
    labels, losses = (torch.tensor(column) for column in zip(*case, strict=True))
    permutation = torch.tensor(data.draw(st.permutations(range(len(labels)))))
    renumbered = torch.tensor(data.draw(st.permutations(range(5))))[labels]
    expected = difficulty(labels, losses.float())[permutation]
    assert difficulty(renumbered[permutation], losses.float()[permutation]).tolist() == pytest.approx(expected.tolist())


def test_order_by_hand():
    # difficulties · 12: 0, 5, 2, 1, 6, 9, 10. c = 0.3 of 7 is 2.1, so two pictures are open: 0 and 3
    order = draw()
    assert set(order.tolist()) == {0, 3}
    counts = torch.bincount(order).tolist()
    assert abs(counts[0] - counts[3]) == 1 and len(order) == 7
    assert classes_open(LABELS, order) == [0]
    # t/T = 1/2: c = √(0.5 · 0.91 + 0.09) = 0.738, 5.17 pictures: 0, 3, 2, 1, 4
    later = draw(progress=0.25)
    assert set(later.tolist()) == {0, 1, 2, 3, 4}
    assert classes_open(LABELS, later) == [0, 1]
    assert classes_open(LABELS, draw(progress=0.5)) == [0, 1, 2]


def test_everything_open_is_the_order_of_none():
    def never():
        pytest.fail("losses were computed for nothing")

    for seed in range(3):
        order = epoch_order("curriculum", LABELS, torch.Generator().manual_seed(seed), progress=0.5, losses=never)
        assert order.equal(epoch_order("none", LABELS, torch.Generator().manual_seed(seed)))


def test_losses_are_called_once():
    calls = []

    def losses():
        calls.append(1)
        return LOSSES

    epoch_order("curriculum", LABELS, torch.Generator().manual_seed(0), losses=losses)
    assert calls == [1]


@settings(max_examples=60, deadline=None)
@given(case=cases, progress=st.floats(0, 1), start=st.floats(0.01, 1), seed=st.integers(0, 2**32))
def test_order_naive_loop(case, progress, start, seed):
    labels, losses = (list(column) for column in zip(*case, strict=True))
    order = draw(torch.tensor(labels), torch.tensor(losses) / 4, progress, start, seed=seed)
    hardness = naive_difficulty(labels, losses)
    count = max(1, round(open_share(progress, start, 0.5) * len(labels)))
    shown = set(order.tolist())
    assert len(order) == len(labels) and len(shown) == count  # every open picture is shown
    hidden = set(range(len(labels))) - shown
    if hidden:
        assert max(hardness[i] for i in shown) <= min(hardness[i] for i in hidden) + 1e-9
    counts = torch.bincount(order, minlength=len(labels))[sorted(shown)]
    assert counts.max() - counts.min() <= 1


def test_equally_hard_pictures_are_picked_at_random():
    labels = torch.zeros(10, dtype=torch.int64)
    chosen = [tuple(sorted(set(draw(labels, None, seed=seed).tolist()))) for seed in range(20)]
    assert all(len(open_ones) == 3 for open_ones in chosen)
    assert len(set(chosen)) > 5


def test_degenerate_inputs():
    assert draw(torch.tensor([6]), torch.tensor([1.0]), start=0.01).tolist() == [0]
    assert draw(torch.tensor([], dtype=torch.int64), torch.tensor([])).tolist() == []
    broken = LOSSES.clone()
    broken[[0, 3]] = torch.tensor([math.nan, math.inf])
    assert difficulty(LABELS, broken).isfinite().all()
    assert set(draw(losses=broken).tolist()) == {1, 2}  # NaN counts as hard
    assert set(draw(losses=LOSSES.half().requires_grad_()).tolist()) == {0, 3}
    with pytest.raises(ConfigError, match=r"losses.*\(7,\).*\(6,\)"):
        draw(losses=LOSSES[:6])
