"""The learning rate, the seeds and the precision."""

import itertools

import pytest
import torch
from torch import nn

from fer_core.training.device import autocast, derived_seed
from fer_core.training.optim import adamw, set_lr, warmup_cosine


def test_the_rate_rises_linearly_and_falls_along_a_cosine() -> None:
    rates = [warmup_cosine(step, 20, 5) for step in range(20)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5] == 1.0
    assert all(before > after for before, after in itertools.pairwise(rates[5:]))
    assert rates[12] == pytest.approx(0.5 * (1 + torch.cos(torch.tensor(torch.pi * 7 / 15)).item()))
    assert 0 < rates[-1] < 0.02
    assert warmup_cosine(20, 20, 5) == pytest.approx(0)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (3, 3), (2, 5), (10, 0)])
def test_the_rate_stays_between_0_and_1_at_the_edges(steps: int, warmup: int) -> None:
    rates = [warmup_cosine(step, steps, warmup) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)


def test_seeds_are_repeatable_distinct_and_valid() -> None:
    keys = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), *((1, epoch) for epoch in range(1, 200)), (3, 5), (5, 3)]
    for seed in (0, 1, 2**40, -1):
        found = [derived_seed(seed, *key) for key in keys]
        assert found == [derived_seed(seed, *key) for key in keys]
        assert len(set(found)) == len(keys), "every purpose draws its own numbers"
        assert all(0 <= value < 2**63 for value in found)
    assert derived_seed(0, 1) != derived_seed(1, 1)
    torch.Generator().manual_seed(derived_seed(0, 1))


def test_norms_and_biases_do_not_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = adamw(model, lr=0.1, weight_decay=0.3)
    decay = {id(item): group["weight_decay"] for group in optimizer.param_groups for item in group["params"]}
    assert decay[id(model[0].weight)] == 0.3
    assert decay[id(model[0].bias)] == decay[id(model[1].weight)] == decay[id(model[1].bias)] == 0
    set_lr(optimizer, 0.7)
    assert {group["lr"] for group in optimizer.param_groups} == {0.7}


def test_precision_can_be_named() -> None:
    model, device = nn.Linear(4, 4), torch.device("cpu")
    for precision, expected in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with autocast(model, device, precision):
            assert model(torch.rand(1, 4)).dtype == expected
