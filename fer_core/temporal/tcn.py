"""Temporal convolutional network: dilated residual convolutions along the frames.

Bai, Kolter & Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling",
2018: block i of 0, 1, ... has two convolutions of kernel 3 and dilation 2^i,

    y = relu(x' + F(x)),   F = dropout · relu · conv · dropout · relu · conv,   x' = x, or a 1 × 1 convolution of it

with weight normalisation (Salimans & Kingma, NeurIPS 2016). Variant: not causal. Theirs pads on the left, as it
predicts the next step; a clip is known whole, so the padding here is symmetric, as in Lea et al., "Temporal
Convolutional Networks for Action Segmentation and Detection", CVPR 2017. L blocks see 1 + 4 · (2^L − 1) frames: 5, 13,
29. Then z = W · mean_t y_t + b.
"""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from fer_core.temporal.frames import blank, check_sizes, masked_mean

KERNEL = 3


class Block(nn.Module):
    """Sequences (B, T, D) and mask (B, T) to (B, T, hidden), zero where padded.

    Padding is zero before every convolution: the last frames then see what they would see at a clip's end, the
    convolution's own zero padding.
    """

    def __init__(self, features: int, hidden: int, dilation: int, dropout: float) -> None:
        super().__init__()
        reach = dilation * (KERNEL - 1) // 2
        self.conv1 = weight_norm(nn.Conv1d(features, hidden, KERNEL, padding=reach, dilation=dilation))
        self.conv2 = weight_norm(nn.Conv1d(hidden, hidden, KERNEL, padding=reach, dilation=dilation))
        self.shortcut = nn.Conv1d(features, hidden, 1) if features != hidden else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the block's output."""
        x = blank(x, mask)
        y = self.dropout(_along_time(self.conv1, x).relu())
        y = self.dropout(_along_time(self.conv2, blank(y, mask)).relu())
        return blank((y + _along_time(self.shortcut, x)).relu(), mask)


class Tcn(nn.Module):
    """Features (B, T, D) and mask (B, T) to logits (B, K).

    Args:
        features: D.
        classes: K.
        hidden: channels of every block.
        layers: blocks.
        dropout: of single numbers, behind every convolution.

    Raises:
        ConfigError: a size is out of its range.
    """

    def __init__(self, features: int, classes: int, *, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        check_sizes(hidden, layers, dropout)
        widths = [features] + [hidden] * (layers - 1)
        self.blocks = nn.ModuleList([Block(width, hidden, 2**i, dropout) for i, width in enumerate(widths)])
        self.head = nn.Linear(hidden, classes)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the logits."""
        x = features
        for block in self.blocks:
            x = block(x, mask)
        return self.head(masked_mean(x, mask))


def _along_time(layer: nn.Module, x: Tensor) -> Tensor:
    found: Tensor = layer(x.mT).mT
    return found
