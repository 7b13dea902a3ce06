"""ArcFace: by hand, as a loop over angles, against pytorch-metric-learning; verification against a naive search."""

import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import ArcFaceLoss
from torch.nn import functional

from fer_core.pretraining.arcface import ArcFace, best_threshold, verification_accuracy


def head(features=6, identities=5, s=64.0, m=0.5, dtype=torch.float64):
    torch.manual_seed(0)
    return ArcFace(features, identities, s, m).to(dtype)


def case(count=12, features=6, identities=5):
    generator = torch.Generator().manual_seed(1)
    embeddings = 3 * torch.randn(count, features, generator=generator, dtype=torch.float64)
    return embeddings, torch.arange(count) % identities


def test_by_hand():
    module = head(2, 2, s=10.0, m=math.pi / 6)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 0.5]]))  # the identities' axes x and y
    sixty = torch.tensor([[0.5, math.sqrt(3) / 2]], dtype=torch.float64)  # 60° from x, 30° from y
    assert module(7 * sixty, torch.tensor([0]))[0].tolist() == pytest.approx(
        [10 * math.cos(math.pi / 2), 10 * math.cos(math.pi / 6)], abs=1e-6
    )
    assert module(7 * sixty, torch.tensor([1]))[0].tolist() == pytest.approx(
        [10 * math.cos(math.pi / 3), 10 * math.cos(math.pi / 3)], rel=1e-6
    )
    opposite = torch.tensor([[-1.0, 0.0]], dtype=torch.float64)  # 180° + margin: past the turning point
    expected = 10 * (-1 - math.pi / 6 * math.sin(math.pi / 6))
    assert module(opposite, torch.tensor([0]))[0, 0].item() == pytest.approx(expected, rel=1e-6)


def test_naive_loop():
    module = head()
    embeddings, labels = case()
    logits = module(embeddings, labels)
    for i, x in enumerate(embeddings):
        for j, w in enumerate(module.weight):
            theta = math.acos((x @ w / (x.norm() * w.norm())).item())
            if j == labels[i]:
                inside = theta + 0.5 <= math.pi
                value = math.cos(theta + 0.5) if inside else math.cos(theta) - 0.5 * math.sin(0.5)
            else:
                value = math.cos(theta)
            assert logits[i, j].item() == pytest.approx(64 * value, abs=1e-6)


@pytest.mark.parametrize(("s", "m"), [(64.0, 0.5), (30.0, 0.3), (16.0, 0.0)])
def test_equals_pytorch_metric_learning_in_values_and_gradients(s, m):
    module = head(s=s, m=m)
    embeddings, labels = case()
    embeddings[0] = -module.weight[labels[0]].detach() + 0.01  # past the turning point
    reference = ArcFaceLoss(5, 6, margin=math.degrees(m), scale=s).double()
    with torch.no_grad():
        reference.W.copy_(module.weight.T)
    ours, theirs = embeddings.clone().requires_grad_(), embeddings.clone().requires_grad_()
    loss = functional.cross_entropy(module(ours, labels), labels)
    expected = reference(theirs, labels)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(module.weight.grad, reference.W.grad.T)


def test_gradcheck():
    module = head(s=4.0)
    embeddings, labels = case(4)
    assert torch.autograd.gradcheck(lambda x: module(x, labels), embeddings.requires_grad_())


def test_target_logit_falls_with_the_angle():
    module = head(2, 1, s=1.0)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, 0.0]]))
    angles = torch.linspace(0.001, math.pi - 0.001, 400, dtype=torch.float64)
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    logits = module(points, torch.zeros(400, dtype=torch.int64))[:, 0]
    assert (logits.diff() < 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_extreme_angles_are_finite(dtype):
    module = head(dtype=torch.float32)
    same = module.weight[0].detach()
    for embedding in (same, -same, 0 * same, 1e4 * same):
        x = embedding[None].to(dtype).requires_grad_()
        loss = functional.cross_entropy(module(x, torch.tensor([0])), torch.tensor([0]))
        loss.backward()
        assert loss.isfinite() and x.grad.isfinite().all() and module.weight.grad.isfinite().all()


def test_autocast_does_not_touch_it():
    module = head(dtype=torch.float32)
    embeddings, labels = case()
    with torch.autocast("cpu", torch.bfloat16):
        inside = module(embeddings.float(), labels)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, module(embeddings.float(), labels))


def test_without_labels_there_is_no_margin():
    module = head()
    embeddings, _ = case()
    expected = 64 * functional.cosine_similarity(embeddings[:, None], module.weight[None], dim=-1)
    torch.testing.assert_close(module(embeddings), expected)


# --- verification ----------------------------------------------------------------------------------------------


def verify(embeddings, ids, seed=0, **more):
    return verification_accuracy(embeddings, ids, torch.Generator().manual_seed(seed), **more)


def test_known_people_verify_and_noise_does_not():
    torch.manual_seed(0)
    ids = torch.arange(30).repeat_interleave(6)
    centres = torch.randn(30, 64)
    assert verify(centres[ids] + 0.1 * torch.randn(180, 64), ids) == 1
    assert verify(torch.randn(180, 64), ids) == pytest.approx(0.5, abs=0.06)
    middling = verify(centres[ids] + 1.5 * torch.randn(180, 64), ids)
    assert 0.6 < middling < 0.98


def test_collapsed_embeddings_are_at_chance():
    ids = torch.arange(10).repeat_interleave(3)
    assert verify(torch.ones(30, 8), ids) == pytest.approx(0.5)


def test_undefined_without_pairs_of_both_kinds():
    assert math.isnan(verify(torch.randn(5, 3), torch.arange(5)))
    assert math.isnan(verify(torch.randn(5, 3), torch.zeros(5, dtype=torch.int64)))
    assert math.isnan(verify(torch.empty(0, 3), torch.empty(0, dtype=torch.int64)))


def test_broken_embeddings_have_no_accuracy_rather_than_that_of_chance():
    embeddings, ids = torch.randn(20, 4), torch.arange(10).repeat(2)
    assert math.isfinite(verification_accuracy(embeddings, ids, torch.Generator()))
    embeddings[3, 0] = torch.nan
    assert math.isnan(verification_accuracy(embeddings, ids, torch.Generator()))


def test_best_threshold_equals_a_naive_search():
    generator = np.random.default_rng(0)
    for _ in range(100):
        count = int(generator.integers(1, 12))
        values = torch.tensor(generator.integers(0, 6, count) / 6, dtype=torch.float32)  # with ties
        truth = torch.tensor(generator.integers(0, 2, count) == 1)
        candidates = [-1.0, *(values + 1e-3).tolist()]
        best = max(((values > t) == truth).sum().item() for t in candidates)
        assert ((values > best_threshold(values, truth)) == truth).sum().item() == best
