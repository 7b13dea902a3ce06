"""Epoch orders: by hand, from the formula's expectation, against torch's WeightedRandomSampler."""

import pytest
import torch
from torch.utils.data import WeightedRandomSampler

from fer_core.errors import ConfigError
from fer_core.sampling import SAMPLERS, epoch_order

LABELS = torch.tensor([0] * 90 + [2] * 9 + [3])  # class 1 is absent


def draw(name, labels=LABELS, seed=0):
    return epoch_order(name, labels, torch.Generator().manual_seed(seed))


def test_none_shows_every_picture_once():
    assert sorted(draw("none").tolist()) == list(range(100))
    assert draw("none").tolist() != list(range(100))


def test_weighted_makes_present_classes_equally_likely():
    labels = LABELS.repeat(200)
    shares = torch.bincount(labels[draw("weighted", labels)], minlength=4) / len(labels)
    # by hand: 3 present classes, each 1/3; the standard error of 20,000 draws is 0.0033
    assert shares.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3], abs=0.015)


def test_weighted_equals_torch():
    weights = [1 / LABELS.eq(label).sum().item() for label in LABELS]
    sampler = WeightedRandomSampler(weights, len(LABELS), generator=torch.Generator().manual_seed(0))
    assert draw("weighted").tolist() == list(sampler)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("labels", [LABELS, torch.tensor([4]), torch.tensor([], dtype=torch.int64)])
def test_length_type_and_repeatability(name, labels):
    order = draw(name, labels)
    assert order.dtype == torch.int64 and order.shape == labels.shape
    assert order.equal(draw(name, labels))
    if len(labels) > 1:
        assert not order.equal(draw(name, labels, seed=1))


def test_unknown_sampler():
    with pytest.raises(ConfigError, match="Did you mean 'weighted'"):
        draw("wieghted")
