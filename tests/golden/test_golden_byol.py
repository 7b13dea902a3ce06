"""BYOL: by hand, as the paper's equations in a loop, against lightly."""

import copy
import math

import pytest
import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.utils import update_momentum
from lightly.utils.debug import std_of_l2_normalized
from lightly.utils.scheduler import cosine_schedule
from torch import nn

from fer_core.errors import ConfigError
from fer_core.pretraining import SELF_SUPERVISED, build_self_supervised
from fer_core.pretraining.byol import Byol, feature_deviation, regression_loss, target_momentum


def learner(momentum=0.9, dtype=torch.float64):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh())
    model = Byol(backbone, 6, projection=4, hidden=8, momentum=momentum).to(dtype)
    with torch.no_grad():
        for parameter in model.target.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # a target that has fallen behind
    return model


def two_views(count=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(count, 3, 2, 2, generator=generator, dtype=dtype) for _ in range(2))


def test_regression_loss_by_hand():
    prediction = torch.tensor([[3.0, 4.0], [1.0, 0.0], [1.0, 1.0]])
    target = torch.tensor([[6.0, 8.0], [-2.0, 0.0], [0.0, 5.0]])
    # cosines 1, -1 and 1/√2
    assert regression_loss(prediction, target).item() == pytest.approx((0 + 4 + 2 - math.sqrt(2)) / 3, rel=1e-6)


def test_naive_loop():
    model = learner()
    v1, v2 = two_views()
    loss = model.loss(v1, v2).item()
    expected = 0.0
    for a, b in ((v1, v2), (v2, v1)):
        q, z = model.predictor(model.projector(model.backbone(a))), model.target(b)
        for i in range(5):
            difference = q[i] / q[i].norm() - z[i] / z[i].norm()
            expected += (difference**2).sum().item() / 5
    assert loss == pytest.approx(expected, rel=1e-9)


def test_equals_lightlys_loss_in_values_and_gradients():
    model, twin = learner(), learner()
    v1, v2 = two_views()
    loss = model.loss(v1, v2)
    loss.backward()
    criterion = NegativeCosineSimilarity()
    p1, p2 = (twin.predictor(twin.projector(twin.backbone(v))) for v in (v1, v2))
    z1, z2 = (twin.target(v).detach() for v in (v1, v2))
    reference = 4 + 2 * (criterion(p1, z2) + criterion(p2, z1))
    reference.backward()
    torch.testing.assert_close(loss, reference)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        if theirs.requires_grad:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_target_gets_no_gradient_and_is_no_part_of_training():
    model = learner()
    model.loss(*two_views()).backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.target.parameters())
    assert all(parameter.grad is not None for parameter in model.backbone.parameters())


def test_the_backbone_is_trained_itself_and_the_target_is_a_copy():
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 6))
    model = Byol(backbone, 6, projection=4, hidden=8, momentum=0.9)
    assert model.backbone is backbone
    for online, target in zip(backbone.parameters(), model.target[0].parameters(), strict=True):
        assert online.equal(target) and online.data_ptr() != target.data_ptr()


def test_gradcheck_of_the_loss():
    target = torch.randn(3, 4, dtype=torch.float64)
    prediction = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda q: regression_loss(q, target), prediction)


def test_momentum_schedule_by_hand_and_against_lightly():
    assert target_momentum(0.99, 0, 100) == pytest.approx(0.99)
    assert target_momentum(0.99, 50, 100) == pytest.approx(0.995)
    assert target_momentum(0.99, 100, 100) == pytest.approx(1)
    assert target_momentum(0.99, 500, 100) == pytest.approx(1)
    for step in range(101):  # lightly reaches the end at its last step
        assert target_momentum(0.996, step, 100) == pytest.approx(cosine_schedule(step, 101, 0.996, 1.0))


def test_update_equals_the_formula_and_lightlys():
    model = learner()
    before = copy.deepcopy(model.target)
    reference = copy.deepcopy(model.target)
    used = model.update_target(25, 100)
    assert used == target_momentum(0.9, 25, 100)
    update_momentum(model.backbone, reference[0], used)
    update_momentum(model.projector, reference[1], used)
    online = [*model.backbone.parameters(), *model.projector.parameters()]
    rows = zip(model.target.parameters(), before.parameters(), reference.parameters(), online, strict=True)
    for new, old, theirs, source in rows:
        torch.testing.assert_close(new, used * old + (1 - used) * source)
        torch.testing.assert_close(new, theirs)


def test_deviation_against_lightly_and_in_its_limits():
    torch.manual_seed(0)
    features = torch.randn(512, 64)
    assert feature_deviation(features) == pytest.approx(std_of_l2_normalized(features).item() * 8, rel=1e-5)
    assert feature_deviation(features) == pytest.approx(1, abs=0.05)
    assert feature_deviation(torch.ones(16, 8)) == pytest.approx(0, abs=1e-6)  # collapsed
    assert math.isnan(feature_deviation(torch.ones(1, 8)))
    assert feature_deviation(torch.zeros(4, 8)) == 0


def test_degenerate_batches():
    model = learner(dtype=torch.float32)
    with pytest.raises(ConfigError, match="at least 2"):
        model.loss(*two_views(1, torch.float32))
    same = torch.zeros(4, 3, 2, 2)
    loss = model.loss(same, same)
    loss.backward()
    assert loss.isfinite() and all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.loss(*two_views(4, torch.float32)).isfinite()


def test_it_learns_without_collapse():
    torch.manual_seed(0)
    people = torch.rand(8, 3, 2, 2).repeat(8, 1, 1, 1)
    model = learner(0.9, torch.float32)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for step in range(60):
        v1, v2 = (people + 0.05 * torch.randn_like(people) for _ in range(2))
        loss = model.loss(v1, v2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.update_target(step, 60)
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert feature_deviation(model.backbone(people)) > 0.2


def test_registry():
    assert "byol" in SELF_SUPERVISED
    with pytest.raises(ConfigError, match="Did you mean 'byol'"):
        build_self_supervised("boyl", nn.Identity(), 4)
    with pytest.raises(ConfigError, match=r"ssl\.momentum"):
        build_self_supervised("byol", nn.Linear(2, 2), 2, momentum=1.5)
