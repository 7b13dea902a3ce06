"""Plain AU loss and AU intensities: by hand, as a loop, against torch; NaN is "not annotated", never "absent"."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fer_core.losses.au import masked_bce
from fer_core.losses.intensity import masked_intensity_loss

NAN = math.nan


def test_by_hand():
    logits = torch.tensor([[0.0, math.log(3)], [7.0, -2.0]])  # sigmoid 1/2, 3/4
    labels = torch.tensor([[1.0, 0.0], [NAN, NAN]])
    assert masked_bce(logits, labels).item() == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-6)


def test_soft_label_by_hand():
    value = masked_bce(torch.tensor([[math.log(3)]]), torch.tensor([[0.25]]))
    assert value.item() == pytest.approx(0.25 * math.log(4 / 3) + 0.75 * math.log(4), rel=1e-6)


def random_case(rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    labels = torch.rand(rows, columns, generator=generator, dtype=torch.float64).round()
    labels[torch.rand(rows, columns, generator=generator) < 0.4] = NAN
    return logits, labels


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 10**6))
def test_naive_loop(rows, columns, seed):
    logits, labels = random_case(rows, columns, seed)
    total, count = 0.0, 0
    for i in range(rows):
        for j in range(columns):
            y, z = labels[i, j].item(), logits[i, j].item()
            if not math.isnan(y):
                p = 1 / (1 + math.exp(-z))
                total -= y * math.log(p) + (1 - y) * math.log(1 - p)
                count += 1
    assert masked_bce(logits, labels).item() == pytest.approx(total / max(count, 1), rel=1e-6)


def test_equals_torch_on_the_annotated_elements():
    logits, labels = random_case(6, 5, 1)
    known = ~labels.isnan()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    value = masked_bce(ours, labels)
    reference = functional.binary_cross_entropy_with_logits(theirs[known], labels[known])
    value.backward()
    reference.backward()
    torch.testing.assert_close(value, reference)
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert (ours.grad[~known] == 0).all()


def test_gradcheck():
    logits, labels = random_case(4, 3, 2)
    assert torch.autograd.gradcheck(lambda z: masked_bce(z, labels), logits.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_nothing_annotated_is_a_zero_that_can_be_stepped(dtype):
    logits = torch.full((2, 3), 40.0, dtype=dtype, requires_grad=True)
    value = masked_bce(logits, torch.full((2, 3), NAN))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


def test_no_au_columns():
    logits = torch.zeros(2, 0, requires_grad=True)
    value = masked_bce(logits, torch.zeros(2, 0))
    value.backward()
    assert value.item() == 0


def test_null_is_not_absent():
    logits = torch.tensor([[3.0, 3.0]])
    null, absent = torch.tensor([[1.0, NAN]]), torch.tensor([[1.0, 0.0]])
    assert masked_bce(logits, null) < masked_bce(logits, absent)


def test_intensity_by_hand():
    # FACS 5 -> 1, 0 -> 0, 2 -> 0.4: squares 0.25, 0.01 and 0.04 over three known of four
    predicted = torch.tensor([[0.5, 0.1, 0.2, 0.9]])
    value = masked_intensity_loss(predicted, torch.tensor([[5.0, 0.0, 2.0, NAN]]))
    assert value.item() == pytest.approx(0.30 / 3, rel=1e-6)


def test_intensity_equals_torch_on_the_known_elements():
    predicted, labels = random_case(6, 5, 3)
    intensity = (labels * predicted.abs()).clamp(max=5).round()
    known = ~intensity.isnan()
    ours, theirs = predicted.clone().requires_grad_(), predicted.clone().requires_grad_()
    value = masked_intensity_loss(ours, intensity)
    reference = functional.mse_loss(theirs[known], intensity[known] / 5)
    value.backward()
    reference.backward()
    torch.testing.assert_close(value, reference)
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert torch.autograd.gradcheck(lambda p: masked_intensity_loss(p, intensity), predicted.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_no_intensity_known_is_a_zero_that_can_be_stepped(dtype):
    predicted = torch.full((2, 3), 0.7, dtype=dtype, requires_grad=True)
    value = masked_intensity_loss(predicted, torch.full((2, 3), NAN))
    value.backward()
    assert value.item() == 0 and value.dtype == torch.float32
    assert (predicted.grad == 0).all()
