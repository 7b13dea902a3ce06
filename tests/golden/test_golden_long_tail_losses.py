"""LDAM, balanced softmax and logit adjustment: by hand, against the authors' formulas, against one another."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from fer_core.losses import build_loss
from fer_core.losses.ldam import label_distribution_margins

COUNTS = torch.tensor([582, 40, 6, 2])


def build(name, counts=COUNTS, margin=0.5, scale=1.0, tau=1.0, smoothing=0.0, reweight=None):
    return build_loss(
        name,
        class_counts=counts,
        focal_gamma=2.0,
        cb_beta=0.999,
        label_smoothing=smoothing,
        ldam_margin=margin,
        margin_scale=scale,
        logit_tau=tau,
        reweight=reweight,
    )


def batch(samples=5, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    target = torch.rand(samples, classes, generator=generator, dtype=torch.float64)
    return logits, target / target.sum(dim=1, keepdim=True)


def hard_batch():
    logits, target = batch(8)
    index = target.argmax(dim=1)
    return logits, index, functional.one_hot(index, 4).double()


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


# by hand: e^z = (1, 3)
HAND = torch.tensor([[0.0, math.log(3)]])


def test_margins_by_hand():
    # 81^(1/4) = 3, 16^(1/4) = 2: margins in the ratio 1/3 : 1/2, the larger is 0.6
    assert label_distribution_margins(torch.tensor([81, 16]), 0.6).tolist() == pytest.approx([0.4, 0.6])


def test_a_class_without_pictures_has_the_margin_of_a_class_with_one():
    assert label_distribution_margins(torch.tensor([16, 1, 0]), 0.5).tolist() == pytest.approx([0.25, 0.5, 0.5])
    # none with a single picture: the absent class has the largest margin, the others' are relative to it
    assert label_distribution_margins(torch.tensor([81, 16, 0]), 0.6).tolist() == pytest.approx([0.2, 0.3, 0.6])


def test_ldam_by_hand():
    loss = build("ldam", torch.tensor([16, 1]), margin=math.log(4))  # margins log 2, log 4
    first = -math.log(0.5 / (0.5 + 3))  # class 0 lowered: e^z = (1/2, 3)
    second = -math.log(0.75 / (1 + 0.75))  # class 1 lowered: e^z = (1, 3/4)
    assert loss(HAND, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(first, rel=1e-6)
    assert loss(HAND, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(second, rel=1e-6)
    soft = loss(HAND, torch.tensor([[0.25, 0.75]])).item()
    assert soft == pytest.approx(0.25 * first + 0.75 * second, rel=1e-6)


def test_ldam_label_smoothing_by_hand():
    loss = build("ldam", torch.tensor([16, 1]), margin=math.log(4), smoothing=0.2)  # target (0.1, 0.9)
    expected = 0.1 * -math.log(0.5 / 3.5) + 0.9 * -math.log(0.75 / 1.75)
    assert loss(HAND, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(expected, rel=1e-6)


def test_ldam_scale_by_hand():
    # a scale of 2 doubles the margins to log 4, log 16
    loss = build("ldam", torch.tensor([16, 1]), margin=math.log(4), scale=2.0)
    assert loss(HAND, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(-math.log(0.25 / 3.25), rel=1e-6)


def authors_ldam(cosine, index, scale, largest):
    """LDAM-DRW's code: s · (cos - Δ) on the true class, s · cos on the others, then cross-entropy."""
    margins = 1 / np.sqrt(np.sqrt(COUNTS.numpy()))
    margins = torch.as_tensor(margins * (largest / margins.max()))
    lowered = [row - margins[k] * functional.one_hot(k, 4) for row, k in zip(cosine, index, strict=True)]
    return functional.cross_entropy(scale * torch.stack(lowered), index)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_ldam_equals_the_authors_code(scale):
    logits, index, hard = hard_batch()
    same_gradients(
        lambda cosine: build("ldam", scale=scale)(scale * cosine, hard),
        lambda cosine: authors_ldam(cosine, index, scale, 0.5),
        logits.tanh(),
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("off", [{"margin": 0.0}, {"scale": 0.0}])
def test_ldam_without_margin_is_ce(off, smoothing):
    logits, target = batch()
    same_gradients(
        lambda z: build("ldam", smoothing=smoothing, **off)(z, target),
        lambda z: build("ce", smoothing=smoothing)(z, target),
        logits,
    )


def test_a_margin_only_ever_adds_to_the_loss_and_more_for_the_rare():
    logits = torch.zeros(4, 4)
    extra = build("ldam").per_sample(logits, torch.eye(4)) - build("ce").per_sample(logits, torch.eye(4))
    assert (extra > 0).all() and (extra.diff() > 0).all()


@pytest.mark.parametrize("name", ["balanced_softmax", "logit_adjusted"])
def test_prior_by_hand(name):
    # counts (5, 1): e^z · n = (5, 3), softmax (5/8, 3/8)
    loss = build(name, torch.tensor([5, 1]))
    assert loss(HAND, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(math.log(8 / 5), rel=1e-6)
    assert loss(HAND, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(math.log(8 / 3), rel=1e-6)
    half = 0.5 * math.log(8 / 5) + 0.5 * math.log(8 / 3)
    assert loss(HAND, torch.tensor([[0.5, 0.5]])).item() == pytest.approx(half, rel=1e-6)


@pytest.mark.parametrize("name", ["balanced_softmax", "logit_adjusted"])
def test_a_class_without_pictures_counts_as_one(name):
    logits, target = batch(classes=3)
    absent, one = (build(name, torch.tensor([9, 4, last]))(logits, target) for last in (0, 1))
    assert absent.item() == one.item()


def test_tau_by_hand():
    # τ = 2, π = (2/3, 1/3): e^z · π² = (4/9, 3/9), softmax (4/7, 3/7)
    loss = build("logit_adjusted", torch.tensor([2, 1]), tau=2.0)
    assert loss(HAND, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(math.log(7 / 3), rel=1e-6)


def test_balanced_softmax_equals_the_papers_formula():
    logits, index, hard = hard_batch()

    def paper(z):  # Ren et al.: n_y e^z_y / Σ n_j e^z_j
        weighted = COUNTS * z.exp()
        return -(weighted[torch.arange(8), index] / weighted.sum(dim=1)).log().mean()

    same_gradients(lambda z: build("balanced_softmax")(z, hard), paper, logits)


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_logit_adjustment_equals_the_papers_pairwise_formula(tau):
    logits, index, hard = hard_batch()
    prior = COUNTS / COUNTS.sum()

    def paper(z):  # Menon et al., eq. 10: log( 1 + Σ_{j≠y} (π_j / π_y)^τ e^(z_j - z_y) )
        losses = []
        for row, y in zip(z, index.tolist(), strict=True):
            others = [(prior[j] / prior[y]) ** tau * (row[j] - row[y]).exp() for j in range(4) if j != y]
            losses.append(torch.stack(others).sum().log1p())
        return torch.stack(losses).mean()

    same_gradients(lambda z: build("logit_adjusted", tau=tau)(z, hard), paper, logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reweight", [False, True])
@pytest.mark.parametrize(("tau", "other"), [(1.0, "balanced_softmax"), (0.0, "ce")])
def test_logit_adjustment_contains_balanced_softmax_and_ce(tau, other, reweight, smoothing):
    logits, target = batch()
    same_gradients(
        lambda z: build("logit_adjusted", tau=tau, reweight=reweight, smoothing=smoothing)(z, target),
        lambda z: build(other, reweight=reweight, smoothing=smoothing)(z, target),
        logits,
    )
