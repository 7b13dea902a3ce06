"""Learned task weights: by hand, against Kendall's formula in σ, at its optimum; tasks without annotations."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.losses.uncertainty import UncertaintyWeights


def build(*log_variances):
    module = UncertaintyWeights(len(log_variances)).double()
    with torch.no_grad():
        module.log_variance.copy_(torch.tensor(log_variances, dtype=torch.float64))
    return module


def losses(*values):
    return [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]


def test_starts_as_the_plain_sum():
    module = UncertaintyWeights(3)
    assert module([torch.tensor(value) for value in (0.5, 2.0, 1.0)]).item() == 3.5
    assert module.weights().tolist() == [1, 1, 1]
    assert [name for name, _ in module.named_parameters()] == ["log_variance"]


def test_by_hand():
    # s = log 2 and -log 4: factors 1/2 and 4; 1/2 · 3 + 4 · 0.5 + (log 2 - log 4) / 2
    module = build(math.log(2), -math.log(4))
    assert module.weights().tolist() == pytest.approx([0.5, 4])
    assert module(losses(3.0, 0.5)).item() == pytest.approx(3.5 - math.log(2) / 2)


def test_gradients_by_hand():
    module, parts = build(math.log(2), 0.0), losses(3.0, 0.5)
    module(parts).backward()
    assert [part.grad.item() for part in parts] == pytest.approx([0.5, 1])
    # dL/ds = -exp(-s) · L + 1/2
    assert module.log_variance.grad.tolist() == pytest.approx([-0.5 * 3 + 0.5, -0.5 + 0.5])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 5), st.floats(0, 10), st.booleans()), min_size=1, max_size=5))
def test_equals_the_papers_formula_in_sigma(tasks):
    # Kendall et al., classification: L / σ² + log σ
    expected = sum(loss / sigma**2 + math.log(sigma) for sigma, loss, known in tasks if known)
    module = build(*(2 * math.log(sigma) for sigma, _, _ in tasks))
    total = module(losses(*(loss for _, loss, _ in tasks)), [known for _, _, known in tasks])
    assert total.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_regression_form_is_the_same_up_to_a_constant():
    # L / 2σ² + log σ at s equals this form at s + log 2, less log(2) / 2
    for s, loss in ((0.3, 2.0), (-1.0, 0.5)):
        regression = math.exp(-s) * loss / 2 + s / 2
        assert build(s + math.log(2))(losses(loss)).item() == pytest.approx(regression + math.log(2) / 2)


def test_training_finds_the_optimal_weight_of_one_over_twice_the_loss():
    module, parts = build(0.0, 0.0), [part.detach() for part in losses(2.0, 0.125)]
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        module(parts).backward()
        optimizer.step()
    assert module.weights().tolist() == pytest.approx([0.25, 4], rel=1e-3)


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_a_task_with_nothing_annotated_neither_counts_nor_learns(bad):
    module, parts = build(0.7, math.log(2)), losses(bad, 3.0)
    total = module(parts, torch.tensor([False, True]))
    total.backward()
    assert total.item() == pytest.approx(1.5 + math.log(2) / 2)
    assert module.log_variance.grad.tolist() == pytest.approx([0, -1])
    assert parts[0].grad == 0


def test_nothing_annotated_at_all_is_a_zero_that_can_be_stepped():
    module = build(0.7, -0.2)
    total = module(losses(1.0, 2.0), [False, False])
    total.backward()
    assert total.item() == 0
    assert (module.log_variance.grad == 0).all()


def test_gradcheck():
    def total(s, a, b, c):
        module = build(0.0, 0.0, 0.0)
        return torch.func.functional_call(module, {"log_variance": s}, ([a, b, c], [True, False, True]))

    s = torch.tensor([0.3, -0.5, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(total, (s, *losses(1.0, 2.0, 0.3)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_losses_are_summed_in_float32(dtype):
    parts = [torch.tensor(60000.0, dtype=dtype), torch.tensor(60000.0, dtype=dtype)]  # the sum overflows float16
    total = UncertaintyWeights(2)(parts)
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(2 * parts[0].item())


def test_no_losses_or_mask_entries_but_one_per_task():
    with pytest.raises(ValueError, match="Expected 2 losses"):
        UncertaintyWeights(2)(losses(1.0))
    with pytest.raises(ValueError, match="got 2 and 3"):
        UncertaintyWeights(2)(losses(1.0, 2.0), [True, True, False])


def test_no_tasks_is_zero():
    assert UncertaintyWeights(0)([]).item() == 0
