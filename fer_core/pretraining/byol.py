"""BYOL (Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020).

    L = ‖q̄(v1) − z̄'(v2)‖² + ‖q̄(v2) − z̄'(v1)‖²,   ‖q̄ − z̄'‖² = 2 − 2·cos(q, z')     averaged over the batch
    ξ ← τ·ξ + (1 − τ)·θ,   τ = 1 − (1 − τ_base)·(cos(π·k/K) + 1) / 2

q is the prediction of the online network θ, z' the projection of the target network ξ, which gets no gradient.
The paper's sum of both directions is kept: 4 + 2·(a + b) in terms of lightly's two NegativeCosineSimilarity values.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.errors import ConfigError
from fer_core.losses.common import at_least_float32
from fer_core.pretraining.views import views

__all__ = ["Byol", "feature_deviation", "regression_loss", "target_momentum", "views"]


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Build the paper's projector and predictor: linear, batch norm, ReLU, linear."""
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, outputs),
    )


def regression_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean of 2 − 2·cos over the batch, for predictions and targets (B, D); 0 to 4.

    Example:
        >>> regression_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]])).item()
        2.0
    """
    cosine = functional.cosine_similarity(at_least_float32(prediction), at_least_float32(target), dim=-1)
    return (2 - 2 * cosine).mean()


def target_momentum(base: float, step: int, steps: int) -> float:
    """Return τ at `step` of `steps`: from `base` to 1 by half a cosine."""
    share = min(step / max(steps, 1), 1.0)
    return 1 - (1 - base) * (math.cos(math.pi * share) + 1) / 2


@torch.no_grad()
def feature_deviation(features: Tensor) -> float:
    """Return how widely features (B, D) spread on the sphere: about 1 when even, 0 when collapsed.

    The mean over D of the standard deviation of the l2-normalised features, times √D (Chen & He, "Exploring
    Simple Siamese Representation Learning", CVPR 2021). NaN for fewer than two samples.
    """
    if len(features) < 2:
        return math.nan
    directions = functional.normalize(at_least_float32(features), dim=-1)
    return (directions.std(dim=0).mean() * features.shape[1] ** 0.5).item()


class Byol(nn.Module):
    """Online network, predictor and momentum target.

    Args:
        backbone: gives pooled features (B, `features`); it is the network being trained, not a copy.
        features: width of the backbone's output.
        projection: width of the projections (256 in the paper).
        hidden: width of the projector's and predictor's hidden layer (4096 in the paper).
        momentum: τ_base in [0, 1] (0.996 in the paper).
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        *,
        projection: int = 256,
        hidden: int = 4096,
        momentum: float = 0.996,
    ) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ConfigError(f"Expected `ssl.momentum` to be between 0 and 1; got {momentum!r}.")
        self.momentum = momentum
        self.backbone = backbone
        self.projector = mlp(features, hidden, projection)
        self.predictor = mlp(projection, hidden, projection)
        self.target = nn.Sequential(copy.deepcopy(backbone), copy.deepcopy(self.projector))
        self.target.requires_grad_(False)

    def views(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return two views of images (B, C, H, W) in 0..1."""
        return views(images, generator)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        """Return the scalar loss of two views (B, C, H, W) of the same pictures, B >= 2.

        Raises:
            ConfigError: a batch of one picture, which batch normalisation cannot take.
        """
        if len(view1) < 2:
            raise ConfigError(f"BYOL needs at least 2 pictures in a batch; got {len(view1)}.")
        first = self.predictor(self.projector(self.backbone(view1)))
        second = self.predictor(self.projector(self.backbone(view2)))
        with torch.no_grad():
            target1, target2 = self.target(view1), self.target(view2)
        return regression_loss(first, target2) + regression_loss(second, target1)

    @torch.no_grad()
    def update_target(self, step: int, steps: int) -> float:
        """Move the target towards the online network after optimiser step `step` (from 0) of `steps`.

        Returns:
            The momentum τ that was used.
        """
        momentum = target_momentum(self.momentum, step, steps)
        online = [*self.backbone.parameters(), *self.projector.parameters()]
        torch._foreach_lerp_(
            [parameter.data for parameter in self.target.parameters()],
            [parameter.data for parameter in online],
            1 - momentum,
        )
        return momentum
