"""Heads: by hand, as naive loops from the papers, against torch, pytorch-metric-learning and scikit-learn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import NormalizedSoftmaxLoss
from sklearn.neighbors import NearestCentroid
from torch import nn
from torch.nn import functional

from fer_core.errors import ConfigError
from fer_core.models.heads import AU_HEADS, HEADS, build_au_head, build_head


def build(name, features=6, classes=4, scale=10.0, dtype=torch.float64):
    torch.manual_seed(0)
    return build_head(name, features, classes, scale=scale).to(dtype)


def draw(count=11, features=6, classes=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    return torch.randn(count, features, generator=generator, dtype=torch.float64), labels


def one_hot(labels, classes=4):
    return functional.one_hot(labels, classes).double()


# --- linear


@pytest.mark.parametrize("make", [lambda: build_head("linear", 6, 4, scale=1.0), lambda: build_au_head("linear", 6, 4)])
def test_linear_is_torchs_and_takes_the_same_random_numbers(make):
    torch.manual_seed(3)
    reference, after = nn.Linear(6, 4), torch.rand(1)
    torch.manual_seed(3)
    head = make()
    assert torch.rand(1).equal(after) and type(head) is nn.Linear
    assert head.weight.equal(reference.weight) and head.bias.equal(reference.bias)


# --- cosine


def set_weight(head, rows):
    with torch.no_grad():
        head.weight.copy_(torch.tensor(rows))
    return head


def test_cosine_by_hand():
    head = set_weight(build("cosine", 2, 3), [[2.0, 0.0], [0.0, 0.5], [-3.0, -3.0]])
    f = torch.tensor([[3.0, 4.0]], dtype=torch.float64)  # of length 5
    # cosines 3/5, 4/5 and -(3 + 4) / (5 √2)
    assert head(f)[0].tolist() == pytest.approx([6, 8, -70 / (5 * math.sqrt(2))])
    assert not any(name == "bias" for name, _ in head.named_parameters())


def test_cosine_naive_loop():
    head, (f, _) = build("cosine"), draw()
    logits = head(f)
    for i, x in enumerate(f.tolist()):
        for k, w in enumerate(head.weight.tolist()):
            product = sum(a * b for a, b in zip(x, w, strict=True))
            lengths = math.sqrt(sum(a * a for a in x)) * math.sqrt(sum(b * b for b in w))
            assert logits[i, k].item() == pytest.approx(10 * product / lengths)


def test_cosine_equals_torch():
    head, (f, _) = build("cosine", scale=1.0), draw()
    torch.testing.assert_close(head(f), functional.cosine_similarity(f[:, None], head.weight[None], dim=-1))


@pytest.mark.parametrize("scale", [1.0, 16.0])
def test_cosine_equals_pytorch_metric_learning_in_values_and_gradients(scale):
    head, (f, labels) = build("cosine", scale=scale), draw()
    reference = NormalizedSoftmaxLoss(4, 6, temperature=1 / scale).double()
    reference.W.data = head.weight.detach().T.clone()
    results = []
    for loss_of, weight in (
        (lambda x: functional.cross_entropy(head(x), labels), head.weight),
        (lambda x: reference(x, labels), reference.W),
    ):
        x = f.clone().requires_grad_()
        loss = loss_of(x)
        by_x, by_weight = torch.autograd.grad(loss, (x, weight))
        results.append((loss, by_x, by_weight if weight is head.weight else by_weight.T))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_cosine_gradcheck():
    head, (f, _) = build("cosine", 3, 2), draw(4, 3)
    assert torch.autograd.gradcheck(
        lambda x, w: torch.func.functional_call(head, {"weight": w}, (x,)),
        (f.requires_grad_(), head.weight.detach().clone().requires_grad_()),
    )


def test_cosine_of_zero_features_is_zero_with_a_moderate_gradient():
    head = build("cosine", dtype=torch.float32)
    for length in (0.0, 1e-30, 1e-6):
        f = torch.full((1, 6), length, requires_grad=True)
        logits = head(f)
        (gradient,) = torch.autograd.grad(logits[0, 0], f)
        assert logits.abs().max() <= 0.01 and gradient.norm() <= 10 / 0.01 * 1.001  # scale / shortest length


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), factor=st.floats(0.1, 1e4))
def test_cosine_is_bounded_and_free_of_lengths(seed, factor):
    head, (f, _) = build("cosine"), draw(seed=seed)
    logits = head(f)
    assert logits.abs().max() <= 10 + 1e-9
    torch.testing.assert_close(head(factor * f), logits)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_cosine_scale_out_of_range(scale):
    with pytest.raises(ConfigError, match="scale"):
        build("cosine", scale=scale)


# --- prototype


def refreshed(f, labels, classes=4):
    head = build("prototype", f.shape[1], classes)
    head.refresh(f, one_hot(labels, classes))
    return head


def test_prototype_by_hand():
    f = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]], dtype=torch.float64)
    head = refreshed(f, torch.tensor([0, 0, 2]), classes=3)
    # means (1, 0) and (1, 3), class 1 has none. (1, 1) is 1 and 4 away; class 1 stands 20 below the lower
    assert head(torch.tensor([[1.0, 1.0]], dtype=torch.float64)).tolist() == [[-1, -24, -4]]
    assert head.known.tolist() == [True, False, True]
    head.refresh(f[:1], torch.tensor([[0.0, 1.0, 0.0]]))  # what was known before is forgotten
    assert head.known.tolist() == [False, True, False]


def test_training_logits_by_hand():
    head = refreshed(torch.tensor([[10.0], [20.0], [30.0]], dtype=torch.float64), torch.tensor([0, 1, 2]), classes=4)
    f = torch.tensor([[0.0], [1.0], [2.0], [5.0]], dtype=torch.float64)
    target = torch.tensor([[1.0, 0, 0, 0], [0.3, 0.7, 0, 0], [0.6, 0.4, 0, 0], [0.3, 0, 0.7, 0]], dtype=torch.float64)
    # Rows 0 and 2 meet the means of rows 1 and 3: class 0 has shares 0.3 + 0.3 > 0.5, mean (0.3 + 1.5) / 0.6 = 3;
    # class 1 has 0.7, mean 1; class 2 has 0.7, mean 5; class 3 nothing anywhere.
    # Rows 1 and 3 meet those of 0 and 2: class 0 has 1.6, mean 1.2 / 1.6 = 0.75; class 1 only 0.4: the stored 20;
    # class 2 the stored 30.
    expected = [
        [-9, -1, -25, -45],
        [-(0.25**2), -(19**2), -(29**2), -(29**2) - 20],
        [-1, -1, -9, -29],
        [-(4.25**2), -(15**2), -(25**2), -(25**2) - 20],
    ]
    assert head.training_logits(f, target).tolist() == [pytest.approx(row) for row in expected]
    # alone, a picture meets the stored means
    assert head.training_logits(f[:1], target[:1]).equal(head(f[:1]))


def naive_training_logits(head, f, target):
    rows = []
    for i in range(len(f)):
        others = [j for j in range(len(f)) if j % 2 != i % 2]
        row = []
        for k in range(target.shape[1]):
            share = sum(target[j, k].item() for j in others)
            if share > 0.5:
                centre = sum(target[j, k] * f[j] for j in others) / share
            elif head.known[k]:
                centre = head.prototypes[k]
            else:
                row.append(None)
                continue
            row.append(-sum((a - b) ** 2 for a, b in zip(f[i].tolist(), centre.tolist(), strict=True)))
        lowest = min((value for value in row if value is not None), default=0.0)
        rows.append([lowest - 20 if value is None else value for value in row])
    return torch.tensor(rows, dtype=torch.float64)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(2, 9), stored=st.integers(0, 4), mixed=st.booleans(), seed=st.integers(0, 2**32))
def test_training_logits_naive_loop(count, stored, mixed, seed):
    f, labels = draw(seed=seed)
    head = refreshed(f[:stored], labels[:stored])
    x, _ = draw(count, seed=seed + 1)
    target = one_hot(torch.randint(4, (count,), generator=torch.Generator().manual_seed(seed)))
    if mixed:
        target = 0.7 * target + 0.3 * target.roll(1, dims=0)
    torch.testing.assert_close(head.training_logits(x, target), naive_training_logits(head, x, target))


def test_prototype_equals_cdist():
    f, labels = draw()
    head, (x, _) = refreshed(f, labels), draw(seed=2)
    means = torch.stack([f[labels == k].mean(dim=0) for k in range(4)])
    torch.testing.assert_close(head(x), -torch.cdist(x, means).square())


@pytest.mark.parametrize("classes", [[0, 1, 2, 3], [1, 3], [2]])
def test_prototype_predicts_as_nearest_centroid(classes):
    f, labels = draw(60)
    keep = torch.isin(labels, torch.tensor(classes))
    head, (x, _) = refreshed(f[keep], labels[keep]), draw(50, seed=2)
    predicted = head(x).argmax(dim=1)
    if len(classes) == 1:  # scikit-learn refuses a single class
        assert predicted.eq(classes[0]).all()
    else:
        reference = NearestCentroid().fit(f[keep].numpy(), labels[keep].numpy())
        assert predicted.tolist() == reference.predict(x.numpy()).tolist()


def test_training_logits_equal_two_episodes_in_gradients():
    f, labels = draw(12, classes=3)
    labels = labels[torch.randperm(12, generator=torch.Generator().manual_seed(5))]
    assert all(labels[half::2].unique().numel() == 3 for half in (0, 1))
    ours, theirs = f.clone().requires_grad_(), f.clone().requires_grad_()
    logits = build("prototype", 6, 3).training_logits(ours, one_hot(labels, 3))
    functional.cross_entropy(logits, labels).backward()
    total = 0.0
    for half in (0, 1):
        s, q = slice(1 - half, None, 2), slice(half, None, 2)
        means = torch.stack([theirs[s][labels[s] == k].mean(dim=0) for k in range(3)])
        total = total + functional.cross_entropy(-torch.cdist(theirs[q], means).square(), labels[q]) / 2
    total.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_prototype_gradcheck():
    f, labels = draw(5, 3)
    head = refreshed(f[:3], labels[:3])  # class 3 is unknown to the head
    known = labels[[0, 1, 2, 0, 1]]
    x = draw(5, 3, seed=4)[0].requires_grad_()
    # the unknown class's logit is a constant for the gradient: only the others are functions of x
    assert torch.autograd.gradcheck(lambda x: head(x)[:, :3], (x,))
    assert torch.autograd.gradcheck(lambda x: head.training_logits(x, one_hot(known))[:, :3], (x,))
    assert torch.autograd.grad(head(x)[:, 3].sum(), x)[0].eq(0).all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_batch_and_class_permutations(seed, data):
    f, labels = draw(10, seed=seed)
    classes = torch.tensor(data.draw(st.permutations(range(4))))
    # within its half a row may stand anywhere
    rows = torch.arange(10)
    rows[0::2] = rows[0::2][torch.tensor(data.draw(st.permutations(range(5))))]
    rows[1::2] = rows[1::2][torch.tensor(data.draw(st.permutations(range(5))))]
    keep = labels != data.draw(st.integers(0, 3))
    head, other = refreshed(f[keep], labels[keep]), build("prototype")
    other.refresh(f[rows][keep[rows]], one_hot(labels[rows][keep[rows]])[:, classes])
    torch.testing.assert_close(other(f[rows]), head(f)[rows][:, classes])
    target = one_hot(labels)
    ours = other.training_logits(f[rows], target[rows][:, classes])
    torch.testing.assert_close(ours, head.training_logits(f, target)[rows][:, classes])


def test_a_class_without_prototype_is_never_predicted_and_its_loss_is_finite():
    f, labels = draw(20)
    keep = labels != 1
    head = refreshed(f[keep], labels[keep])
    logits = head(1000 * f)
    assert not logits.argmax(dim=1).eq(1).any() and logits.isfinite().all()
    assert head(f).softmax(dim=1)[:, 1].max() < 3e-9
    assert functional.cross_entropy(logits, torch.ones(20, dtype=torch.int64)).isfinite()


def test_before_the_first_refresh():
    head, (f, labels) = build("prototype"), draw(6)
    x = f[:1].requires_grad_()
    logits = head.training_logits(x, one_hot(labels[:1]))  # nothing is known: all equal, and still to be descended
    assert logits.unique().numel() == 1 and torch.autograd.grad(logits.sum(), x)[0].eq(0).all()
    assert head.training_logits(f, one_hot(torch.zeros(6, dtype=torch.int64))).argmax(dim=1).eq(0).all()


def test_prototypes_are_saved_and_not_trained():
    f, labels = draw()
    head, other = refreshed(f.requires_grad_(), labels), build("prototype")
    assert not list(head.parameters()) and not head.prototypes.requires_grad
    other.load_state_dict(head.state_dict())
    assert other(f).equal(head(f))


# --- all heads


@pytest.mark.parametrize("name", ["cosine", "prototype"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    head, (f, labels) = build(name, dtype=torch.float32), draw()
    if name == "prototype":
        head.refresh(f.to(dtype), one_hot(labels))
    exact = head.double()(f.to(dtype).double())
    head.float()
    torch.testing.assert_close(head(f.to(dtype)).double(), exact, rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(head(f.to(dtype)).double(), exact, rtol=1e-5, atol=1e-5)
        if name == "prototype":
            logits = head.training_logits(f.to(dtype), one_hot(labels))
            exact = head.double().training_logits(f.to(dtype).double(), one_hot(labels))
            torch.testing.assert_close(logits.double(), exact, rtol=1e-5, atol=1e-5)
    assert build(name, dtype=dtype)(torch.full((2, 6), 6e4, dtype=dtype)).isfinite().all()


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(("batch", "classes"), [(1, 1), (1, 4), (3, 1), (0, 4)])
def test_one_picture_one_class_no_picture(name, batch, classes):
    head = build(name, classes=classes)
    f = torch.zeros(batch, 6, dtype=torch.float64, requires_grad=True)
    logits = head(f)
    assert logits.shape == (batch, classes) and logits.isfinite().all()
    logits.sum().backward()
    assert f.grad.isfinite().all()
    if name == "prototype":
        target = torch.full((batch, classes), 1 / classes, dtype=torch.float64)
        assert head.training_logits(f, target).shape == (batch, classes)


def test_mlp_by_hand():
    head = build_au_head("mlp", 2, 1)
    first, gelu, second = head
    assert first.weight.shape == (2, 2) and type(gelu) is nn.GELU
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, -1.0]])), first.bias.zero_()
        second.weight.copy_(torch.tensor([[2.0, 3.0]])), second.bias.fill_(0.5)

    def phi(x):  # GELU(x) = x Φ(x)
        return x * (1 + math.erf(x / math.sqrt(2))) / 2

    assert head(torch.tensor([[1.0, 3.0]])).item() == pytest.approx(2 * phi(1) + 3 * phi(-2) + 0.5, rel=1e-5)


@pytest.mark.parametrize("name", AU_HEADS)
def test_au_heads_shapes(name):
    assert build_au_head(name, 6, 12)(torch.zeros(3, 6)).shape == (3, 12)


def test_unknown_names():
    with pytest.raises(ConfigError, match="Did you mean 'cosine'"):
        build_head("cosin", 6, 4, scale=1.0)
    with pytest.raises(ConfigError, match="Did you mean 'linear'"):
        build_au_head("linaer", 6, 4)
