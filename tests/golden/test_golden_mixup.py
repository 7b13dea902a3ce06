"""mixup: by hand, as a naive loop, in distribution against numpy's Beta; labels and AUs follow the picture."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from timm.data.mixup import mixup_target

from fer_core.augment.mixing import MIXES, mix
from fer_core.errors import ConfigError


def run(images, targets, aus, alpha=0.4, seed=0, name="mixup"):
    names = tuple(f"AU{i}" for i in range(aus.shape[1]))
    return mix(name, images, targets, aus, alpha=alpha, generator=torch.Generator().manual_seed(seed), au_names=names)


def one_hot_case(count=8, classes=8):
    eye = torch.eye(count, classes)
    return eye[:, :, None, None].expand(count, classes, 2, 2).clone(), eye, eye.clone()


def test_two_samples_by_hand():
    images = torch.tensor([0.0, 1.0])[:, None, None, None]
    targets = torch.eye(2)
    for seed in range(20):
        mixed, labels, aus = run(images, targets, torch.tensor([[1.0], [0.0]]), seed=seed)
        # picture 0 is black and picture 1 white: a mixed picture's tone is the share of picture 1 in it
        assert labels[:, 1].tolist() == pytest.approx(mixed.flatten().tolist(), abs=1e-6)
        assert aus.flatten().tolist() == pytest.approx((1 - mixed.flatten()).tolist(), abs=1e-6)


def test_naive_loop():
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(6, 3, 4, 4, generator=generator)
    targets = torch.softmax(torch.randn(6, 5, generator=generator), dim=1)
    aus = torch.rand(6, 2, generator=generator)
    mixed = run(images, targets, aus, seed=5)
    # repeat the draws
    draw = torch.Generator().manual_seed(5)
    seed = int(torch.randint(2**62, (), generator=draw))
    lam = np.random.default_rng(seed).beta(0.4, 0.4, 6)
    partner = torch.randperm(6, generator=draw)
    for before, after in zip((images, targets, aus), mixed, strict=True):
        for i in range(6):
            expected = lam[i] * before[i].double() + (1 - lam[i]) * before[partner[i]].double()
            torch.testing.assert_close(after[i].double(), expected, atol=1e-6, rtol=1e-5)


def test_target_equals_timms_for_the_same_share():
    images, targets, aus = one_hot_case(4, 4)
    mixed, labels, _ = run(images, targets, aus, seed=1)
    for i in range(4):
        share = labels[i, i].item()  # sample i's own part
        partner = int(labels[i].clone().index_fill_(0, torch.tensor(i), 0).argmax())
        pair = torch.tensor([i, partner])
        reference = mixup_target(torch.stack([pair, pair.flip(0)])[0], 4, lam=share)[0]
        torch.testing.assert_close(labels[i], reference)
        torch.testing.assert_close(mixed[i, :, 0, 0], labels[i])


def test_share_is_beta_distributed_per_sample():
    count = 4000
    images = torch.arange(count, dtype=torch.float64)[:, None, None, None].expand(-1, 1, 1, 1)
    targets = torch.stack([torch.ones(count), torch.zeros(count)], dim=1).double()
    targets[count // 2 :] = targets[count // 2 :].flip(1)  # half the samples are of the other class
    _, labels, _ = run(images, targets, torch.zeros(count, 0), alpha=0.7)
    share = labels.gather(1, (torch.arange(count) >= count // 2).long()[:, None])[:, 0]
    mixed = share[share < 1]  # pairs of different classes show their own share
    assert len(mixed) > count / 3
    assert stats.kstest(mixed.numpy(), stats.beta(0.7, 0.7).cdf).pvalue > 0.001


def test_unannotated_aus_stay_so_where_either_partner_is():
    images, targets, _ = one_hot_case(2, 2)
    aus = torch.tensor([[1.0, math.nan, 0.0], [0.0, 1.0, 0.0]])
    seed = next(s for s in range(50) if not run(images, targets, aus, seed=s)[1].equal(targets))
    mixed = run(images, targets, aus, seed=seed)[2]
    assert mixed.isnan().any(dim=0).tolist() == [False, True, False]
    assert mixed[:, 1].isnan().all()
    assert mixed[:, 2].tolist() == [0, 0]


def test_totals_are_kept_and_inputs_untouched():
    images, targets, aus = one_hot_case()
    before = images.clone(), targets.clone(), aus.clone()
    _, labels, _ = run(images, targets, aus)
    torch.testing.assert_close(labels.sum(dim=1), torch.ones(8))
    assert all(a.equal(b) for a, b in zip(before, (images, targets, aus), strict=True))


@pytest.mark.parametrize("name", MIXES)
@pytest.mark.parametrize("count", [0, 1])
def test_none_or_one_sample(name, count):
    images, targets, aus = (x[:count] for x in one_hot_case())
    for before, after in zip((images, targets, aus), run(images, targets, aus, name=name), strict=True):
        torch.testing.assert_close(before, after)


def test_none_and_alpha_zero_change_nothing():
    case = one_hot_case()
    assert all(a is b for a, b in zip(run(*case, name="none"), case, strict=True))
    assert all(a is b for a, b in zip(run(*case, alpha=0.0), case, strict=True))


def test_half_precision_stays_finite():
    images, targets, aus = one_hot_case()
    mixed, labels, _ = run(images.bfloat16(), targets, aus, alpha=0.01)
    assert mixed.dtype == torch.bfloat16 and mixed.isfinite().all() and labels.isfinite().all()


def test_refusals():
    with pytest.raises(ConfigError, match="Did you mean 'mixup'"):
        run(*one_hot_case(), name="mixupp")
    with pytest.raises(ConfigError, match="mix_alpha"):
        run(*one_hot_case(), alpha=-1.0)


def test_a_partner_without_a_share_hides_nothing(monkeypatch):
    """At λ = 1 a sample is itself, whatever is unknown of its partner."""
    monkeypatch.setattr("fer_core.augment.mixing.partners", lambda *_: torch.tensor([1, 0]))
    draws = type("Draws", (), {"beta": lambda *_: np.array([1.0, 0.5])})()
    monkeypatch.setattr("fer_core.augment.mixing.numpy_draws", lambda *_: draws)
    _, _, aus = run(torch.rand(2, 1, 2, 2), torch.eye(2), torch.tensor([[1.0], [math.nan]]))
    assert aus[0].item() == 1 and aus[1].isnan()
