"""MoCo v2 (He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020; Chen et al.,
"Improved Baselines with Momentum Contrastive Learning", arXiv 2003.04297, 2020).

    L = mean_i −log  exp(q_i·k_i / τ) / (exp(q_i·k_i / τ) + Σ_n exp(q_i·n / τ)),   n in the queue     equation 1
    ξ ← m·ξ + (1 − m)·θ                                                                               equation 2

q is the projection of view 1 by the trained network θ, k that of view 2 by the momentum network ξ, both of unit
length; k joins the queue when the loss is computed and pushes the oldest keys out. As in both papers the loss goes one
way only (not also with the views swapped, as v3 does), and the queue starts with random directions.

The papers shuffle the batch between GPUs so that batch norm cannot tell which key belongs to which query. On one
device there is nothing to shuffle between, so it is left out: a network with batch norm may use that shortcut a little.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.errors import ConfigError
from fer_core.pretraining.contrast import check_temperature, directions, projection_head
from fer_core.pretraining.views import views

BLUR = (0.5, 0.5)  # probability of blur in either view, as in MoCo v2


def info_nce(queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Return the scalar InfoNCE loss; computed in float32 at least, whatever autocast says.

    Args:
        queries: (B, D), any length.
        keys: (B, D), key i belongs to query i; any length, no gradient flows into them.
        negatives: (K, D) of unit length.
        temperature: τ > 0.

    Example:
        >>> one = torch.tensor([[1.0, 0.0]])
        >>> round(info_nce(one, one, torch.tensor([[0.0, 1.0]]), 1.0).item(), 4)  # −log(e / (e + 1))
        0.3133
    """
    with torch.autocast(queries.device.type, enabled=False):
        q, k = directions(queries), directions(keys.detach())
        own = (q * k).sum(dim=1, keepdim=True)
        logits = torch.cat([own, q @ negatives.to(q).T], dim=1) / temperature
        return functional.cross_entropy(logits, torch.zeros(len(q), dtype=torch.int64, device=q.device))


class MoCo(nn.Module):
    """Query network, momentum network and a queue of keys; the queue is part of the state, so of every checkpoint.

    Args:
        backbone: gives pooled features (B, `features`); it is the network being trained, not a copy.
        features: width of the backbone's output.
        projection: width of the projections (128 in the papers).
        hidden: width of the head's hidden layer (2048 in v2).
        momentum: m in [0, 1], constant (0.999 in the papers).
        temperature: τ > 0 (0.2 in v2).
        queue: number of keys K >= 1 (65536 in the papers, for 1.28 million pictures). The longer beside an epoch, the
            more often a picture meets its own key of the epoch before as a negative.
    """

    queue: Tensor
    oldest: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        *,
        projection: int = 128,
        hidden: int = 2048,
        momentum: float = 0.999,
        temperature: float = 0.2,
        queue: int = 65536,
    ) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ConfigError(f"Expected `ssl.momentum` to be between 0 and 1; got {momentum!r}.")
        if queue < 1:
            raise ConfigError(f"Expected `ssl.queue` to be at least 1; got {queue!r}.")
        self.momentum = momentum
        self.temperature = check_temperature(temperature)
        self.backbone = backbone
        self.projector = projection_head(features, hidden, projection)
        self.target = nn.Sequential(copy.deepcopy(backbone), copy.deepcopy(self.projector))
        self.target.requires_grad_(False)
        self.register_buffer("queue", functional.normalize(torch.randn(queue, projection), dim=1))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))  # row that the next key replaces

    def views(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return two views of images (B, C, H, W) in 0..1: the queries' and the keys'."""
        return views(images, generator, BLUR)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        """Return the scalar loss of two views (B, C, H, W) of the same pictures; in train mode the queue moves on."""
        queries = self.projector(self.backbone(view1))
        with torch.no_grad():
            keys = self.target(view2)
        # a copy: the backward pass reads these negatives after the queue has moved on
        loss = info_nce(queries, keys, self.queue.clone(), self.temperature)
        if self.training:
            self.enqueue(directions(keys))
        return loss

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Replace the oldest keys by these (B, D), of unit length; of more than K keys the last K stay."""
        keys = keys[-len(self.queue) :]
        places = (self.oldest + torch.arange(len(keys), device=keys.device)) % len(self.queue)
        self.queue[places] = keys.to(self.queue)
        self.oldest.copy_((self.oldest + len(keys)) % len(self.queue))

    @torch.no_grad()
    def update_target(self, step: int, steps: int) -> float:
        """Move the momentum network towards the trained one; returns m, the same at every `step` of `steps`."""
        online = [*self.backbone.parameters(), *self.projector.parameters()]
        torch._foreach_lerp_(
            [parameter.data for parameter in self.target.parameters()],
            [parameter.data for parameter in online],
            1 - self.momentum,
        )
        return self.momentum
