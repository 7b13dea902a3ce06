"""First-order MAML: by hand, as written-out matrix steps, in closed form; the model is left as it was."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from fer_core.errors import ConfigError
from fer_core.meta.maml import add_gradients, first_order_gradient


class Scale(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))


def quadratic(model, centre):
    return (model.w - centre).square().mean() / 2


def centre(value):
    return torch.tensor([value], dtype=torch.float64)


def gradient(model, *args, inner_lr=0.1, inner_steps=1, **more):
    return first_order_gradient(model, *args, inner_lr=inner_lr, inner_steps=inner_steps, **more)


def test_by_hand():
    # w = 1, support (w − 3)²/2: slope −2, w_1 = 1 + 0.1·2 = 1.2; query (w − 2)²/2: slope 1.2 − 2
    model = Scale(1.0)
    [found] = gradient(model, quadratic, centre(3.0), centre(2.0))
    assert found.item() == pytest.approx(-0.8)
    # another step: w_2 = 1.2 + 0.1·1.8 = 1.38
    [found] = gradient(model, quadratic, centre(3.0), centre(2.0), inner_steps=2)
    assert found.item() == pytest.approx(-0.62)
    assert model.w.item() == 1.0
    add_gradients(model.parameters(), [found], 0.5)
    add_gradients(model.parameters(), [found], 2.0)
    assert model.w.grad.item() == pytest.approx(-0.62 * 2.5)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_closed_form_and_what_first_order_drops(steps):
    """On the quadratic w_K − c = (1 − α)^K (w − c); exact MAML has the factor (1 − α)^K, which ours lacks."""
    w = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    adapted = 2 + (1 - 0.1) ** steps * (w - 2)
    [exact] = torch.autograd.grad((adapted + 1) ** 2 / 2, w)
    [ours] = gradient(Scale(0.3), quadratic, centre(2.0), centre(-1.0), inner_steps=steps)
    assert ours.item() == pytest.approx(adapted.item() + 1)
    assert ours.item() * (1 - 0.1) ** steps == pytest.approx(exact.item())


def batches():
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(8, 3, generator=generator, dtype=torch.float64) for _ in range(2)]


def loss_of(model, x):
    return functional.cross_entropy(model(x), torch.arange(len(x)) % 2)


@pytest.mark.parametrize("steps", [1, 3])
def test_naive_softmax_regression(steps):
    """The gradients of softmax regression written out: (p − y)ᵀ x / B and the mean of p − y."""
    torch.manual_seed(0)
    model, (support, query) = nn.Linear(3, 2).double(), batches()
    y = functional.one_hot(torch.arange(8) % 2, 2).double()
    w, b = model.weight.detach().clone(), model.bias.detach().clone()
    for _ in range(steps):
        error = torch.softmax(support @ w.T + b, 1) - y
        w, b = w - 0.4 * error.T @ support / 8, b - 0.4 * error.mean(0)
    error = torch.softmax(query @ w.T + b, 1) - y
    found = gradient(model, loss_of, support, query, inner_lr=0.4, inner_steps=steps)
    torch.testing.assert_close(found[0], error.T @ query / 8)
    torch.testing.assert_close(found[1], error.mean(0))


@pytest.mark.parametrize(("rate", "steps"), [(0.0, 3), (0.1, 0)])
def test_without_adaptation_it_is_the_plain_gradient(rate, steps):
    torch.manual_seed(0)
    model, (support, query) = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double(), batches()
    expected = torch.autograd.grad(loss_of(model, query), list(model.parameters()))
    for ours, theirs in zip(
        gradient(model, loss_of, support, query, inner_lr=rate, inner_steps=steps), expected, strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_equals_a_copy_trained_by_torchs_sgd():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Linear(4, 2)).double()
    support, query = batches()
    other = copy.deepcopy(model)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.3)
    for batch in (support, support, support, query):
        optimizer.zero_grad()
        loss_of(other, batch).backward()
        if batch is support:
            optimizer.step()
    found = gradient(model, loss_of, support, query, inner_lr=0.3, inner_steps=3)
    for ours, item in zip(found, other.parameters(), strict=True):
        torch.testing.assert_close(ours, item.grad)


# --- what is left behind ---------------------------------------------------------------------------------------


class WithBuffers(nn.Module):
    """Batch norm, a buffer written in place, one that is replaced, an unused and a frozen parameter."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        self.unused = nn.Parameter(torch.ones(2))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.register_buffer("calls", torch.zeros(()), persistent=False)
        self.register_buffer("last", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.last = x.detach().mean()
        return self.layers(x) * self.frozen


def state(model):
    kept = {key: item.detach().clone() for key, item in [*model.named_parameters(), *model.named_buffers()]}
    objects = [id(item) for item in [*model.parameters(), *model.buffers()]]
    return kept, objects, [part.training for part in model.modules()]


def same(one, other):
    return one[1:] == other[1:] and all(torch.equal(value, other[0][key]) for key, value in one[0].items())


@pytest.mark.parametrize("fails_at", [None, 1, 2, 3])
def test_the_model_is_left_as_it_was(fails_at):
    torch.manual_seed(0)
    model = WithBuffers().double()
    model.layers[2].eval()  # a mixture of modes
    support, query = batches()
    loss_of(model, query).backward()
    gradients = [None if item.grad is None else item.grad.clone() for item in model.parameters()]
    before, calls = state(model), []

    def loss(module, batch):
        module.train(len(calls) % 2 == 0)
        calls.append(batch)
        result = loss_of(module, batch)
        if len(calls) == fails_at:
            raise KeyError("out of data")
        return result

    if fails_at is None:
        found = gradient(model, loss, support, query, inner_steps=2)
        names = [key for key, _ in model.named_parameters()]
        assert {key for key, item in zip(names, found, strict=True) if item is None} == {"unused", "frozen"}
        assert [batch is query for batch in calls] == [False, False, True]
    else:
        with pytest.raises(KeyError):
            gradient(model, loss, support, query, inner_steps=2)
    assert same(before, state(model))
    for item, kept in zip(model.parameters(), gradients, strict=True):
        assert item.grad is None if kept is None else torch.equal(item.grad, kept)


def test_permuting_a_batch_changes_nothing_and_one_sample_is_enough():
    torch.manual_seed(0)
    model, (support, query) = nn.Linear(3, 2).double(), batches()

    def mean_square(module, x):
        return module(x).square().mean()

    one = gradient(model, mean_square, support, query)
    other = gradient(model, mean_square, support.flip(0), query.flip(0))
    torch.testing.assert_close(one, other)
    assert all(item.isfinite().all() for item in gradient(model, mean_square, support[:1], query[:1]))
    assert all((item == 0).all() for item in gradient(model, mean_square, 0 * support, 0 * query) if item.ndim == 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_autocast_is_finite(dtype):
    model, (support, query) = nn.Linear(3, 2), [item.float() for item in batches()]
    with torch.autocast("cpu", dtype):
        found = gradient(model, loss_of, support, query)
    assert all(item.dtype == torch.float32 and item.isfinite().all() for item in found)


def test_indices_will_do_as_batches():
    torch.manual_seed(0)
    model, data = nn.Linear(3, 2).double(), torch.cat(batches())
    found = gradient(model, lambda m, i: loss_of(m, data[i]), torch.arange(8), torch.arange(8, 16))
    torch.testing.assert_close(found, gradient(model, loss_of, data[:8], data[8:]))


def test_adding_gradients():
    items = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))]
    items[0].grad = torch.tensor([1.0, 2.0])
    given = torch.tensor([10.0, 20.0])
    add_gradients(items, [given, given, None], 0.1)
    assert items[0].grad.tolist() == [2.0, 4.0]
    assert items[1].grad.tolist() == [1.0, 2.0]
    assert items[2].grad is None
    assert given.tolist() == [10.0, 20.0]
    with pytest.raises(ValueError, match="shorter"):
        add_gradients(items, [given])


def test_settings_out_of_range():
    with pytest.raises(ConfigError, match="`inner_lr`"):
        gradient(Scale(1.0), quadratic, centre(0.0), centre(0.0), inner_lr=-1.0)
    with pytest.raises(ConfigError, match="`inner_steps`"):
        gradient(Scale(1.0), quadratic, centre(0.0), centre(0.0), inner_steps=-1)
