"""CosFace: by hand, as a loop, against pytorch-metric-learning; and the choice between the identity losses."""

import math
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml
from pytorch_metric_learning.losses import CosFaceLoss
from torch.nn import functional

from fer_core.choices import IDENTITY_MARGINS
from fer_core.config import load_params
from fer_core.errors import ConfigError
from fer_core.labels import BASIC_EMOTIONS, RAFCE
from fer_core.pretraining.arcface import ArcFace
from fer_core.pretraining.cosface import CosFace
from fer_core.pretraining.identity import IDENTITY_LOSSES, build_identity_loss
from fer_core.roadmap import make_road
from fer_core.shared_work import pretraining_plan


def head(features=6, identities=5, s=64.0, m=0.35, dtype=torch.float64):
    torch.manual_seed(0)
    return CosFace(features, identities, s, m).to(dtype)


def case(count=12, features=6, identities=5):
    generator = torch.Generator().manual_seed(1)
    embeddings = 3 * torch.randn(count, features, generator=generator, dtype=torch.float64)
    return embeddings, torch.arange(count) % identities


def test_by_hand():
    module = head(2, 2, s=10.0, m=0.35)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 0.5]]))  # the identities' axes x and y
    x = torch.tensor([[3.0, 4.0], [-5.0, 0.0]], dtype=torch.float64)  # cosines 0.6, 0.8 and -1, 0
    assert module(x, torch.tensor([0, 0])).tolist() == [pytest.approx([2.5, 8.0]), pytest.approx([-13.5, 0.0])]
    assert module(x, torch.tensor([1, 1])).tolist() == [pytest.approx([6.0, 4.5]), pytest.approx([-10.0, -3.5])]
    loss = functional.cross_entropy(module(x[:1], torch.tensor([1])), torch.tensor([1]))
    assert loss.item() == pytest.approx(math.log(math.exp(6.0) + math.exp(4.5)) - 4.5)


def test_naive_loop():
    module = head()
    embeddings, labels = case()
    logits = module(embeddings, labels)
    for i, x in enumerate(embeddings):
        for j, w in enumerate(module.weight):
            cosine = sum((x[k] * w[k]).item() for k in range(6)) / (x.norm() * w.norm()).item()
            assert logits[i, j].item() == pytest.approx(64 * (cosine - (0.35 if j == labels[i] else 0)), abs=1e-9)


@pytest.mark.parametrize(("s", "m"), [(64.0, 0.35), (30.0, 0.2), (16.0, 0.0)])
def test_equals_pytorch_metric_learning_in_values_and_gradients(s, m):
    module = head(s=s, m=m)
    embeddings, labels = case()
    reference = CosFaceLoss(5, 6, margin=m, scale=s).double()
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
    weight = module.weight.detach().clone().requires_grad_()

    def logits(x, w):
        return torch.func.functional_call(module, {"weight": w}, (x, labels))

    assert torch.autograd.gradcheck(logits, (embeddings.requires_grad_(), weight))


def test_the_margin_costs_and_lengths_do_not_count():
    embeddings, labels = case()
    losses = [functional.cross_entropy(head(s=8.0, m=m)(embeddings, labels), labels).item() for m in (0.0, 0.35, 0.7)]
    assert losses == sorted(losses) and losses[0] < losses[2]
    module = head()
    torch.testing.assert_close(module(7 * embeddings, labels), module(embeddings, labels))
    expected = 64 * functional.cosine_similarity(embeddings[:, None], module.weight[None], dim=-1)
    torch.testing.assert_close(module(embeddings), expected)  # no labels, no margin


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_extremes_are_finite(dtype):
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


# --- which loss ------------------------------------------------------------------------------------------------


def test_the_losses_are_those_of_params_yaml_with_their_papers_margins():
    assert IDENTITY_LOSSES.keys() == IDENTITY_MARGINS.keys()
    for name, kind in IDENTITY_LOSSES.items():
        assert kind(3, 2).m == IDENTITY_MARGINS[name] and kind(3, 2).s == 64
        built = build_identity_loss(name, 3, 2, 16.0, 0.1)
        assert type(built) is kind and (built.s, built.m) == (16.0, 0.1) and built.weight.shape == (2, 3)
    with pytest.raises(ConfigError, match=r"`identity\.loss` to be one of arcface, cosface; got 'cosfce'.*'cosface'"):
        build_identity_loss("cosfce", 3, 2, 16.0, 0.1)


def test_both_start_from_the_same_weights():
    torch.manual_seed(3)
    one = ArcFace(4, 5)
    torch.manual_seed(3)
    assert build_identity_loss("cosface", 4, 5, 64.0, 0.35).weight.equal(one.weight)


def params(**identity):
    raw = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
    raw["identity"] |= identity
    return load_params(raw)


def test_params_yaml_resolves_the_margin():
    names = list(RAFCE.classes)
    card = {"aus": True, "identities": True, "intensities": True, "clips": False, "votes": True, "classes": names}
    card |= {"vote_names": list(BASIC_EMOTIONS), "counts": {"train": dict.fromkeys(names, 30)}, "notes": []}

    def plan(**changes):
        loaded = params(**changes)
        return pretraining_plan("resnet", make_road(loaded, card), asdict(loaded.identity))["identity"]

    assert (plan()["loss"], plan()["margin"]) == ("arcface", 0.5)
    assert plan(loss="cosface")["margin"] == 0.35
    assert plan(loss="cosface", margin=0.0)["margin"] == 0.0


def test_unknown_losses_and_margins_are_refused_by_key():
    with pytest.raises(ConfigError, match=r"`identity\.loss` to be one of arcface, cosface; got 'arcfac'"):
        params(loss="arcfac")
    with pytest.raises(ConfigError, match=r"`identity\.margin` to be between 0 and 2; got -0\.1"):
        params(margin=-0.1)
