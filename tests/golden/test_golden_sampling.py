"""Epoch orders: by hand, from the formula's expectation, against torch's WeightedRandomSampler and MPerClassSampler."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.samplers import MPerClassSampler
from torch.utils.data import WeightedRandomSampler

from fer_core.errors import ConfigError
from fer_core.sampling import SAMPLERS, epoch_order
from fer_core.sampling.cycle import cycled

LABELS = torch.tensor([0] * 90 + [2] * 9 + [3])  # class 1 is absent
few_labels = st.lists(st.sampled_from([0, 1, 3, 4]), max_size=40).map(lambda v: torch.tensor(v, dtype=torch.int64))


def draw(name, labels=LABELS, seed=0, **settings):
    return epoch_order(name, labels, torch.Generator().manual_seed(seed), **settings)


def test_none_shows_every_picture_once():
    assert sorted(draw("none").tolist()) == list(range(100))
    assert draw("none").tolist() != list(range(100))


def test_none_and_weighted_draw_as_they_always_did():
    # their orders are part of every finished run: this is torch's own stream, nothing drawn before or between
    assert draw("none").equal(torch.randperm(100, generator=torch.Generator().manual_seed(0)))
    weights = (1 / torch.bincount(LABELS).double())[LABELS]
    expected = torch.multinomial(weights, 100, replacement=True, generator=torch.Generator().manual_seed(0))
    assert draw("weighted").equal(expected)


def test_weighted_makes_present_classes_equally_likely():
    labels = LABELS.repeat(200)
    shares = torch.bincount(labels[draw("weighted", labels)], minlength=4) / len(labels)
    # by hand: 3 present classes, each 1/3; the standard error of 20,000 draws is 0.0033
    assert shares.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3], abs=0.015)


def test_square_root_draws_classes_by_the_root_of_their_size():
    labels = torch.tensor([0] * 64 + [1] * 16 + [3] * 4).repeat(250)
    shares = torch.bincount(labels[draw("square_root", labels)], minlength=4) / len(labels)
    # by hand: sizes 64 : 16 : 4 have roots 8 : 4 : 2 of 14, whatever all are multiplied with
    assert shares.tolist() == pytest.approx([8 / 14, 4 / 14, 0, 2 / 14], abs=0.015)


@pytest.mark.parametrize(("name", "power"), [("weighted", -1), ("square_root", -0.5)])
def test_weighted_and_square_root_equal_torch(name, power):
    weights = [LABELS.eq(label).sum().item() ** power for label in LABELS]
    sampler = WeightedRandomSampler(weights, len(LABELS), generator=torch.Generator().manual_seed(0))
    assert draw(name).tolist() == list(sampler)


def test_balanced_by_hand():
    # 8 draws for 3 classes: two whole blocks and two classes of a third; class 7 repeats its only picture
    labels = torch.tensor([5, 5, 5, 5, 5, 2, 2, 7])
    order = draw("balanced", labels)
    shown = labels[order].tolist()
    assert sorted(shown[:3]) == sorted(shown[3:6]) == [2, 5, 7]
    assert len(set(shown[6:])) == 2
    assert set(order[labels[order] == 7].tolist()) == {7}
    twos = order[labels[order] == 2].tolist()
    assert sorted(twos[:2]) == [5, 6]
    fives = order[labels[order] == 5].tolist()
    assert len(set(fives)) == len(fives)


def naive_is_balanced(labels, order):
    """Walk along the order as the docstring states it: blocks, and no picture before its class is through."""
    present = set(labels)
    left = {label: set() for label in present}
    block = set()
    for index in order:
        label = labels[index]
        if label in block:
            return False
        block = set() if block | {label} == present else block | {label}
        if not left[label]:
            left[label] = {i for i, other in enumerate(labels) if other == label}
        if index not in left[label]:
            return False
        left[label].remove(index)
    return True


@settings(max_examples=60, deadline=None)
@given(labels=few_labels, seed=st.integers(0, 2**32))
def test_balanced_naive_loop(labels, seed):
    order = draw("balanced", labels, seed)
    assert naive_is_balanced(labels.tolist(), order.tolist())
    counts = torch.bincount(labels[order])[torch.bincount(labels) > 0]
    if len(labels):
        assert counts.max() - counts.min() <= 1
        assert sum(counts.tolist()) == len(labels)


def test_balanced_has_the_blocks_of_mperclasssampler():
    reference = torch.tensor(list(MPerClassSampler(LABELS, m=1, length_before_new_iter=len(LABELS))))
    order = draw("balanced")
    assert len(reference) == 99  # it leaves the rest of 100 draws in blocks of 3 out
    for start in range(0, 99, 3):
        ours, theirs = (LABELS[o[start : start + 3]] for o in (order, reference))
        assert torch.bincount(ours, minlength=4).equal(torch.bincount(theirs, minlength=4))
    assert torch.bincount(LABELS[order[:99]]).equal(torch.bincount(LABELS[reference]))


def test_balanced_blocks_are_in_random_order():
    blocks = LABELS[draw("balanced")][:99].reshape(33, 3)
    assert len({tuple(block) for block in blocks.tolist()}) == 6  # all 3! orders; one lacks with p = 6 (5/6)^33 = 0.015


@settings(deadline=None)
@given(size=st.integers(1, 9), count=st.integers(0, 40), seed=st.integers(0, 2**32))
def test_cycled_gives_whole_permutations(size, count, seed):
    numbers = cycled(size, count, torch.Generator().manual_seed(seed))
    assert numbers.dtype == torch.int64 and len(numbers) == count
    for part in numbers.split(size):
        assert len(set(part.tolist())) == len(part)
    for part in numbers.split(size)[: count // size]:
        assert sorted(part.tolist()) == list(range(size))


def test_cycled_is_fresh_each_time():
    rounds = cycled(20, 60, torch.Generator().manual_seed(0)).split(20)
    assert len({tuple(part.tolist()) for part in rounds}) == 3


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("labels", [LABELS, torch.tensor([4]), torch.tensor([], dtype=torch.int64)])
def test_length_type_and_repeatability(name, labels):
    order = draw(name, labels)
    assert order.dtype == torch.int64 and order.shape == labels.shape
    assert order.equal(draw(name, labels))
    if len(labels) > 1:
        assert not order.equal(draw(name, labels, seed=1))


@pytest.mark.parametrize("name", SAMPLERS)
@settings(max_examples=30, deadline=None)
@given(labels=few_labels, seed=st.integers(0, 2**32), progress=st.floats(0, 1))
def test_every_order_has_n_valid_indices(name, labels, seed, progress):
    order = draw(name, labels, seed, progress=progress, losses=lambda: torch.arange(len(labels)) / 3)
    assert order.dtype == torch.int64 and order.shape == labels.shape
    assert all(0 <= index < len(labels) for index in order.tolist())


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "none"])
def test_numbering_of_the_classes_does_not_matter(name):
    # shares of the classes under another numbering, in a long epoch: standard errors are below 0.006
    labels = LABELS.repeat(100)
    renumbered = torch.tensor([3, 1, 0, 2])[labels]
    shares = [torch.bincount(x[draw(name, x)], minlength=4) / len(x) for x in (labels, renumbered)]
    assert shares[0].tolist() == pytest.approx(shares[1][[3, 1, 0, 2]].tolist(), abs=0.03)


def test_other_samplers_take_no_losses():
    for name in set(SAMPLERS) - {"curriculum"}:
        draw(name, losses=lambda: pytest.fail("losses were computed for nothing"))


@pytest.mark.parametrize(
    ("key", "value"),
    [(key, value) for key in ("curriculum_start", "curriculum_end") for value in (0.0, -0.1, 1.5, math.nan)],
)
def test_curriculum_settings_out_of_range(key, value):
    with pytest.raises(ConfigError, match=key):
        draw("curriculum", **{key: value})


def test_unknown_sampler():
    with pytest.raises(ConfigError, match="Did you mean 'weighted'"):
        draw("wieghted")
