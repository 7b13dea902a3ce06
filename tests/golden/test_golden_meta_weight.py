"""Meta-Weight-Net: by hand, the paper's analytic meta-gradient as a loop, finite differences, an end-to-end check."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from fer_core.errors import ConfigError, DataError
from fer_core.meta import METAS
from fer_core.meta.meta_weight import MetaWeight, MetaWeightNet, meta_set


def cross_entropy(logits, target):
    return functional.cross_entropy(logits, target, reduction="none")


def squares(output, target):
    return (output[:, 0] - target) ** 2 / 2


def case(batch=6, meta=4, features=3, classes=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    draw = [torch.randn(count, features, generator=generator, dtype=dtype) for count in (batch, meta)]
    return draw[0], torch.arange(batch) % classes, draw[1], torch.arange(meta) % classes


def meta_weight(normalise=True, dtype=torch.float64):
    torch.manual_seed(0)
    meta = MetaWeight(normalise=normalise)
    meta.net.to(dtype)
    return meta


def weigh(meta, module, data, lr=0.5, loss=cross_entropy):
    """Return the weights and the gradient that θ's Adam was given."""
    seen = []
    step = meta.optimizer.step
    meta.optimizer.step = lambda: (seen.extend(p.grad.clone() for p in meta.net.parameters()), step())
    try:
        return meta.weigh(module, *data, loss, lr), seen
    finally:
        del meta.optimizer.step


def copied(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


# --- one step --------------------------------------------------------------------------------------------------


def test_by_hand():
    # f(x) = w·x, w = 1, one sample x = 1, y = 3: L = 2, g = (1 − 3)·1 = −2. V without hidden activity is σ(b) = 0.5.
    # w' = 1 − 0.1·0.5·(−2) = 1.1. Meta sample x = 1, y = 2: slope 1.1 − 2 = −0.9.
    # d meta / d b = −0.9 · dw'/db,  dw'/db = −0.1·σ'(b)·(−2) = 0.1·0.25·2 = 0.05: −0.045, so b must rise
    meta = meta_weight(normalise=False)
    for item in meta.net.parameters():
        item.data.zero_()
    module = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    module.weight.data.fill_(1.0)
    one = torch.ones(1, 1, dtype=torch.float64)
    data = (one, torch.tensor([3.0]).double(), one, torch.tensor([2.0]).double())
    weights, slopes = weigh(meta, module, data, lr=0.1, loss=squares)
    assert slopes[3].item() == pytest.approx(-0.045)
    assert all(slope.abs().max() == 0 for slope in slopes[:3])
    # Adam's first step is its rate, 0.001, against the gradient
    assert weights.item() == pytest.approx(1 / (1 + math.exp(-0.001)), abs=1e-9)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("batch", [1, 6])
def test_naive_meta_gradient(normalise, batch):
    """∂/∂θ of the meta loss = −(α/B) Σ_i ∂u_i/∂θ · <g_i, g_meta(w')>, u the weights, as explicit loops."""
    torch.manual_seed(3)
    module, meta, data, lr = nn.Linear(3, 3).double(), meta_weight(normalise), case(batch), 0.5
    inputs, target, meta_inputs, meta_target = data
    net = copy.deepcopy(meta.net)
    flat = [*module.parameters()]

    def gradient(x, y, at):
        weight, bias = at
        loss = functional.cross_entropy(x @ weight.T + bias, y)
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, at)])

    each = [gradient(inputs[i : i + 1], target[i : i + 1], flat) for i in range(batch)]
    losses = cross_entropy(module(inputs), target).detach()
    v = [net(losses[i : i + 1])[0] for i in range(batch)]
    total = sum(v)
    u = [item * batch / total if normalise else item for item in v]
    move = sum(u[i].item() * each[i] for i in range(batch)) * lr / batch
    moved = torch.cat([item.detach().flatten() for item in flat]) - move
    at = [moved[:9].reshape(3, 3).requires_grad_(), moved[9:].requires_grad_()]
    g_meta = gradient(meta_inputs, meta_target, at)
    expected = [torch.zeros_like(item) for item in net.parameters()]
    for i in range(batch):
        slopes = torch.autograd.grad(u[i], list(net.parameters()), retain_graph=True)
        for store, slope in zip(expected, slopes, strict=True):
            store.sub_(lr / batch * (each[i] @ g_meta) * slope)

    weights, found = weigh(meta, module, data, lr)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-9)
    # θ moved as torch's Adam moves it, and the weights are those of the new θ
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
    for item, slope in zip(net.parameters(), expected, strict=True):
        item.grad = slope
    optimizer.step()
    new = net(losses)
    torch.testing.assert_close(weights, new / new.mean() if normalise else new)
    if normalise:
        assert weights.mean().item() == pytest.approx(1)


@pytest.mark.parametrize("normalise", [False, True])
def test_meta_gradient_of_a_deep_module_by_finite_differences(normalise):
    torch.manual_seed(4)
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    meta, data = meta_weight(normalise), case()
    net = copy.deepcopy(meta.net)
    inputs, target, meta_inputs, meta_target = data

    def meta_loss():
        trial = copy.deepcopy(module)
        loss = cross_entropy(trial(inputs), target)
        v = net(loss.detach()).detach()
        ((v / v.mean() if normalise else v) * loss).mean().backward()
        with torch.no_grad():
            for item in trial.parameters():
                item.sub_(0.5 * item.grad)
            return cross_entropy(trial(meta_inputs), meta_target).mean().item()

    _, found = weigh(meta, module, data)
    for item, slope in zip(net.parameters(), found, strict=True):
        flat = item.data.view(-1)
        for k in (0, len(flat) // 2):
            old, h = flat[k].item(), 1e-5
            flat[k] = old + h
            up = meta_loss()
            flat[k] = old - h
            down = meta_loss()
            flat[k] = old
            assert slope.view(-1)[k].item() == pytest.approx((up - down) / (2 * h), abs=1e-9, rel=1e-5)


@pytest.mark.parametrize("lr", [0.5, 0.002])
def test_it_learns_to_distrust_wrong_labels(lr):
    """Two fifths of the labels are flipped: their loss is high once the classifier has learnt, so V must fall."""
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(200, 2, generator=generator)
    clean = (x[:, 0] > 0).long()
    noisy = torch.where(torch.rand(200, generator=generator) < 0.4, 1 - clean, clean)
    torch.manual_seed(0)
    module, meta = nn.Linear(2, 2), MetaWeight(lr=0.01, weight_decay=0.0)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    for _ in range(150):
        weights = meta.weigh(module, x, noisy, x[:20], clean[:20], cross_entropy, lr)
        optimizer.zero_grad()
        (weights * cross_entropy(module(x), noisy)).mean().backward()
        optimizer.step()
    assert weights[noisy != clean].mean() < 0.3 * weights[noisy == clean].mean()


# --- properties ------------------------------------------------------------------------------------------------


class WithBuffers(nn.Module):
    """Batch norm, a buffer written in place, one that is replaced, dropout, an unused and a frozen parameter."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 3))
        self.unused = nn.Parameter(torch.ones(2))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.register_buffer("calls", torch.zeros(()), persistent=False)
        self.register_buffer("last", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.last = x.detach().mean()
        return self.layers(x) * self.frozen


@pytest.mark.parametrize("training", [True, False])
def test_the_module_is_left_as_it_was(training):
    module = WithBuffers().double().train(training)
    cross_entropy(module(case()[0]), case()[1]).mean().backward()
    before, gradients = copied(module), [p.grad if p.grad is None else p.grad.clone() for p in module.parameters()]
    items, calls = [*module.parameters()], module.calls.clone()
    weights, slopes = weigh(meta_weight(), module, case())
    assert any(slope.abs().sum() > 0 for slope in slopes)
    assert weights.shape == (6,) and not weights.requires_grad
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert torch.equal(module.calls, calls)
    assert all(a is b for a, b in zip(items, module.parameters(), strict=True))
    for item, gradient in zip(items, gradients, strict=True):
        assert item.grad is None if gradient is None else torch.equal(item.grad, gradient)
    assert all(part.training is training for part in module.modules())


def test_inputs_get_no_gradient():
    inputs, *rest = case()
    inputs.requires_grad_()
    meta_weight().weigh(nn.Linear(3, 3).double(), inputs, *rest, cross_entropy, 0.5)
    assert inputs.grad is None


@pytest.mark.parametrize("normalise", [False, True])
def test_permuting_the_batch_permutes_the_weights(normalise):
    torch.manual_seed(0)
    module, (inputs, target, *rest) = nn.Linear(3, 3).double(), case()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    one, _ = weigh(meta_weight(normalise), module, (inputs, target, *rest))
    other, _ = weigh(meta_weight(normalise), module, (inputs[order], target[order], *rest))
    torch.testing.assert_close(other, one[order])
    assert one.std() > 0


def test_zero_gradients_leave_theta_but_for_its_decay():
    meta, data = meta_weight(), case()
    meta.optimizer.param_groups[0]["weight_decay"] = 0.0
    before = copied(meta.net)
    _, slopes = weigh(meta, nn.Linear(3, 3).double(), data, lr=0.0)
    assert all((slope == 0).all() for slope in slopes)
    for key, value in meta.net.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_and_extreme_losses_are_finite(dtype):
    meta = meta_weight(dtype=torch.float32)
    module = nn.Linear(3, 3)
    inputs, target, meta_inputs, meta_target = case(dtype=torch.float32)
    for scale in (1.0, 1e4, 1e4, 1.0):
        with torch.autocast("cpu", torch.bfloat16):
            data = ((scale * inputs).to(dtype), target, meta_inputs.to(dtype), meta_target)
            weights, _ = weigh(meta, module, data)
        assert weights.dtype == torch.float32
        assert weights.isfinite().all() and (weights >= 0).all()
        assert all(item.isfinite().all() for item in meta.net.parameters())


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("bias", [-200.0, -88.0, 200.0])
def test_sigmoids_at_their_ends_stay_finite(normalise, bias):
    meta = meta_weight(normalise, dtype=torch.float32)
    meta.net.layers[2].bias.data.fill_(bias)
    weights, slopes = weigh(meta, nn.Linear(3, 3), case(dtype=torch.float32))
    assert weights.isfinite().all() and all(slope.isfinite().all() for slope in slopes)
    if normalise:
        assert weights.mean().item() == pytest.approx(1)
    assert all(item.isfinite().all() for item in meta.net.parameters())


def test_state_resumes_identically(tmp_path):
    module, data = nn.Linear(3, 3).double(), case()
    meta = meta_weight()
    for _ in range(3):
        weigh(meta, module, data)
    torch.save(meta.state_dict(), tmp_path / "state.pt")
    again = MetaWeight()
    again.net.double()
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(3):
        assert torch.equal(weigh(meta, module, data)[0], weigh(again, module, data)[0])


def test_the_net_is_the_papers():
    net = MetaWeightNet()
    assert sum(item.numel() for item in net.parameters()) == 100 + 100 + 100 + 1
    weights = net(torch.linspace(0, 100, 50))
    assert weights.shape == (50,) and ((weights > 0) & (weights < 1)).all()
    assert METAS == ("none", "meta_weight", "maml")


def test_empty_batches_are_refused():
    inputs, target, meta_inputs, meta_target = case()
    for data in ((inputs[:0], target[:0], meta_inputs, meta_target), (inputs, target, meta_inputs[:0], meta_target)):
        with pytest.raises(DataError, match="meta pictures"):
            weigh(meta_weight(), nn.Linear(3, 3).double(), data)


# --- the meta set ----------------------------------------------------------------------------------------------


def test_meta_set_is_balanced_and_repeatable():
    labels = torch.tensor([0] * 50 + [2] * 3 + [3] * 20)[torch.randperm(73, generator=torch.Generator().manual_seed(5))]
    found = meta_set(labels, 5, torch.Generator().manual_seed(0))
    assert torch.bincount(labels[found], minlength=5).tolist() == [5, 0, 3, 5, 0]
    assert len(found.unique()) == len(found) and torch.equal(found, found.sort().values)
    assert torch.equal(found, meta_set(labels, 5, torch.Generator().manual_seed(0)))
    assert not torch.equal(found, meta_set(labels, 5, torch.Generator().manual_seed(1)))
    assert torch.equal(meta_set(labels, 99, torch.Generator()), torch.arange(73))
    assert meta_set(labels[:0], 5, torch.Generator()).tolist() == []
    with pytest.raises(ConfigError, match="`per_class`"):
        meta_set(labels, 0, torch.Generator())


def test_meta_set_draws_every_picture_equally_often():
    labels, counts = torch.tensor([0] * 8 + [1] * 2), torch.zeros(10)
    for seed in range(600):
        counts[meta_set(labels, 2, torch.Generator().manual_seed(seed))] += 1
    assert counts[8:].tolist() == [600, 600]
    assert (counts[:8] / 600 - 0.25).abs().max() < 0.08  # 4.5 standard deviations
