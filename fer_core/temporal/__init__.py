"""Models of short clips of a face: what an expression's course says beyond its single frames.

A new model is one file and one entry in `TEMPORAL`. All but `conv3d` read the features that a still-image encoder
finds in each frame; `conv3d` reads the pixels and starts from scratch.

    mean         the frames' mean probability; blind to their order
    lstm         bidirectional LSTM, mean over frames
    tcn          dilated residual convolutions along time, mean over frames
    transformer  class token and self-attention over frames
    conv3d       3-D residual network on the pixels
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fer_core.errors import ConfigError, unknown_name
from fer_core.losses.common import at_least_float32
from fer_core.models import Encoder
from fer_core.temporal.conv3d import Conv3d
from fer_core.temporal.frames import check_sizes, on_frames
from fer_core.temporal.lstm import Lstm
from fer_core.temporal.mean import Mean
from fer_core.temporal.tcn import Tcn
from fer_core.temporal.transformer import Transformer

__all__ = ["TEMPORAL", "ClipModel", "Conv3d", "build_clip_model"]


class ClipModel(nn.Module):
    """Clips (B, T, C, H, W) in 0..1 and mask (B, T) to logits (B, K), by way of each frame's features.

    Attributes:
        encoder: pictures (F, C, H, W) to (F, D); it sees real frames only.
        temporal: features (B, T, D) and mask to logits. It computes in float32 under autocast too: it is small, and
            not every CPU has a half-precision LSTM.
    """

    def __init__(self, encoder: Encoder, temporal: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.temporal = temporal

    @property
    def backbone(self) -> nn.Module:
        """The encoder's timm network."""
        return self.encoder.backbone

    def forward(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return the logits; of `mean`, log-probabilities."""
        features = at_least_float32(on_frames(self.encoder, images, mask))
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.temporal(features, mask)
        return logits


def build_clip_model(
    temporal: str,
    encoder: Encoder | None,
    classes: int,
    *,
    hidden: int,
    layers: int,
    dropout: float,
    channels: int = 3,
) -> nn.Module:
    """Build the clip model called `temporal`: clips (B, T, C, H, W) in 0..1 and mask (B, T) to logits (B, K).

    Args:
        temporal: a key of `TEMPORAL`.
        encoder: of single frames; `conv3d` does without.
        classes: K.
        hidden: width of the LSTM's states, of the convolutions or tokens; a multiple of 8 for the transformer, of 4
            for `conv3d`, whose stages are hidden / 4, hidden / 2, hidden and 2 · hidden channels wide. `mean` does
            without, as without the two that follow.
        layers: LSTM or transformer layers, TCN blocks; `conv3d` always has the blocks of an R3D-18.
        dropout: probability in [0, 1).
        channels: C, for `conv3d`; an encoder knows its own.

    Raises:
        ConfigError: the name is unknown, a size is out of its range, or there is no encoder.

    Example:
        >>> model = build_clip_model("conv3d", None, 7, hidden=16, layers=1, dropout=0.2, channels=1)
        >>> model(torch.rand(2, 3, 1, 32, 32), torch.ones(2, 3, dtype=torch.bool)).shape
        torch.Size([2, 7])
    """
    if temporal not in TEMPORAL:
        raise unknown_name("temporal", temporal, TEMPORAL)
    return TEMPORAL[temporal](encoder, classes, hidden=hidden, layers=layers, dropout=dropout, channels=channels)


def _on_features(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Put an encoder before what `build` makes: (D, K, sizes) -> module of features (B, T, D) and mask to logits."""

    def model(encoder: Encoder | None, classes: int, *, channels: int, **sizes: Any) -> nn.Module:
        if encoder is None:
            raise ConfigError(f"Expected an encoder of frames for {build.__name__}; got none.")
        return ClipModel(encoder, build(encoder.num_features, classes, **sizes))

    return model


def _conv3d(
    encoder: Encoder | None, classes: int, *, hidden: int, layers: int, dropout: float, channels: int
) -> nn.Module:
    check_sizes(hidden, 1, dropout, multiple=4)
    return Conv3d(classes, channels=channels, width=hidden // 4, dropout=dropout)


# (encoder or None, K, sizes by keyword) -> clip model; each takes all settings and uses its own
TEMPORAL: dict[str, Callable[..., nn.Module]] = {
    "mean": _on_features(Mean),
    "lstm": _on_features(Lstm),
    "tcn": _on_features(Tcn),
    "transformer": _on_features(Transformer),
    "conv3d": _conv3d,
}
