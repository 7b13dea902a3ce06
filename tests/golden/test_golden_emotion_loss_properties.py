"""All emotion losses: naive loops from the papers' formulas, gradients, symmetries, degenerate batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fer_core.losses import LOSSES, build_loss

COUNTS = torch.tensor([582, 40, 6, 0])
PLAIN = {"class_counts": COUNTS, "focal_gamma": 2.0, "cb_beta": 0.99, "label_smoothing": 0.0}
PLAIN |= {"ldam_margin": 0.5, "margin_scale": 3.0, "logit_tau": 1.5}


def build(name, **changes):
    return build_loss(name, **{**PLAIN, **changes})


def batch(samples=5, classes=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(samples, classes, generator=generator, dtype=dtype)
    target = torch.rand(samples, classes, generator=generator, dtype=dtype)
    return logits, target / target.sum(dim=1, keepdim=True)


def naive_weights(counts, beta):
    raw = [(1 - beta) / (1 - beta**n) if n > 0 else None for n in counts]
    mean = np.mean([value for value in raw if value is not None])
    return [1.0 if value is None else value / mean for value in raw]


def naive_term(name, z, k, counts, gamma):
    """Return l_k of one picture with logits z if k were its only label."""
    seen = [max(n, 1) for n in counts]  # a class without pictures counts as one
    total = sum(seen)
    if name == "ldam":
        largest = max(n**-0.25 for n in seen)
        own = math.exp(z[k] - 3.0 * 0.5 * seen[k] ** -0.25 / largest)
        return -math.log(own / (own + sum(math.exp(z[j]) for j in range(len(z)) if j != k)))
    tau = {"balanced_softmax": 1.0, "logit_adjusted": 1.5}.get(name, 0.0)
    scores = [math.exp(z[j]) * (seen[j] / total) ** tau for j in range(len(z))]
    p = scores[k] / sum(scores)
    return (1 - p) ** (gamma if "focal" in name else 0) * -math.log(p)


def naive(name, logits, target, gamma, beta, smoothing, reweight):
    counts = COUNTS.tolist()
    weighted = reweight if reweight is not None else name in ("cb", "cb_focal")
    weights = naive_weights(counts, beta) if weighted else [1.0] * len(counts)
    total = 0.0
    for z, y in zip(logits.tolist(), target.tolist(), strict=True):
        for k in range(len(z)):
            share = y[k] * (1 - smoothing) + smoothing / len(z)
            total += share * weights[k] * naive_term(name, z, k, counts, gamma)
    return total / len(logits)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reweight", [None, False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_naive_loop(name, gamma, smoothing, reweight):
    logits, target = batch()
    loss = build(name, focal_gamma=gamma, label_smoothing=smoothing, reweight=reweight)
    expected = naive(name, logits, target, gamma, 0.99, smoothing, reweight)
    assert loss(logits, target).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reweight", [False, True])
def test_gradcheck(name, reweight):
    logits, target = batch(3)
    loss = build(name, label_smoothing=0.05, reweight=reweight)
    assert torch.autograd.gradcheck(lambda z: loss.per_sample(z, target), logits.requires_grad_())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(LOSSES)), st.integers(1, 6), st.integers(0, 10**6), st.floats(-50, 50))
def test_symmetries(name, samples, seed, shift):
    logits, target = batch(samples, 4, seed)
    generator = torch.Generator().manual_seed(seed)
    per_sample = build(name).per_sample(logits, target)
    assert per_sample.shape == (samples,) and (per_sample >= 0).all()
    torch.testing.assert_close(build(name)(logits, target), per_sample.mean())
    # softmax sees differences only
    torch.testing.assert_close(build(name).per_sample(logits + shift, target), per_sample)
    order = torch.randperm(samples, generator=generator)
    torch.testing.assert_close(build(name).per_sample(logits[order], target[order]), per_sample[order])
    classes = torch.randperm(4, generator=generator)
    permuted = build(name, class_counts=COUNTS[classes])
    torch.testing.assert_close(permuted.per_sample(logits[:, classes], target[:, classes]), per_sample)
    # linear in the target: a mixed picture's loss is the mixture of the losses
    hard = [build(name).per_sample(logits, row.expand(samples, 4)) for row in torch.eye(4).double()]
    torch.testing.assert_close((target * torch.stack(hard, dim=1)).sum(dim=1), per_sample)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(LOSSES)),
    st.lists(st.one_of(st.integers(0, 600), st.floats(0, 600)), min_size=1, max_size=7),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    st.sampled_from([0.0, 0.9, 0.999999]),
    st.integers(0, 10**6),
)
def test_any_counts_give_finite_losses_and_gradients(name, counts, samples, gamma, beta, seed):
    logits, target = batch(samples, len(counts), seed, dtype=torch.float32)
    logits.requires_grad_()
    loss = build(name, class_counts=torch.tensor(counts, dtype=torch.float64), focal_gamma=gamma, cb_beta=beta)
    value = loss(logits, target)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_one_class_has_nothing_to_learn(name):
    logits = torch.tensor([[3.0], [-2.0]], requires_grad=True)
    value = build(name, class_counts=torch.tensor([5]), label_smoothing=0.1)(logits, torch.ones(2, 1))
    value.backward()
    assert value.item() == pytest.approx(0)
    assert logits.grad.abs().max() == pytest.approx(0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_extreme_logits_are_finite_in_every_precision(name, dtype):
    loss = build(name, focal_gamma=0.5, label_smoothing=0.1)
    for logits in ([[0.0] * 4], [[90.0, -90.0, 0.0, 0.0]], [[-1e4, 0.0, 0.0, 1e4]], [[1e4] * 4]):
        for label in range(4):
            z = torch.tensor(logits, dtype=dtype, requires_grad=True)
            value = loss(z, functional.one_hot(torch.tensor([label]), 4).float())
            value.backward()
            assert value.dtype == torch.float32
            assert value.isfinite() and z.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(name, dtype):
    logits, target = batch(4, dtype=torch.float32)
    half = logits.to(dtype)
    torch.testing.assert_close(build(name)(half, target), build(name)(half.float(), target), rtol=0, atol=0)
