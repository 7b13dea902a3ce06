"""What holds of every step rule, schedule and target whatever the numbers: order, size, bounds, restoration."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from fer_core.labels import BASIC_EMOTIONS, RAFCE
from fer_core.meta.maml import first_order_gradient
from fer_core.meta.meta_weight import MetaWeight
from fer_core.targets import TARGETS, compound_log_scores, emotion_targets, pair_matrix
from fer_core.training.ema import Ema
from fer_core.training.optim import SCHEDULES, schedule_factor
from fer_core.training.sam import Sam

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=15, deadline=None)


def draws(seed):
    return torch.Generator().manual_seed(seed)


def linear(seed, classes=4):
    torch.manual_seed(seed)
    return nn.Linear(3, classes).double()


def batch(seed, count=6, classes=4):
    draw = draws(seed)
    return (
        torch.randn(count, 3, generator=draw, dtype=torch.float64),
        torch.randint(classes, (count,), generator=draw),
    )


@FEW
@given(SEEDS, st.floats(1e-4, 1))
def test_sam_climbs_by_rho_whatever_the_order_of_the_batch_and_comes_back(seed, rho):
    x, y = batch(seed)
    order = torch.randperm(6, generator=draws(seed))
    tops = []
    for rows in (torch.arange(6), order):
        model = linear(seed)
        before = [item.detach().clone() for item in model.parameters()]
        functional.cross_entropy(model(x[rows]), y[rows]).backward()
        sam = Sam(model.parameters(), rho)
        sam.climb()
        tops.append([item.detach().clone() for item in model.parameters()])
        moved = torch.cat([(top - old).flatten() for top, old in zip(tops[-1], before, strict=True)])
        assert moved.norm().item() == pytest.approx(rho, rel=1e-6)
        sam.descend()
        assert all(item.equal(old) for item, old in zip(model.parameters(), before, strict=True))
    for one, other in zip(*tops, strict=True):
        torch.testing.assert_close(one, other)


@FEW
@given(SEEDS, st.integers(0, 3))
def test_maml_sees_sets_of_pictures_not_their_order(seed, steps):
    x, y = batch(seed, 12)
    model = linear(seed)

    def loss_of(module, rows):
        return functional.cross_entropy(module(x[rows]), y[rows])

    support, query = torch.arange(6), torch.arange(6, 12)
    order = torch.randperm(6, generator=draws(seed))
    found = [
        first_order_gradient(model, loss_of, one, other, inner_lr=0.3, inner_steps=steps)
        for one, other in ((support, query), (support[order], query[order]))
    ]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    # with nothing to learn from the support there is nothing to adapt
    still = first_order_gradient(model, loss_of, support, query, inner_lr=0.0, inner_steps=steps)
    plain = torch.autograd.grad(loss_of(model, query), list(model.parameters()))
    for one, other in zip(still, plain, strict=True):
        torch.testing.assert_close(one, other)


def weigh(seed, x, y, model):
    torch.manual_seed(seed)
    chosen = MetaWeight()
    chosen.net.double()
    meta_x, meta_y = batch(seed + 1, 8)
    target, meta_target = (functional.one_hot(labels, 4).double() for labels in (y, meta_y))

    def loss(logits, wanted):
        return -(wanted * logits.log_softmax(1)).sum(1)

    return chosen.weigh(model, x, target, meta_x, meta_target, loss, 0.5)


@FEW
@given(SEEDS)
def test_learned_weights_follow_their_pictures_and_have_mean_one(seed):
    x, y = batch(seed)
    model = linear(seed)
    weights = weigh(seed, x, y, model)
    assert (weights >= 0).all() and weights.mean().item() == pytest.approx(1)
    order = torch.randperm(6, generator=draws(seed))
    torch.testing.assert_close(weigh(seed, x[order], y[order], model), weights[order])
    assert weigh(seed, x[:1], y[:1], model).tolist() == pytest.approx([1.0]), "alone it is the whole batch"


@FEW
@given(SEEDS, st.floats(0, 0.999), st.integers(1, 20))
def test_an_average_stays_between_the_weights_that_it_has_seen(seed, decay, steps):
    model = nn.Linear(2, 2, bias=False)
    ema = Ema(model, decay)
    draw, seen = draws(seed), []
    for step in range(steps):
        with torch.no_grad():
            model.weight.copy_(torch.randn(2, 2, generator=draw))
        seen.append(model.weight.detach().clone())
        ema.update(step)
    low, high = torch.stack(seen).min(0).values, torch.stack(seen).max(0).values
    assert (ema.model.weight >= low - 1e-6).all() and (ema.model.weight <= high + 1e-6).all()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 500), st.data())
def test_a_schedule_never_leaves_0_to_1(name, steps, data):
    warmup = data.draw(st.integers(0, steps))
    factors = [schedule_factor(name, step, steps, warmup) for step in range(steps)]
    assert all(0 <= factor <= 1 for factor in factors)
    if name != "one_cycle":
        after = factors[warmup:]
        assert after == sorted(after, reverse=True), "after the warm-up it only falls"
        assert factors[:warmup] == sorted(factors[:warmup])


@FEW
@given(st.sampled_from(TARGETS), SEEDS)
def test_targets_follow_faces_and_classes(name, seed):
    draw = draws(seed)
    labels = torch.randint(14, (8,), generator=draw)
    votes = torch.rand(8, 6, generator=draw)
    votes = votes / votes.sum(1, keepdim=True)
    votes[0] = torch.nan
    found = emotion_targets(name, labels, votes, RAFCE.classes, BASIC_EMOTIONS)
    torch.testing.assert_close(found.sum(1), torch.ones(8))
    rows = torch.randperm(8, generator=draw)
    assert emotion_targets(name, labels[rows], votes[rows], RAFCE.classes, BASIC_EMOTIONS).equal(found[rows])
    order = torch.randperm(14, generator=draw)
    renamed = [RAFCE.classes[k] for k in order.tolist()]
    again = emotion_targets(name, order.argsort()[labels], votes, renamed, BASIC_EMOTIONS)
    torch.testing.assert_close(again, found if name == "compound" else found[:, order])
    logs = torch.randn(8, 6, generator=draw).log_softmax(1)
    scores = compound_log_scores(logs, pair_matrix(RAFCE.classes, BASIC_EMOTIONS))
    assert compound_log_scores(logs, pair_matrix(renamed, BASIC_EMOTIONS)).equal(scores[:, order])
