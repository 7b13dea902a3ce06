"""MoCo v2: by hand, as equation 1 in a loop, against lightly's loss with a memory bank."""

import copy
import math

import pytest
import torch
from lightly.loss import NTXentLoss
from lightly.models.utils import update_momentum
from torch import nn
from torch.nn import functional

from fer_core.errors import ConfigError
from fer_core.pretraining import build_self_supervised
from fer_core.pretraining.moco import MoCo, info_nce


def learner(queue=8, momentum=0.9, dtype=torch.float64):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh())
    model = MoCo(backbone, 6, projection=4, hidden=8, momentum=momentum, temperature=0.2, queue=queue).to(dtype)
    with torch.no_grad():
        for parameter in model.target.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # a target that has fallen behind
    return model


def two_views(count=4, seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(count, 3, 2, 2, generator=generator, dtype=dtype) for _ in range(2)]


def test_by_hand():
    query = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    key = torch.tensor([[5.0, 0.0], [1.0, 0.0]])
    queue = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    # query 1: own 1, others 0 and -1; query 2: own 0, others 1 and 0
    e = math.exp
    expected = -(math.log(e(2) / (e(2) + 1 + e(-2))) + math.log(1 / (1 + e(2) + 1))) / 2
    assert info_nce(query, key, queue, 0.5).item() == pytest.approx(expected, rel=1e-6)


def test_naive_loop():
    model = learner()
    view1, view2 = two_views()
    negatives = model.queue.clone()
    q, k = model.projector(model.backbone(view1)), model.target(view2)
    loss = model.loss(view1, view2).item()
    total = 0.0
    for i in range(4):
        query, key = q[i] / q[i].norm(), k[i] / k[i].norm()
        own = math.exp((query @ key).item() / 0.2)
        total -= math.log(own / (own + sum(math.exp((query @ n).item() / 0.2) for n in negatives)))
    assert loss == pytest.approx(total / 4, rel=1e-9)


def test_equals_lightly_with_a_memory_bank_step_after_step():
    model, twin = learner(), learner()
    criterion = NTXentLoss(temperature=0.2, memory_bank_size=(8, 4)).double()
    criterion.memory_bank.bank = twin.queue.clone()
    for step in range(5):  # more keys than the queue holds
        views = two_views(seed=step)
        loss = model.loss(*views)
        reference = criterion(twin.projector(twin.backbone(views[0])), twin.target(views[1]).detach())
        torch.testing.assert_close(loss, reference)
        for net in (model, twin):
            net.zero_grad()
        loss.backward()
        reference.backward()
        for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
            if theirs.requires_grad:
                torch.testing.assert_close(ours.grad, theirs.grad)
        torch.testing.assert_close(model.queue, criterion.memory_bank.bank)
        for net in (model, twin):
            with torch.no_grad():
                for parameter in net.backbone.parameters():
                    parameter.sub_(0.1 * parameter.grad)
        used = model.update_target(step, 5)
        update_momentum(twin.backbone, twin.target[0], used)
        update_momentum(twin.projector, twin.target[1], used)


def test_gradcheck():
    torch.manual_seed(0)
    query = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    key = torch.randn(3, 4, dtype=torch.float64)
    queue = functional.normalize(torch.randn(6, 4, dtype=torch.float64), dim=1)
    assert torch.autograd.gradcheck(lambda q: info_nce(q, key, queue, 0.2), query)


def test_the_target_gets_no_gradient_and_keys_none():
    model = learner()
    model.loss(*two_views()).backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.target.parameters())
    assert all(parameter.grad is not None for parameter in model.backbone.parameters())
    key = torch.randn(2, 4, requires_grad=True)
    info_nce(torch.randn(2, 4, requires_grad=True), key, torch.eye(4), 0.2).backward()
    assert key.grad is None


def test_the_target_is_a_copy_and_moves_by_the_formula():
    model = learner()
    before = copy.deepcopy(model.target)
    assert model.update_target(0, 10) == model.update_target.__self__.momentum == 0.9
    assert model.update_target(10, 10) == 0.9, "constant, unlike BYOL's"
    online = [*model.backbone.parameters(), *model.projector.parameters()]
    for new, old, source in zip(model.target.parameters(), before.parameters(), online, strict=True):
        assert new.data_ptr() != source.data_ptr()
        torch.testing.assert_close(new, 0.81 * old + 0.19 * source)  # twice 0.9
    assert model.backbone is not model.target[0]


def test_the_queue_keeps_the_newest_in_a_ring():
    model = learner(queue=5, dtype=torch.float32)
    first = model.queue.clone()
    keys = functional.normalize(torch.randn(9, 4), dim=1)
    model.enqueue(keys[:3])
    assert model.queue[:3].equal(keys[:3]) and model.queue[3:].equal(first[3:])
    model.enqueue(keys[3:6])  # over the end
    assert model.queue.equal(torch.stack([keys[5], keys[1], keys[2], keys[3], keys[4]]))
    assert model.oldest == 1
    model.enqueue(keys[6:8])
    assert model.queue.equal(torch.stack([keys[5], keys[6], keys[7], keys[3], keys[4]]))
    model.enqueue(keys)  # more than it holds
    assert {tuple(row) for row in model.queue.tolist()} == {tuple(row) for row in keys[4:].tolist()}


def test_the_queue_is_of_unit_length_from_the_start_and_part_of_the_state():
    model = learner()
    torch.testing.assert_close(model.queue.norm(dim=1), torch.ones(8, dtype=torch.float64))
    model.loss(*two_views())
    torch.testing.assert_close(model.queue.norm(dim=1), torch.ones(8, dtype=torch.float64))
    assert model.oldest == 4
    twin = learner()
    twin.load_state_dict(model.state_dict())
    assert twin.queue.equal(model.queue) and twin.oldest == 4


def test_evaluation_leaves_the_queue_alone():
    model = learner().eval()
    before = model.queue.clone()
    model.loss(*two_views())
    assert model.queue.equal(before)


def test_collapse_costs_the_logarithm_of_all():
    same = torch.ones(4, 4)
    assert info_nce(same, same, functional.normalize(torch.ones(6, 4), dim=1), 0.2).item() == pytest.approx(
        math.log(7), rel=1e-5
    )


def test_degenerate_batches():
    model = learner(dtype=torch.float32)
    assert model.loss(*two_views(1, dtype=torch.float32)).isfinite()
    dead = torch.zeros(2, 4, requires_grad=True)
    loss = info_nce(dead, torch.zeros(2, 4), torch.eye(4), 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(5), rel=1e-5) and dead.grad.isfinite().all()
    assert dead.grad.norm() < 1e6
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(*two_views(dtype=torch.float32))
    loss.backward()
    assert loss.dtype == model.queue.dtype == torch.float32 and loss.isfinite()
    half = [torch.randn(3, 4).bfloat16() for _ in range(2)]
    with torch.autocast("cpu", torch.bfloat16):
        found = info_nce(*half, torch.eye(4), 0.1)
    torch.testing.assert_close(found, info_nce(*(z.float() for z in half), torch.eye(4), 0.1))


@pytest.mark.parametrize(
    ("changes", "key"), [({"momentum": 1.5}, "momentum"), ({"queue": 0}, "queue"), ({"temperature": 0}, "temperature")]
)
def test_impossible_settings_are_refused(changes, key):
    with pytest.raises(ConfigError, match=rf"`ssl\.{key}`"):
        build_self_supervised("moco", nn.Linear(2, 2), 2, **changes)
