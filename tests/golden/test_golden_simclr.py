"""SimCLR: by hand, as equation 1 in a loop, against lightly."""

import math

import pytest
import torch
from lightly.loss import NTXentLoss
from torch import nn

from fer_core.errors import ConfigError
from fer_core.pretraining import build_self_supervised
from fer_core.pretraining.contrast import SHORTEST, directions, projection_head
from fer_core.pretraining.simclr import SimClr, nt_xent


def projections(count=5, width=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, width, generator=generator, dtype=torch.float64) for _ in range(2)]


def learner(dtype=torch.float64, temperature=0.5):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh())
    return SimClr(backbone, 6, projection=4, hidden=8, temperature=temperature).to(dtype)


def test_by_hand():
    # two pictures at right angles, both views alike: every view sees e^(1/τ) beside 2 · e^0
    for temperature in (1.0, 0.5):
        e = math.exp(1 / temperature)
        found = nt_xent(torch.eye(2) * 3, torch.eye(2) * 0.5, temperature).item()
        assert found == pytest.approx(-math.log(e / (e + 2)), rel=1e-6)
    # the two views of either picture at right angles, first views alike and second views alike: partner 0, others 1, 0
    first, second = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert nt_xent(first, second, 1.0).item() == pytest.approx(-math.log(1 / (math.e + 2)), rel=1e-6)


def test_naive_loop():
    first, second = projections()
    z = [*first, *second]
    total = 0.0
    for i in range(10):
        j = i + 5 if i < 5 else i - 5
        similarity = [(z[i] @ z[k] / (z[i].norm() * z[k].norm())).item() / 0.3 for k in range(10)]
        total -= math.log(math.exp(similarity[j]) / sum(math.exp(similarity[k]) for k in range(10) if k != i))
    assert nt_xent(first, second, 0.3).item() == pytest.approx(total / 10, rel=1e-12)


@pytest.mark.parametrize(("count", "temperature"), [(2, 0.5), (5, 0.1), (32, 0.5), (7, 5.0)])
def test_equals_lightly_in_values_and_gradients(count, temperature):
    ours = [z.requires_grad_() for z in projections(count)]
    theirs = [z.detach().clone().requires_grad_() for z in ours]
    loss = nt_xent(*ours, temperature)
    reference = NTXentLoss(temperature)(*theirs)
    torch.testing.assert_close(loss, reference)
    loss.backward()
    reference.backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_gradcheck():
    first, second = (z.requires_grad_() for z in projections(3))
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.5), (first, second))


def test_the_network_gets_lightlys_gradient():
    model, twin = learner(), learner()
    views = [torch.rand(5, 3, 2, 2, dtype=torch.float64) for _ in range(2)]
    model.loss(*views).backward()
    NTXentLoss(0.5)(*(twin.projector(twin.backbone(view)) for view in views)).backward()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    assert model.update_target(3, 10) == 0


def test_the_order_of_views_and_of_pictures_does_not_matter_and_length_neither():
    first, second = projections()
    loss = nt_xent(first, second, 0.5)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(nt_xent(second, first, 0.5), loss)
    torch.testing.assert_close(nt_xent(first[order], second[order], 0.5), loss)
    torch.testing.assert_close(nt_xent(7 * first, 0.2 * second, 0.5), loss)
    assert nt_xent(first[order], second, 0.5) > nt_xent(first, first, 0.5)


def test_collapse_costs_the_logarithm_of_the_others():
    same = torch.ones(8, 4)
    assert nt_xent(same, same, 0.1).item() == pytest.approx(math.log(15), rel=1e-5)


def test_degenerate_batches():
    model = learner(torch.float32)
    with pytest.raises(ConfigError, match="at least 2 pictures in a batch; got 1"):
        model.loss(*(torch.rand(1, 3, 2, 2) for _ in range(2)))
    dead = torch.zeros(3, 4, requires_grad=True)
    loss = nt_xent(dead, torch.zeros(3, 4), 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(5), rel=1e-5)
    assert dead.grad.isfinite().all() and dead.grad.norm() < 1e3 / SHORTEST
    extreme = nt_xent(*(1e4 * z.float() for z in projections()), 0.001)
    assert extreme.isfinite()
    with torch.autocast("cpu", torch.bfloat16):
        views = [torch.rand(4, 3, 2, 2) for _ in range(2)]
        loss = model.loss(*views)
    assert loss.dtype == torch.float32 and loss.isfinite()
    # what autocast rounds is the network, not the loss
    half = [z.bfloat16() for z in projections()]
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(nt_xent(*half, 0.1), nt_xent(*(z.float() for z in half), 0.1))


def test_short_projections_are_not_blown_up():
    assert directions(torch.tensor([[SHORTEST / 2, 0.0]])).tolist() == [[0.5, 0.0]]
    torch.testing.assert_close(directions(torch.tensor([[3.0, 4.0]])), torch.tensor([[0.6, 0.8]]))


def test_the_head_is_the_papers():
    torch.manual_seed(0)
    head = projection_head(6, 8, 4)
    x = torch.randn(3, 6)
    by_hand = (x @ head[0].weight.T + head[0].bias).clamp(min=0) @ head[2].weight.T + head[2].bias
    torch.testing.assert_close(head(x), by_hand)


def test_views_are_two_draws_of_the_generator():
    images = torch.rand(4, 3, 16, 16)
    first, second = learner().views(images, torch.Generator().manual_seed(1))
    again, _ = learner().views(images, torch.Generator().manual_seed(1))
    assert first.equal(again) and not first.equal(second) and first.shape == images.shape


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_temperatures_are_refused(temperature):
    with pytest.raises(ConfigError, match=r"`ssl\.temperature` to be above 0"):
        build_self_supervised("simclr", nn.Linear(2, 2), 2, temperature=temperature)
