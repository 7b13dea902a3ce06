"""SAM: by hand, against the gradient evaluated at w + ê, restored to the bit; batch norms keep their statistics."""

import math

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn.utils import parameters_to_vector

from fer_core.errors import ConfigError
from fer_core.training.sam import Sam, frozen_statistics


def net(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).to(dtype)


def batch(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 3, generator=generator, dtype=dtype), torch.arange(8) % 2


def test_by_hand():
    # L = w²/2 at w = 3: g = 3, ê = 0.5·3/3, so the gradient there is 3.5 and the step 3 − 0.1·3.5 = 2.65
    w = nn.Parameter(torch.tensor(3.0))
    optimizer, sam = torch.optim.SGD([w], lr=0.1), Sam([w], 0.5)
    (w**2 / 2).backward()
    sam.climb()
    assert w.item() == 3.5
    optimizer.zero_grad()
    (w**2 / 2).backward()
    sam.descend()
    assert w.item() == 3.0
    optimizer.step()
    assert w.item() == pytest.approx(2.65)


def test_the_norm_is_over_all_parameters_by_hand():
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    a.grad, b.grad = torch.tensor([3.0]), torch.tensor([-4.0])  # norm 5
    sam = Sam([a, b], 0.5)
    sam.climb()
    assert (a.item(), b.item()) == pytest.approx((0.3, -0.4))


@pytest.mark.parametrize("rho", [0.05, 2.0])
def test_equals_the_gradient_at_the_perturbed_point(rho):
    model, (x, y) = net(), batch()
    start = parameters_to_vector(model.parameters()).detach()

    def loss_at(vector):  # naive: the two layers written out, no module
        w1, b1, w2, b2 = vector.split([15, 5, 10, 2])
        hidden = torch.tanh(x @ w1.reshape(5, 3).T + b1)
        return nn.functional.cross_entropy(hidden @ w2.reshape(2, 5).T + b2, y)

    gradient = torch.func.grad(loss_at)(start)
    e = rho * gradient / math.sqrt(sum(value.item() ** 2 for value in gradient))
    expected = torch.func.grad(loss_at)(start + e)

    sam = Sam(model.parameters(), rho)
    nn.functional.cross_entropy(model(x), y).backward()
    sam.climb()
    moved = parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(moved, start + e)
    assert (moved - start).norm().item() == pytest.approx(rho)
    model.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    sam.descend()
    torch.testing.assert_close(parameters_to_vector(p.grad for p in model.parameters()), expected)
    assert torch.equal(parameters_to_vector(model.parameters()), start)


def test_descend_restores_to_the_bit_where_subtracting_would_not():
    w = nn.Parameter(torch.tensor([1.0, 1e-4, 0.1]))
    before = w.detach().clone()
    w.grad = torch.tensor([0.1, 0.7, 0.3])
    sam, drifted = Sam([w], 0.3), before.clone()
    for _ in range(50):
        sam.climb()
        e = 0.3 * w.grad / w.grad.norm()
        drifted = (drifted + e) - e
        sam.descend()
    assert torch.equal(w, before)
    assert not torch.equal(drifted, before)


def test_nothing_moves_without_a_usable_gradient():
    for values in ([0.0, 0.0], [math.inf, 1.0], [math.nan, 1.0], [1e-30, 0.0]):
        w, other = nn.Parameter(torch.tensor([1.0, 2.0])), nn.Parameter(torch.tensor([3.0]))
        w.grad = torch.tensor(values)
        sam = Sam([w, other], 0.5)
        sam.climb()
        assert w.isfinite().all()
        if values != [1e-30, 0.0]:
            assert w.tolist() == [1.0, 2.0]
        assert other.item() == 3.0
        sam.descend()
        assert w.tolist() == [1.0, 2.0]
    Sam([nn.Parameter(torch.ones(1))], 0.5).climb()  # no gradient at all


def test_zero_rho_moves_nothing_and_a_bigger_gradient_moves_no_further():
    for rho, scale, distance in ((0.0, 1.0, 0.0), (0.1, 1.0, 0.1), (0.1, 1e6, 0.1), (0.1, 1e-6, 0.1)):
        w = nn.Parameter(torch.zeros(4))
        w.grad = scale * torch.tensor([1.0, -2.0, 3.0, -4.0])
        Sam([w], rho).climb()
        assert w.norm().item() == pytest.approx(distance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    w = nn.Parameter(torch.zeros(1000, dtype=dtype))
    w.grad = torch.full_like(w, 6e4)  # its norm, 1.9e6, is beyond float16
    Sam([w], 1.0).climb()
    torch.testing.assert_close(w.float(), torch.full((1000,), 1000**-0.5), rtol=0.01, atol=0)


def test_climbing_twice_is_refused_and_descending_is_always_possible():
    w = nn.Parameter(torch.ones(1))
    w.grad = torch.ones(1)
    sam = Sam([w], 0.1)
    sam.descend()
    sam.climb()
    with pytest.raises(RuntimeError, match="descend"):
        sam.climb()
    sam.descend()
    sam.descend()
    assert w.item() == 1


@pytest.mark.parametrize("rho", [-0.1, math.inf, math.nan])
def test_rho_out_of_range(rho):
    with pytest.raises(ConfigError, match="`sam`"):
        Sam([], rho)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, BatchNormAct2d])
def test_frozen_statistics(kind, momentum):
    model = nn.Sequential(nn.Conv2d(1, 3, 1), kind(3, momentum=momentum), nn.InstanceNorm2d(3))
    x = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    model(x)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with frozen_statistics(model):
        frozen = model(2 * x)
        model(torch.full_like(x, math.inf))  # a diverged batch
        model.eval()
        evaluated = model(x)
        model.train()
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    torch.testing.assert_close(model.eval()(x), evaluated)
    model.train()
    torch.testing.assert_close(model(2 * x), frozen)  # normalised by the batch, as in training
    assert not torch.equal(model[1].running_mean, before["1.running_mean"])
    assert model[1].num_batches_tracked == before["1.num_batches_tracked"] + 1


def test_statistics_thaw_after_an_error_and_norms_without_any_stay_so():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(KeyError), frozen_statistics(model):
        raise KeyError
    assert [norm.track_running_stats for norm in model] == [True, False]
