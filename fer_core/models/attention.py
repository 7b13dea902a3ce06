"""Attention on a network's final feature map. A new attention is one entry here.

se: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, as timm implements it: a gate per channel.
cbam: Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018, as timm implements it: channel
attention (shared MLP over average and maximum), then spatial attention (7 x 7 convolution over channel average
and maximum).
spatial: the second half of CBAM alone, timm's module: a gate per place.
au_guided: a gate per place that is taught where the active Action Units are (`fer_core.models.au_guided`).
"""

from collections.abc import Callable

import torch
from timm.layers import create_attn
from timm.layers.cbam import SpatialAttn
from torch import Tensor, nn

from fer_core.errors import ConfigError, unknown_name
from fer_core.models.au_guided import AuGuided
from fer_core.models.backbone import final_map


def _se(channels: int) -> nn.Module:
    return create_attn("se", channels)


def _cbam(channels: int) -> nn.Module:
    return create_attn("cbam", channels)


def _spatial(channels: int) -> nn.Module:
    return SpatialAttn()  # it looks at the channels' average and maximum, however many there are


# (channels) -> module (B, C, H, W) -> the same shape
ATTENTIONS: dict[str, Callable[[int], nn.Module] | None] = {
    "none": None,
    "se": _se,
    "cbam": _cbam,
    "spatial": _spatial,
    "au_guided": AuGuided,
}


class OnMap(nn.Module):
    """Applies a module for (B, C, H, W) to a feature map of another layout.

    Layouts: "nchw"; "nhwc" (Swin and its like); "tokens" (B, prefix + H·W, C), whose prefix tokens (class,
    register) pass unchanged.
    """

    def __init__(self, module: nn.Module, layout: str, grid: tuple[int, int], prefix: int = 0) -> None:
        super().__init__()
        self.module = module
        self.layout = layout
        self.grid = grid
        self.prefix = prefix

    def forward(self, features: Tensor) -> Tensor:
        """Return the attended map in the layout it came in."""
        return self._lay_out(self.module(self._as_nchw(features)), features)

    def attend(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the attended map, and the logits (B, R, H, W) of a module that is to be taught its regions."""
        if not isinstance(self.module, AuGuided):
            return self(features), None
        attended, logits = self.module.attend(self._as_nchw(features))
        return self._lay_out(attended, features), logits

    def _as_nchw(self, features: Tensor) -> Tensor:
        if self.layout == "nchw":
            return features
        if self.layout == "nhwc":
            return features.permute(0, 3, 1, 2)
        return features[:, self.prefix :].mT.unflatten(-1, self.grid)

    def _lay_out(self, attended: Tensor, features: Tensor) -> Tensor:
        if self.layout == "nchw":
            return attended
        if self.layout == "nhwc":
            return attended.permute(0, 2, 3, 1)
        return torch.cat([features[:, : self.prefix], attended.flatten(2).mT], dim=1)


def build_attention(name: str, backbone: nn.Module, in_chans: int, size: int) -> nn.Module:
    """Build the attention called `name` for the final feature map of `backbone`.

    Raises:
        ConfigError: the name is unknown, or the network has no map of known layout.
    """
    if name not in ATTENTIONS:
        raise unknown_name("attention", name, ATTENTIONS)
    make = ATTENTIONS[name]
    if make is None:
        return nn.Identity()
    features, _ = final_map(backbone, in_chans, size)
    return _on_map(backbone, features, make)


def _on_map(backbone: nn.Module, features: Tensor, make: Callable[[int], nn.Module]) -> OnMap:
    channels = int(backbone.num_features)  # type: ignore[arg-type]
    shape = tuple(features.shape)
    if len(shape) == 4 and getattr(backbone, "output_fmt", "NCHW") != "NHWC" and shape[1] == channels:
        return OnMap(make(channels), "nchw", (shape[2], shape[3]))
    if len(shape) == 4 and shape[3] == channels:
        return OnMap(make(channels), "nhwc", (shape[1], shape[2]))
    if len(shape) == 3 and shape[2] == channels:
        prefix = int(getattr(backbone, "num_prefix_tokens", 0))
        count = shape[1] - prefix
        grid = getattr(getattr(backbone, "patch_embed", None), "grid_size", None)
        grid = tuple(grid) if grid is not None else (round(count**0.5),) * 2
        if grid[0] * grid[1] == count:
            return OnMap(make(channels), "tokens", (grid[0], grid[1]), prefix)
    raise ConfigError(
        f"Expected a final feature map of {channels} channels for `attention`; the network gives {shape}."
    )
