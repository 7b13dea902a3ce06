"""Fréchet distance between two sets of features.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017; the
formula for Gaussians is Dowson & Landau's, J. Multivariate Analysis 1982:

    d² = ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2·(Σ₁Σ₂)^½)

of the Gaussians with the sets' means and covariances (unbiased, over N − 1). Features are those of *our own* encoder,
trained on the faces at hand: Inception's know nothing of 64 px faces. So numbers compare only where the encoder is the
same, and none is comparable with a published FID.

Careful in numbers: with centred features A = (X − μ)/√(N − 1), Σ = AᵀA, the non-zero eigenvalues of Σ₁Σ₂ are the
squared singular values of A₁A₂ᵀ, so Tr (Σ₁Σ₂)^½ is their sum, the nuclear norm. Nothing is squared and then rooted,
covariances of fewer faces than features (singular ones) are no special case, and no complex number arises.

The distance of finite sets is above the true one, the more the fewer faces there are (Bińkowski et al., "Demystifying
MMD GANs", ICLR 2018). It is therefore read beside a floor: the distance between two halves of the real faces.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fer_core.errors import ConfigError, DataError

DRAWS = 5  # random halves that distance and floor are averaged over


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Return d², at least 0, of features (N, D) and (M, D); NaN where a set has fewer than two faces.

    Raises:
        ConfigError: the sets' features are not of one length.
        DataError: a feature is not finite.

    Example:
        >>> frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0]]))
        9.0
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ConfigError(
            f"Expected two tables of features of one length; got {tuple(first.shape)} and {tuple(second.shape)}."
        )
    if not (first.isfinite().all() and second.isfinite().all()):
        raise DataError("Expected finite features; got NaN or infinite ones.")
    if min(len(first), len(second)) < 2:
        return math.nan
    first, second = first.double(), second.double()
    means = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    one, two = _root(first), _root(second)
    spread = one.square().sum() + two.square().sum()  # Tr Σ = ‖A‖²
    common = torch.linalg.svdvals(one @ two.mT).sum()
    return max(float(means + spread - 2 * common), 0.0)


def _root(features: Tensor) -> Tensor:
    """Return R with RᵀR = Σ, at most (D, D): the triangle of A's QR decomposition, which is smaller than A."""
    centred = (features - features.mean(dim=0)) / math.sqrt(len(features) - 1)
    return torch.linalg.qr(centred, mode="r").R


@dataclass(frozen=True)
class Distance:
    """How far synthetic faces are from real ones, and real ones from each other.

    Attributes:
        distance: mean d² of real faces and as many synthetic ones.
        floor: mean d² of two disjoint sets of real faces of the same size: what a perfect generator would get.
        faces: in each set, so that both numbers have the same bias.
    """

    distance: float
    floor: float
    faces: int


def distance_and_floor(real: Tensor, synthetic: Tensor, generator: torch.Generator) -> Distance:
    """Compare features (N, D) with synthetic ones (M, D), in sets of n = min(⌊N / 2⌋, M) drawn at random.

    Both should have the same classes in the same shares, else their difference is counted as well. NaN where n < 2.
    """
    n = min(len(real) // 2, len(synthetic))
    distances, floors = [], []
    for _ in range(DRAWS):
        order = torch.randperm(len(real), generator=generator).to(real.device)
        half, other = real[order[:n]], real[order[n : 2 * n]]
        chosen = torch.randperm(len(synthetic), generator=generator)[:n].to(synthetic.device)
        distances.append(frechet_distance(half, synthetic[chosen]))
        floors.append(frechet_distance(half, other))
    return Distance(sum(distances) / DRAWS, sum(floors) / DRAWS, n)
