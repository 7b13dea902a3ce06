"""Fréchet distance: by hand, by scipy's matrix root, against torchmetrics; its floor; where it could go wrong."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import _compute_fid

from fer_core.errors import ConfigError, DataError
from fer_core.synthesis.frechet import distance_and_floor, frechet_distance


def features(count, width, seed=0, scale=1.0, shift=0.0):
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=random, dtype=torch.float64)
    return scale * torch.randn(count, width, generator=random, dtype=torch.float64) @ mixing + shift


def moments(x):
    return x.mean(dim=0), torch.cov(x.T).reshape(x.shape[1], x.shape[1])


def test_by_hand():
    # one dimension: (μ₁ − μ₂)² + (σ₁ − σ₂)²; here means 1 and 5, variances 2 and 8
    assert frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [7.0]])) == pytest.approx(16 + 2)
    # independent dimensions add up: variances (2, 0.5) and (0.5, 2), means alike
    first = torch.tensor([[1.0, 0.5], [-1.0, -0.5]]), torch.tensor([[0.5, 1.0], [-0.5, -1.0]])
    # but these points lie on lines: Σ₁ = [[2, 1], [1, ½]], Σ₂ = [[½, 1], [1, 2]], of rank one; traces 2.5 and 2.5;
    # A₁A₂ᵀ's nuclear norm is √2·√2·(1·½ + ½·1) = 2
    assert frechet_distance(*first) == pytest.approx(2.5 + 2.5 - 2 * 2)


def test_against_the_formula_with_scipys_matrix_root():
    first, second = features(60, 5), features(40, 5, 1, 2.0, 0.7)
    (m1, s1), (m2, s2) = moments(first), moments(second)
    root = scipy.linalg.sqrtm(s1.numpy() @ s2.numpy())
    expected = sum((a - b) ** 2 for a, b in zip(m1.tolist(), m2.tolist(), strict=True))
    expected += sum((s1[i, i] + s2[i, i] - 2 * np.real(root[i, i])).item() for i in range(5))
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("count", "width"), [(200, 16), (40, 3), (500, 32)])
def test_against_torchmetrics(count, width):
    first, second = features(count, width), features(count + 7, width, 1, 1.5, 0.3)
    reference = _compute_fid(*moments(first), *moments(second))
    assert frechet_distance(first, second) == pytest.approx(reference.item(), rel=1e-7)


@pytest.mark.parametrize("count", [2, 5, 16, 17])
def test_fewer_faces_than_features(count):
    """Singular covariances, where a root of Σ₁Σ₂ loses half of the digits: the symmetric form by eigenvectors."""
    first, second = features(count, 16), features(count + 1, 16, 1)
    (m1, s1), (m2, s2) = moments(first), moments(second)
    values, vectors = torch.linalg.eigh(s1)
    root = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    common = torch.linalg.eigvalsh(root @ s2 @ root).clamp(min=0).sqrt().sum()
    expected = (m1 - m2).square().sum() + s1.trace() + s2.trace() - 2 * common
    assert frechet_distance(first, second) == pytest.approx(expected.item(), rel=1e-5)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_properties():
    x, y = features(50, 6), features(70, 6, 1)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x))
    assert frechet_distance(x, x + 2) == pytest.approx(6 * 4), "moved: only the means"
    assert frechet_distance(x, x[torch.randperm(50)]) == pytest.approx(0, abs=1e-9)
    rotation = torch.linalg.qr(features(6, 6, 3)).Q
    assert frechet_distance(x @ rotation, y @ rotation) == pytest.approx(frechet_distance(x, y))
    assert frechet_distance(3 * x, 3 * y) == pytest.approx(9 * frechet_distance(x, y))
    centred = x - x.mean(dim=0)
    spread = torch.cov(x.T).trace().item()
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * spread), "(σ − 3σ)²"


def test_far_from_the_origin_and_in_half_precision():
    x, y = features(50, 6), features(70, 6, 1)
    assert frechet_distance(x + 1e6, y + 1e6) == pytest.approx(frechet_distance(x, y), rel=1e-6)
    near = frechet_distance(x.half(), y.half())
    assert near == pytest.approx(frechet_distance(x, y), rel=0.01)


def test_degenerate_sets():
    assert math.isnan(frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))), "one face has no covariance"
    assert math.isnan(frechet_distance(torch.zeros(5, 3), torch.zeros(0, 3)))
    assert frechet_distance(torch.zeros(4, 3), torch.ones(4, 3)) == pytest.approx(3), "collapsed"
    with pytest.raises(ConfigError, match=r"one length; got \(4, 3\) and \(4, 2\)"):
        frechet_distance(torch.zeros(4, 3), torch.zeros(4, 2))
    with pytest.raises(ConfigError, match="tables"):
        frechet_distance(torch.zeros(4), torch.zeros(4))
    for bad in (math.nan, math.inf):
        with pytest.raises(DataError, match="finite"):
            frechet_distance(torch.zeros(4, 1), torch.tensor([[0.0], [bad]]))


def test_a_perfect_generator_reaches_the_floor_and_a_worse_one_does_not():
    random = torch.Generator().manual_seed(0)
    everything = features(900, 8)
    real, perfect = everything[:600], everything[600:]
    result = distance_and_floor(real, perfect, random)
    assert result.faces == 300
    assert result.floor > 0 and result.distance == pytest.approx(result.floor, rel=0.35)
    worse = distance_and_floor(real, 0.7 * perfect, random)
    assert worse.distance > 4 * worse.floor


def test_the_floor_is_of_as_many_faces_as_the_distance():
    """Few faces raise both numbers alike, so that a small set is not taken for a bad one."""
    everything = features(900, 8)
    real, perfect = everything[:600], everything[600:]
    small = distance_and_floor(real, perfect[:30], torch.Generator().manual_seed(0))
    large = distance_and_floor(real, perfect, torch.Generator().manual_seed(0))
    assert small.faces == 30 and small.distance > 3 * large.distance
    assert 0.5 < small.distance / small.floor < 2


@pytest.mark.parametrize(("real", "made", "n"), [(40, 300, 20), (41, 7, 7)])
def test_all_sets_are_of_one_size(real, made, n, monkeypatch):
    sizes = set()

    def distance(first, second):
        sizes.update((len(first), len(second)))
        return 0.0

    monkeypatch.setattr("fer_core.synthesis.frechet.frechet_distance", distance)
    distance_and_floor(features(real, 2), features(made, 2, 1), torch.Generator().manual_seed(0))
    assert sizes == {n}


def test_the_halves_of_the_floor_share_no_face():
    """Two faces, each a half: were one in both, some distance would be 0."""
    real = torch.cat([torch.full((2, 1), 0.0), torch.full((2, 1), 10.0)])
    values = [distance_and_floor(real, real, torch.Generator().manual_seed(seed)) for seed in range(20)]
    # halves (0, 0 | 10, 10): 100; (0, 10 | 0, 10): 0; the mean of five draws is 20 times a whole number
    assert all(value.faces == 2 and value.floor / 20 == pytest.approx(round(value.floor / 20)) for value in values)
    assert np.mean([value.floor for value in values]) == pytest.approx(100 / 3, abs=12)


def test_draws_repeat_and_too_few_faces_have_no_distance():
    real, made = features(40, 3), features(25, 3, 1)
    results = [distance_and_floor(real, made, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert results[0] == results[1] != results[2]
    none = distance_and_floor(real[:3], made, torch.Generator().manual_seed(0))
    assert none.faces == 1 and math.isnan(none.distance) and math.isnan(none.floor)
