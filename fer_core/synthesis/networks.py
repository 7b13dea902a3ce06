"""A small class-conditional GAN for faces of 16 to 64 px, with one or three channels, that a CPU can train.

Residual networks as in Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018,
made thin. The generator is told the class by conditional batch norm:

    h' = γ_y · (h − μ) / √(σ² + ε) + β_y        de Vries et al., NeurIPS 2017; by class: Miyato & Koyama, ICLR 2018

with the batch's μ, σ of each channel (running ones in evaluation). The discriminator is told by projection:

    D(x, y) = ψ(φ(x)) + v_y · φ(x)              Miyato & Koyama, "cGANs with Projection Discriminator", ICLR 2018

with φ the features, summed over the picture. Every weight of it, the v_y included, is divided by its largest singular
value, which one step of power iteration a training pass follows; torch's `spectral_norm` does it.

Pictures are in −1..1 here. At `width` 32 generator and discriminator have together about a million parameters.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from fer_core.synthesis.config import sides_of

_MOST = 4  # a layer has at most 4 · width channels


def channels_at(width: int, side: int) -> int:
    """Return the channels of maps of `side` px: `width` at 32, twice as many at half the side, at most 4 · width.

    Example:
        >>> [channels_at(32, side) for side in (64, 32, 16, 8, 4)]
        [16, 32, 64, 128, 128]
    """
    return max(4, min(_MOST * width, width * 32 // side))


class ConditionalBatchNorm(nn.Module):
    """Batch norm of maps (B, C, H, W) whose gain and offset, `gain` and `offset` (K, C), are those of the class."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(classes, channels)
        self.offset = nn.Embedding(classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.offset.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return γ_y · normalised x + β_y, (B, C, H, W), for labels (B,) int64 in 0..K−1."""
        return self.gain(labels)[:, :, None, None] * self.norm(x) + self.offset(labels)[:, :, None, None]


class UpBlock(nn.Module):
    """A residual block of the generator that doubles both sides: nearest neighbour, then convolve."""

    def __init__(self, inputs: int, outputs: int, classes: int) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm(inputs, classes)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = ConditionalBatchNorm(outputs, classes)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return (B, outputs, 2 H, 2 W) of maps (B, inputs, H, W)."""
        h = functional.interpolate(self.norm1(x, labels).relu(), scale_factor=2, mode="nearest")
        h = self.conv2(self.norm2(self.conv1(h), labels).relu())
        # a 1 x 1 convolution and nearest up-sampling change places without changing the result: fewer pixels this way
        return h + functional.interpolate(self.shortcut(x), scale_factor=2, mode="nearest")


class Generator(nn.Module):
    """Noise and a class to a picture.

    Attributes:
        classes: K.
        noise: length of the random input.
        size: side of the pictures, px.
        channels: of the pictures, 1 or 3.
        width: channels of maps of 32 px, see `channels_at`.
    """

    def __init__(self, classes: int, size: int, channels: int, *, width: int = 32, noise: int = 64) -> None:
        super().__init__()
        self.classes, self.size, self.channels, self.width, self.noise = classes, size, channels, width, noise
        sides = sides_of(size)
        widths = [channels_at(width, side) for side in sides]
        self._first = (widths[0], sides[0], sides[0])
        self.linear = nn.Linear(noise, widths[0] * sides[0] ** 2)
        self.blocks = nn.ModuleList(UpBlock(inputs, outputs, classes) for inputs, outputs in pairwise(widths))
        self.norm = nn.BatchNorm2d(widths[-1])
        self.picture = nn.Conv2d(widths[-1], channels, 3, padding=1)
        _start(self)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return pictures (B, C, H, W) in −1..1 from standard normal noise (B, Z) and classes (B,) int64."""
        x = self.linear(noise).unflatten(1, self._first)
        for block in self.blocks:
            x = block(x, labels)
        return torch.tanh(self.picture(self.norm(x).relu()))


class DownBlock(nn.Module):
    """A residual block of the discriminator that halves both sides; the first one begins without a ReLU."""

    def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / 2, W / 2) of maps (B, inputs, H, W)."""
        h = self.conv2(self.conv1(x if self.first else x.relu()).relu())
        return functional.avg_pool2d(h, 2) + self.shortcut(functional.avg_pool2d(x, 2))


class Discriminator(nn.Module):
    """A picture and its class to a score: above 0 rather real, below 0 rather synthetic."""

    def __init__(self, classes: int, size: int, channels: int, *, width: int = 32) -> None:
        super().__init__()
        sides = sides_of(size)[::-1]
        widths = [channels, *(channels_at(width, side) for side in sides[1:])]
        self.blocks = nn.ModuleList(
            DownBlock(inputs, outputs, first=number == 0) for number, (inputs, outputs) in enumerate(pairwise(widths))
        )
        self.score = nn.Linear(widths[-1], 1)
        self.embedding = nn.Embedding(classes, widths[-1])
        _start(self)
        for module in list(self.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
                spectral_norm(module)

    def features(self, x: Tensor) -> Tensor:
        """Return φ(x), (B, D), of pictures (B, C, H, W) in −1..1: the last maps, summed over the picture."""
        for block in self.blocks:
            x = block(x)
        return x.relu().sum(dim=(2, 3))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return scores (B,) of pictures (B, C, H, W) in −1..1 with classes (B,) int64."""
        features = self.features(x)
        return self.score(features).squeeze(1) + (self.embedding(labels) * features).sum(dim=1)


def _start(network: nn.Module) -> None:
    """Begin with Glorot's uniform weights, as the paper's code does, and without biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
