"""CosFace (Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR 2018, equation 4).

    logit_j = s · cos θ_j,   and for the true identity y   s · (cos θ_y − m)

Embeddings and class weights have length 1; the margin is the same for all people, whatever the angle.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.losses.common import at_least_float32
from fer_core.pretraining.arcface import SHORTEST


class CosFace(nn.Module):
    """Identity logits with an additive cosine margin, for `cross_entropy`.

    Args:
        features: width of the embeddings.
        identities: number of people.
        s: scale, the radius of the sphere.
        m: margin, of a cosine.

    Example:
        >>> head = CosFace(2, 2, s=10.0, m=0.35)
        >>> with torch.no_grad():
        ...     head.weight.copy_(torch.eye(2)).shape
        torch.Size([2, 2])
        >>> [round(value, 3) for value in head(torch.tensor([[3.0, 4.0]]), torch.tensor([1]))[0].tolist()]
        [6.0, 4.5]
    """

    def __init__(self, features: int, identities: int, s: float = 64.0, m: float = 0.35) -> None:
        super().__init__()
        self.s = s
        self.m = m
        self.weight = nn.Parameter(torch.empty(identities, features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (B, identities), with the margin where labels (B,) int64 are given.

        Computed in float32 at least, whatever autocast says: at scale 64 half precision rounds by whole logits' tenths.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = functional.normalize(at_least_float32(features), dim=-1, eps=SHORTEST)
            cosine = functional.linear(features, functional.normalize(self.weight.to(features), dim=-1))
            if labels is None:
                return self.s * cosine
            margin = torch.zeros_like(cosine).scatter(1, labels[:, None], self.m)
            return self.s * (cosine - margin)
