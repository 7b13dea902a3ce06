"""Attention that is taught where the face acts: one map per region, pulled towards the regions of the active AUs.

    a_r = conv_3x3(x)_r,   m = max_r sigmoid(a_r),   x' = x · (1 + m)

- Maps supervised by a cross-entropy towards regions that the landmarks predefine: Shao et al., "Deep Adaptive
  Attention for Joint Facial Action Unit Detection and Face Alignment" (JAA-Net), ECCV 2018.
- A map from landmarks that enhances features beside an identity path: Li et al., "EAC-Net: Deep Nets with
  Enhancing and Cropping for Facial Action Unit Detection", TPAMI 2018; (1 + m)·x, so that no feature can be lost, as in
  Wang et al., "Residual Attention Network for Image Classification", CVPR 2017.

Variants: JAA-Net has one map per AU, and a branch of its own for each; we have one per region of the face, because AUs
of one region have the same box, and one feature map for the emotion, modulated by the union (the maximum) of the maps.
JAA-Net teaches where an AU would show, whether active or not; here a region's map is to be empty where its AUs are
absent, so that the map says where this face acts. The target and its loss are in `fer_core.augment.guidance` and
`fer_core.losses.attention`; nothing but pictures is needed for a prediction.
"""

import torch
from torch import Tensor, nn

from fer_core.augment.regions import REGIONS


class AuGuided(nn.Module):
    """The attention module, (B, C, H, W) to the same shape.

    Attributes:
        conv: C channels to one logit per region and place, in the order of `REGIONS`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, len(REGIONS), kernel_size=3, padding=1)

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the attended features (B, C, H, W) and the regions' logits (B, R, H, W)."""
        logits = self.conv(x)
        return x * (1 + gate(logits)), logits

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended features (B, C, H, W), between once and twice the given ones."""
        return self.attend(x)[0]


def gate(logits: Tensor) -> Tensor:
    """Return the union of the regions' maps, (B, 1, H, W) in 0..1, from their logits (B, R, H, W).

    Example:
        >>> gate(torch.tensor([0.0, -1.0]).reshape(1, 2, 1, 1)).item()
        0.5
    """
    return torch.sigmoid(logits.amax(dim=1, keepdim=True))
