"""What our own face networks have in common: timm's interface, as far as `Encoder`, attention and `layer_decay` ask it.

A face network ends in an embedding instead of class scores, so `forward_head` gives the embedding with and without
`pre_logits`, and `num_classes` is always 0. The embedding is not normalised to length 1: the heads learn on it.
"""

from typing import Any

from timm.models import build_model_with_cfg
from torch import Tensor, nn


class FaceNetwork(nn.Module):
    """Pictures (B, C, H, W) to an embedding (B, `head_hidden_size`).

    Attributes:
        num_features: channels of the final feature map.
        head_hidden_size: width of the embedding.
    """

    num_features: int
    head_hidden_size: int

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__()
        if num_classes:
            raise ValueError(f"face networks have no classifier; got num_classes {num_classes}")
        self.num_classes = 0

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the final feature map (B, num_features, h, w)."""
        raise NotImplementedError

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the embedding (B, head_hidden_size) of a final feature map."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding (B, head_hidden_size)."""
        return self.forward_head(self.forward_features(x))


def published(side: int, mean: float, std: float, first_conv: str, **more: Any) -> dict[str, Any]:
    """Return timm's data configuration of a face network trained on pictures of `side` px, the same for each channel.

    There is no address: timm downloads none of these, `init: face` and `weights` name a file.
    """
    return {
        "url": "",
        "num_classes": 0,
        "input_size": (3, side, side),
        "mean": (mean,) * 3,
        "std": (std,) * 3,
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "first_conv": first_conv,
        "classifier": None,
        **more,
    }


def build(network: type[nn.Module], name: str, pretrained: bool, **arguments: Any) -> nn.Module:
    """Build a network the way timm builds its own."""
    return build_model_with_cfg(network, name, pretrained, **arguments)
