"""AU losses: by hand, as naive loops, against torch, timm and scikit-learn; NaN is "not annotated"."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from timm.loss import AsymmetricLossMultiLabel
from torch import nn

from fer_core.errors import ConfigError
from fer_core.losses.au import AU_LOSSES, build_au_loss, masked_bce
from fer_core.losses.au_weighted import balanced_weights

NAN = math.nan
POSITIVES, ANNOTATED = torch.tensor([3, 50, 0, 20]), torch.tensor([80, 100, 40, 20])  # the last two: all of one kind


def build(name, positives=POSITIVES, annotated=ANNOTATED, gamma_pos=1.0, gamma_neg=4.0, clip=0.05):
    return build_au_loss(
        name,
        positives=positives,
        annotated=annotated,
        asl_gamma_pos=gamma_pos,
        asl_gamma_neg=gamma_neg,
        asl_clip=clip,
    )


def random_case(rows, columns=4, seed=0, soft=False):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    labels = torch.rand(rows, columns, generator=generator, dtype=torch.float64)
    labels = labels if soft else labels.round()
    labels[torch.rand(rows, columns, generator=generator) < 0.4] = NAN
    return logits, labels


def value_and_gradient(loss, logits):
    z = logits.clone().requires_grad_()
    value = loss(z)
    (gradient,) = torch.autograd.grad(value, z)
    return value.detach(), gradient


# by hand: sigmoid(0) = 1/2, sigmoid(log 3) = 3/4
HAND = torch.tensor([[0.0, math.log(3)]])


def test_balanced_weights_by_hand():
    # 1 of 4 present: 4 / (2 · 1) and 4 / (2 · 3); 2 of 4: all 1; all of one kind: 1
    present, absent = balanced_weights(torch.tensor([1, 2, 0, 4, 0]), torch.tensor([4, 4, 4, 4, 0]))
    assert present.tolist() == pytest.approx([2, 1, 1, 1, 1])
    assert absent.tolist() == pytest.approx([2 / 3, 1, 1, 1, 1])


def test_weighted_bce_by_hand():
    loss = build("weighted_bce", torch.tensor([1, 1]), torch.tensor([4, 4]))
    value = loss(HAND, torch.tensor([[1.0, 0.0]])).item()
    assert value == pytest.approx((2 * math.log(2) + 2 / 3 * math.log(4)) / 2, rel=1e-6)
    soft = loss(HAND, torch.tensor([[NAN, 0.25]])).item()
    assert soft == pytest.approx(0.25 * 2 * math.log(4 / 3) + 0.75 * 2 / 3 * math.log(4), rel=1e-6)


def test_asymmetric_by_hand():
    loss = build("asymmetric", gamma_pos=1.0, gamma_neg=2.0, clip=0.25)
    # present at p = 1/2: (1/2) · log 2; absent at p = 3/4: p_m = 1/2, (1/2)² · log 2
    assert loss(HAND, torch.tensor([[1.0, NAN]])).item() == pytest.approx(math.log(2) / 2, rel=1e-6)
    assert loss(HAND, torch.tensor([[NAN, 0.0]])).item() == pytest.approx(math.log(2) / 4, rel=1e-6)
    assert loss(HAND, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(3 / 8 * math.log(2), rel=1e-6)
    # half present at p = 3/4: half of (1/4) · log 4/3 and half of the absent term
    half = 0.5 * math.log(4 / 3) / 4 + 0.5 * math.log(2) / 4
    assert loss(HAND, torch.tensor([[NAN, 0.5]])).item() == pytest.approx(half, rel=1e-6)


def test_an_absent_au_below_the_clip_costs_nothing_and_pulls_nothing():
    z = torch.tensor([[0.04, 0.06]]).logit().requires_grad_()
    loss = build("asymmetric", gamma_neg=1.0, clip=0.05)
    loss(z, torch.zeros(1, 2)).backward()
    assert z.grad[0, 0] == 0 and z.grad[0, 1] > 0
    assert loss(z[:, :1], torch.zeros(1, 1)) == 0


def naive_element(name, z, y, a, gamma_pos, gamma_neg, clip):
    p = 1 / (1 + math.exp(-z))
    if name == "asymmetric":
        shifted = max(p - clip, 0)
        return -y * (1 - p) ** gamma_pos * math.log(p) - (1 - y) * shifted**gamma_neg * math.log(1 - shifted)
    present = absent = 1.0
    if name == "weighted_bce":
        n, k = ANNOTATED[a].item(), POSITIVES[a].item()
        present, absent = (n / (2 * k), n / (2 * (n - k))) if 0 < k < n else (1.0, 1.0)
    return -y * present * math.log(p) - (1 - y) * absent * math.log(1 - p)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(AU_LOSSES)),
    st.integers(1, 5),
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from([(1.0, 4.0, 0.05), (0.0, 2.0, 0.0), (0.5, 0.5, 0.2), (2.0, 0.0, 0.05)]),
)
def test_naive_loop(name, rows, seed, soft, focus):
    logits, labels = random_case(rows, seed=seed, soft=soft)
    elements = [
        naive_element(name, logits[i, a].item(), labels[i, a].item(), a, *focus)
        for i in range(rows)
        for a in range(4)
        if not labels[i, a].isnan()
    ]
    expected = sum(elements) / max(len(elements), 1)
    loss = build(name, gamma_pos=focus[0], gamma_neg=focus[1], clip=focus[2])
    assert loss(logits, labels).item() == pytest.approx(expected, rel=1e-9)


def test_bce_is_masked_bce():
    logits, labels = random_case(6, soft=True)
    assert build("bce")(logits, labels) == masked_bce(logits, labels)


@pytest.mark.parametrize(("positives", "annotated"), [(3, 80), (50, 100), (99, 100)])
def test_balanced_weights_equal_scikit_learn(positives, annotated):
    labels = np.repeat([0, 1], [annotated - positives, positives])
    absent, present = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    ours = balanced_weights(torch.tensor([positives]), torch.tensor([annotated]))
    assert [float(weight) for weight in ours] == pytest.approx([present, absent])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=6))
def test_the_mean_balanced_weight_of_every_au_is_one(counts):
    positives, negatives = (torch.tensor(column) for column in zip(*counts, strict=True))
    present, absent = balanced_weights(positives, positives + negatives)
    assert (present > 0).all() and (absent > 0).all()
    total = (positives + negatives).double()
    torch.testing.assert_close(positives * present + negatives * absent, total)


def test_weighted_bce_equals_torch_up_to_the_weight_of_the_absent():
    logits, labels = random_case(12, columns=1, soft=True)
    labels = labels.nan_to_num(0.5)
    loss = build("weighted_bce", torch.tensor([10]), torch.tensor([100]))
    reference = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([90 / 10], dtype=torch.float64))
    ours = value_and_gradient(lambda z: loss(z, labels), logits)
    theirs = value_and_gradient(lambda z: reference(z, labels), logits)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other * 100 / (2 * 90))


@pytest.mark.parametrize(("gamma_pos", "gamma_neg", "clip"), [(1, 4, 0.05), (0, 4, 0.05), (2, 2, 0.0), (0, 0, 0.1)])
def test_asymmetric_equals_timm_on_the_annotated_elements(gamma_pos, gamma_neg, clip):
    logits, labels = random_case(8)
    known = ~labels.isnan()
    loss = build("asymmetric", gamma_pos=gamma_pos, gamma_neg=gamma_neg, clip=clip)
    timm = AsymmetricLossMultiLabel(gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip)

    def reference(z):  # one row: timm's sum over columns is then the sum over all elements, in any version
        return timm(z[known].unsqueeze(0), labels[known].unsqueeze(0)) / known.sum()

    ours = value_and_gradient(lambda z: loss(z, labels), logits)
    theirs = value_and_gradient(reference, logits)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other.double(), rtol=1e-5, atol=1e-6)  # timm computes in float32


def test_timm_too_lets_gradients_through_the_focusing_factor_by_default():
    assert AsymmetricLossMultiLabel().disable_torch_grad_focal_loss is False


def test_asymmetric_without_focus_and_clip_is_bce():
    logits, labels = random_case(6, soft=True)
    loss = build("asymmetric", gamma_pos=0, gamma_neg=0, clip=0)
    ours = value_and_gradient(lambda z: loss(z, labels), logits)
    theirs = value_and_gradient(lambda z: masked_bce(z, labels), logits)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("name", AU_LOSSES)
@pytest.mark.parametrize("soft", [False, True])
def test_gradcheck(name, soft):
    logits, labels = random_case(4, seed=2, soft=soft)
    loss = build(name)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits.requires_grad_())


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(AU_LOSSES)), st.integers(1, 6), st.integers(0, 10**6))
def test_symmetries(name, rows, seed):
    logits, labels = random_case(rows, seed=seed, soft=True)
    value, gradient = value_and_gradient(lambda z: build(name)(z, labels), logits)
    assert value >= 0
    assert (gradient[labels.isnan()] == 0).all()
    generator = torch.Generator().manual_seed(seed)
    order, columns = torch.randperm(rows, generator=generator), torch.randperm(4, generator=generator)
    torch.testing.assert_close(build(name)(logits[order], labels[order]), value)
    permuted = build(name, POSITIVES[columns], ANNOTATED[columns])
    torch.testing.assert_close(permuted(logits[:, columns], labels[:, columns]), value)
    # what the model says of an AU that nobody annotated does not matter
    torch.testing.assert_close(build(name)(torch.where(labels.isnan(), 1e3, logits), labels), value)


@pytest.mark.parametrize("name", AU_LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("label", [0.0, 0.5, 1.0, NAN])
def test_extreme_logits_are_finite_in_every_precision(name, dtype, label):
    logits = torch.tensor([[-1e4, -90.0, 90.0, 1e4], [0.0, -3.0, 3.0, -20.0]], dtype=dtype, requires_grad=True)
    for focus in ({}, {"gamma_pos": 0.5, "gamma_neg": 0.5}, {"clip": 0.0}):
        logits.grad = None
        value = build(name, **focus)(logits, torch.full((2, 4), label))
        value.backward()
        assert value.dtype == torch.float32
        assert value.isfinite() and logits.grad.isfinite().all()
        if math.isnan(label):
            assert value == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize("name", AU_LOSSES)
def test_no_au_columns(name):
    none = torch.zeros(0)
    logits = torch.zeros(2, 0, requires_grad=True)
    value = build(name, none, none)(logits, torch.zeros(2, 0))
    value.backward()
    assert value.item() == 0


@pytest.mark.parametrize("name", AU_LOSSES)
def test_losses_leave_no_tensor_in_a_checkpoint(name):
    assert build(name).state_dict() == {}


def test_unknown_au_loss_names_the_nearest():
    with pytest.raises(ConfigError, match=r"`au_loss` to be one of asymmetric, bce, weighted_bce; got 'bse'. Did you"):
        build("bse")


@pytest.mark.parametrize(
    ("key", "value"), [("gamma_pos", -1.0), ("gamma_neg", NAN), ("clip", 1.0), ("clip", -0.1), ("gamma_neg", math.inf)]
)
def test_settings_out_of_range_are_refused_by_key(key, value):
    with pytest.raises(ConfigError, match=f"asl_{key}"):
        build("asymmetric", **{key: value})


@pytest.mark.parametrize(("positives", "annotated"), [([3], [2]), ([-1], [2]), ([1], [2, 2]), ([NAN], [2])])
def test_counts_that_cannot_be_are_refused(positives, annotated):
    with pytest.raises(ConfigError, match="positives"):
        build("weighted_bce", torch.tensor(positives), torch.tensor(annotated))
