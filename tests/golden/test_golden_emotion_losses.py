"""Cross-entropy, focal, class-balanced (focal) loss: by hand and against torch(vision); weights, DRW.

The naive loops and the properties of all emotion losses are in test_golden_emotion_loss_properties.py, the losses for
long-tailed data by hand in test_golden_long_tail_losses.py.
"""

import math

import pytest
import torch
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from fer_core.errors import ConfigError
from fer_core.losses import LOSSES, build_loss
from fer_core.losses.class_balanced import effective_number_weights

COUNTS = torch.tensor([582, 40, 6, 0])


def build(name, gamma=2.0, beta=0.999, smoothing=0.0, counts=COUNTS, reweight=None):
    return build_loss(
        name,
        class_counts=counts,
        focal_gamma=gamma,
        cb_beta=beta,
        label_smoothing=smoothing,
        ldam_margin=0.5,
        margin_scale=1.0,
        logit_tau=1.0,
        reweight=reweight,
    )


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


def test_cb_focal_by_hand():
    loss = build("cb_focal", gamma=2.0, beta=0.5, counts=torch.tensor([1, 2]))  # weights 1.2, 0.8; 1 - p = 3/4, 1/4
    assert loss(HAND, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(1.2 * 9 / 16 * math.log(4), rel=1e-6)
    assert loss(HAND, torch.tensor([[0.0, 1.0]])).item() == pytest.approx(0.8 / 16 * math.log(4 / 3), rel=1e-5)


def test_per_sample_by_hand():
    loss = build("cb", beta=0.5, counts=torch.tensor([1, 2]))
    per_sample = loss.per_sample(HAND.repeat(2, 1), torch.eye(2))
    assert per_sample.tolist() == pytest.approx([1.2 * math.log(4), 0.8 * math.log(4 / 3)], rel=1e-6)


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


def test_cb_focal_equals_torchvision_for_two_classes_with_alpha():
    # torchvision weighs class 1 by α and class 0 by 1 - α; our weights have mean 1: α = w_1 / 2
    z, _ = batch(samples=16, classes=1)
    index = (torch.arange(16) % 2).double()
    hard = torch.stack([1 - index, index], dim=1)
    counts = torch.tensor([90, 10])
    alpha = effective_number_weights(counts, 0.99)[1].item() / 2
    same_gradients(
        lambda x: build("cb_focal", beta=0.99, counts=counts)(torch.cat([torch.zeros_like(x), x], dim=1), hard),
        lambda x: 2 * sigmoid_focal_loss(x[:, 0], index, alpha=alpha, gamma=2.0, reduction="mean"),
        z,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cb_focal_without_focus_is_cb(smoothing):
    logits, target = batch()
    same_gradients(
        lambda z: build("cb_focal", gamma=0.0, smoothing=smoothing)(z, target),
        lambda z: build("cb", smoothing=smoothing)(z, target),
        logits,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cb_equals_torch_with_the_papers_weights(smoothing):
    logits, target = batch()
    present = COUNTS[:3].double()
    raw = (1 - 0.9999) / (1 - 0.9999**present)
    weight = torch.cat([raw / raw.sum() * 3, torch.ones(1)])  # the authors' code: weights / sum · classes
    same_gradients(
        lambda z: build("cb", beta=0.9999, smoothing=smoothing)(z, target),
        lambda z: functional.cross_entropy(z, target, weight=weight, label_smoothing=smoothing),
        logits,
    )


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


def test_beta_0_9999_is_within_three_percent_of_inverse_frequency_up_to_582_pictures():
    weights = effective_number_weights(torch.tensor([582, 1]), 0.9999)
    assert (weights[1] / weights[0]).item() == pytest.approx(582, rel=0.03)


def test_soft_counts():
    # β = 0.25: 1 - β^0.5 would be 1/2, but half a picture counts as one; 1 - β^1.5 = 7/8
    weights = effective_number_weights(torch.tensor([0.5, 1.5, 0.0]), 0.25)
    raw = [1.0, 0.75 / (7 / 8)]
    mean = sum(raw) / 2
    assert weights.tolist() == pytest.approx([raw[0] / mean, raw[1] / mean, 1.0])


@pytest.mark.parametrize("counts", [[3.0, -1.0], [3.0, math.nan], [3.0, math.inf]])
@pytest.mark.parametrize("name", LOSSES)
def test_counts_that_are_no_counts_are_refused(name, counts):
    with pytest.raises(ConfigError, match="class_counts"):
        build(name, counts=torch.tensor(counts))


def test_no_pictures_at_all_is_no_weighting():
    assert effective_number_weights(torch.zeros(3), 0.999).tolist() == [1, 1, 1]


@pytest.mark.parametrize(("weighted", "plain"), [("cb", "ce"), ("cb_focal", "focal")])
def test_reweight_switches_between_the_plain_and_the_class_balanced_loss(weighted, plain):
    logits, target = batch()
    value = {
        (name, flag): build(name, reweight=flag)(logits, target).item()
        for name in (weighted, plain)
        for flag in (None, False, True)
    }
    assert value[weighted, None] == value[weighted, True] == value[plain, True]
    assert value[plain, None] == value[plain, False] == value[weighted, False]
    assert value[weighted, None] != value[plain, None]


@pytest.mark.parametrize("name", LOSSES)
def test_reweight_multiplies_every_sample_by_its_classes_weight(name):
    logits, _ = batch(4)
    weights = effective_number_weights(COUNTS, 0.999)
    before = build(name, reweight=False).per_sample(logits, torch.eye(4).double())
    after = build(name, reweight=True).per_sample(logits, torch.eye(4).double())
    torch.testing.assert_close(after, weights * before)


@pytest.mark.parametrize("reweight", [None, False, True])
def test_a_bad_beta_is_found_before_the_deferral_epoch(reweight):
    with pytest.raises(ConfigError, match="cb_beta"):
        build("ldam", beta=1.0, reweight=reweight)
