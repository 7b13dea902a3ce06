"""SimCLR (Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020).

    l(i, j) = −log  exp(cos(z_i, z_j) / τ) / Σ_{k ≠ i} exp(cos(z_i, z_k) / τ)          equation 1, NT-Xent
    L = mean of l(i, j) over all 2B views i, j being the other view of i's picture

The other pictures of the batch are the negatives, so large batches help; the paper takes 256 to 8192 pictures.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.errors import ConfigError
from fer_core.pretraining.contrast import check_temperature, directions, projection_head
from fer_core.pretraining.views import views

BLUR = (0.5, 0.5)  # probability of blur in either view, as in the paper's appendix A


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the scalar NT-Xent loss of projections (B, D) and (B, D) of two views of the same B pictures.

    Computed in float32 at least, whatever autocast says. All equal projections give log(2B − 1).

    Example:
        >>> round(nt_xent(torch.eye(2), torch.eye(2), 1.0).item(), 4)  # −log(e / (e + 2))
        0.5514
    """
    with torch.autocast(first.device.type, enabled=False):
        z = directions(torch.cat([first, second]))
        similarity = z @ z.T / temperature
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        similarity = similarity.masked_fill(itself, -torch.inf)
        partner = torch.arange(len(z), device=z.device).roll(len(first))
        return functional.cross_entropy(similarity, partner)


class SimClr(nn.Module):
    """One network and its projection head.

    Args:
        backbone: gives pooled features (B, `features`); it is the network being trained, not a copy.
        features: width of the backbone's output.
        projection: width of the projections (128 in the paper).
        hidden: width of the head's hidden layer (2048, ResNet-50's own width, in the paper).
        temperature: τ > 0 (0.1 on ImageNet and 0.5 on CIFAR-10 in the paper).
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        *,
        projection: int = 128,
        hidden: int = 2048,
        temperature: float = 0.5,
    ) -> None:
        super().__init__()
        self.temperature = check_temperature(temperature)
        self.backbone = backbone
        self.projector = projection_head(features, hidden, projection)

    def views(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return two views of images (B, C, H, W) in 0..1."""
        return views(images, generator, BLUR)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        """Return the scalar loss of two views (B, C, H, W) of the same pictures, B >= 2.

        Raises:
            ConfigError: a batch of one picture, which has no negatives.
        """
        if len(view1) < 2:
            raise ConfigError(f"SimCLR needs at least 2 pictures in a batch; got {len(view1)}.")
        first, second = (self.projector(self.backbone(view)) for view in (view1, view2))
        return nt_xent(first, second, self.temperature)

    def update_target(self, step: int, steps: int) -> float:
        """Do nothing and return 0: SimCLR has no target network."""
        return 0.0
