"""The operations of TrivialAugment's wide set that move nothing, each with a strength per sample.

They are those of Pillow's ImageEnhance and ImageOps as AutoAugment first took them (Cubuk et al., CVPR 2019).
Each takes pictures (B, C, H, W) float in 0..1 with C of 1 or 3, strengths (B,) in 0..1 and signs (B,) of -1 and 1, and
returns new pictures in 0..1. Four of them blend with a dull version d of the picture x:
    x' = d + (1 ± 0.99 · strength) · (x − d),  clipped.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as vision

Tone = Callable[[Tensor, Tensor, Tensor], Tensor]
BLEND = 0.99
LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as torchvision does
FEWEST_BITS = 2


def grey(images: Tensor) -> Tensor:
    """Return the brightness of each pixel, (B, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def _blend(images: Tensor, dull: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    factor = (1 + BLEND * strength * sign)[:, None, None, None]
    return (images * factor + dull * (1 - factor)).clamp_(0, 1)


def brightness(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Towards or away from black."""
    return _blend(images, images.new_zeros(()), strength, sign)


def colour(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Towards or away from the grey picture; a grey picture stays as it is."""
    return images if images.shape[1] == 1 else _blend(images, grey(images), strength, sign)


def contrast(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Towards or away from the mean brightness."""
    return _blend(images, grey(images).mean(dim=(1, 2, 3), keepdim=True), strength, sign)


def sharpness(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Towards or away from a 3 x 3 mean that weighs the centre 5 times; the outermost pixels stay as they are."""
    channels, height, width = images.shape[1:]
    if min(height, width) < 3:
        return images
    kernel = images.new_tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]]).div_(13)
    dull = images.clone()
    dull[..., 1:-1, 1:-1] = functional.conv2d(images, kernel.expand(channels, 1, 3, 3), groups=channels)
    return _blend(images, dull, strength, sign)


def posterize(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Keep the 8 to 2 highest bits of every value of 0..255."""
    bits = (8 - (8 - FEWEST_BITS) * strength).round()
    step = torch.exp2(8 - bits)[:, None, None, None]
    return (images * 255).round_().div_(step).floor_().mul_(step).div_(255)


def solarize(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Invert what is at least as bright as 1 − strength."""
    threshold = (255 * (1 - strength))[:, None, None, None]
    # 1/1000 of a grey level forgives a strength's rounding
    return torch.where(images * 255 >= threshold - 1e-3, 1 - images, images)


def autocontrast(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Stretch every channel to 0..1."""
    return vision.autocontrast(images)


def equalize(images: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Make the histogram of every channel, in 256 levels, as flat as it gets."""
    return vision.equalize(images)


TONES: dict[str, Tone] = {
    "brightness": brightness,
    "color": colour,
    "contrast": contrast,
    "sharpness": sharpness,
    "posterize": posterize,
    "solarize": solarize,
    "autocontrast": autocontrast,
    "equalize": equalize,
}
