"""Cross-entropy, focal and class-balanced loss: by hand, as naive loops from the papers, against torch(vision)."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from fer_core.losses import LOSSES, build_loss
from fer_core.losses.class_balanced import effective_number_weights

COUNTS = torch.tensor([582, 40, 6, 0])


def build(name, gamma=2.0, beta=0.999, smoothing=0.0, counts=COUNTS):
    return build_loss(name, class_counts=counts, focal_gamma=gamma, cb_beta=beta, label_smoothing=smoothing)


def batch(samples=5, classes=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(samples, classes, generator=generator, dtype=dtype)
    target = torch.rand(samples, classes, generator=generator, dtype=dtype)
    return logits, target / target.sum(dim=1, keepdim=True)


# by hand: softmax(log 1, log 3) = (1/4, 3/4)
HAND = torch.tensor([[0.0, math.log(3)]])


def test_ce_by_hand():
    loss = build("ce", counts=torch.tensor([1, 1]))
    assert loss(HAND, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(math.log(4 / 3), rel=1e-6)
    assert loss(HAND, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(math.log(4), rel=1e-6)
    half = 0.5 * math.log(4 / 3) + 0.5 * math.log(4)
    assert loss(HAND, torch.tensor([[0.5, 0.5]])).item() == pytest.approx(half, rel=1e-6)


def test_ce_label_smoothing_by_hand():
    loss = build("ce", smoothing=0.2, counts=torch.tensor([1, 1]))  # target (0.1, 0.9)
    expected = 0.1 * math.log(4) + 0.9 * math.log(4 / 3)
    assert loss(HAND, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(expected, rel=1e-6)


def test_focal_by_hand():
    loss = build("focal", gamma=2.0)
    assert loss(HAND, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(math.log(4 / 3) / 16, rel=1e-5)
    assert loss(HAND, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(9 / 16 * math.log(4), rel=1e-6)


def test_effective_numbers_by_hand():
    # β = 0.5: (1 - β) / (1 - β^n) is 1 for n = 1, 2/3 for n = 2; their mean is 5/6
    weights = effective_number_weights(torch.tensor([1, 2]), 0.5)
    assert weights.tolist() == pytest.approx([6 / 5, 4 / 5])


def test_cb_by_hand():
    loss = build("cb", beta=0.5, counts=torch.tensor([1, 2]))
    assert loss(HAND, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(1.2 * math.log(4), rel=1e-6)
    assert loss(HAND, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(0.8 * math.log(4 / 3), rel=1e-6)


def naive(name, logits, target, gamma, beta, smoothing, counts):
    raw = [(1 - beta) / (1 - beta**n) if n > 0 else None for n in counts.tolist()]
    mean = np.mean([value for value in raw if value is not None])
    weights = [1.0 if value is None else value / mean for value in raw]
    total = 0.0
    for z, y in zip(logits.tolist(), target.tolist(), strict=True):
        p = np.exp(z) / np.exp(z).sum()
        for k in range(len(z)):
            share = y[k] * (1 - smoothing) + smoothing / len(z)
            factor = {"ce": 1.0, "focal": (1 - p[k]) ** gamma, "cb": weights[k]}[name]
            total += share * factor * -math.log(p[k])
    return total / len(logits)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.5, 2.0, 3.0])
def test_naive_loop(name, gamma, smoothing):
    logits, target = batch()
    ours = build(name, gamma, 0.99, smoothing)(logits, target).item()
    assert ours == pytest.approx(naive(name, logits, target, gamma, 0.99, smoothing, COUNTS), rel=1e-10)


def same_gradients(ours, reference, logits):
    values, gradients = [], []
    for loss in (ours, reference):
        z = logits.clone().requires_grad_()
        value = loss(z)
        (gradient,) = torch.autograd.grad(value, z)
        values.append(value.detach())
        gradients.append(gradient)
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


def test_ce_equals_torch_on_hard_targets():
    logits, target = batch()
    index = target.argmax(dim=1)
    hard = functional.one_hot(index, 4).double()
    same_gradients(
        lambda z: build("ce", smoothing=0.1)(z, hard),
        lambda z: functional.cross_entropy(z, index, label_smoothing=0.1),
        logits,
    )


def test_focal_equals_torchvision_for_two_classes():
    z, _ = batch(samples=16, classes=1)
    index = (torch.arange(16) % 2).double()
    hard = torch.stack([1 - index, index], dim=1)
    same_gradients(
        lambda x: build("focal", gamma=2.0)(torch.cat([torch.zeros_like(x), x], dim=1), hard),
        lambda x: sigmoid_focal_loss(x[:, 0], index, alpha=-1, gamma=2.0, reduction="mean"),
        z,
    )


def test_focal_without_focus_is_ce():
    logits, target = batch()
    same_gradients(
        lambda z: build("focal", gamma=0.0, smoothing=0.1)(z, target),
        lambda z: build("ce", smoothing=0.1)(z, target),
        logits,
    )


def test_cb_equals_torch_with_the_papers_weights():
    logits, target = batch()
    present = COUNTS[:3].double()
    raw = (1 - 0.9999) / (1 - 0.9999**present)
    weight = torch.cat([raw / raw.sum() * 3, torch.ones(1)])  # the authors' code: weights / sum · classes
    same_gradients(
        lambda z: build("cb", beta=0.9999)(z, target),
        lambda z: functional.cross_entropy(z, target, weight=weight),
        logits,
    )


@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck(name):
    logits, target = batch(3)
    loss = build(name, smoothing=0.05)
    assert torch.autograd.gradcheck(lambda z: loss(z, target), logits.requires_grad_())


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999, 0.9999, 0.9999999])
def test_weights_are_finite_with_mean_one_and_favour_the_rare(beta):
    weights = effective_number_weights(COUNTS, beta)
    assert weights.isfinite().all() and (weights > 0).all()
    assert weights.mean().item() == pytest.approx(1)
    assert weights[3] == 1
    if beta > 0:
        assert weights[0] < weights[1] < weights[2]
    else:
        assert weights.tolist() == [1, 1, 1, 1]


def test_beta_near_one_is_inverse_frequency():
    weights = effective_number_weights(torch.tensor([600, 6]), 1 - 1e-9)
    assert (weights[1] / weights[0]).item() == pytest.approx(100, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_degenerate_batches_are_finite(name, dtype):
    loss = build(name, gamma=0.5, smoothing=0.1)
    for logits in ([[0.0] * 4], [[90.0, -90.0, 0.0, 0.0]], [[-1e4, 0.0, 0.0, 1e4]], [[1e4] * 4]):
        for label in range(4):
            z = torch.tensor(logits, dtype=dtype, requires_grad=True)
            value = loss(z, functional.one_hot(torch.tensor([label]), 4).float())
            value.backward()
            assert value.dtype == torch.float32
            assert value.isfinite() and z.grad.isfinite().all()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(LOSSES)),
    st.integers(1, 6),
    st.integers(0, 10**6),
    st.floats(-50, 50),
)
def test_properties(name, samples, seed, shift):
    logits, target = batch(samples, 4, seed)
    loss = build(name)(logits, target)
    assert loss >= 0
    torch.testing.assert_close(build(name)(logits + shift, target), loss)  # softmax sees differences only
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(build(name)(logits[order], target[order]), loss)
    classes = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    permuted = build(name, counts=COUNTS[classes])(logits[:, classes], target[:, classes])
    torch.testing.assert_close(permuted, loss)
