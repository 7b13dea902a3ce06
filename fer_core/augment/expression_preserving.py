"""Small moves and an even change of light: nothing is painted, and no edge of the face comes or goes.

1. Affine: rotation ±6°, shift ±3 %, scale ±3 %, flip with left and right landmarks swapped.
2. Contrast about the picture's mean, brightness (a factor), each ±25 %.
3. Gamma: x^γ, γ from 1/1.4 to 1.4, darker and lighter exposures alike often.

`generic` moves up to 10° and 5 % and knows no gamma. `face_aware` moves as much as this, so that the difference between
the two is what painting gives: there the colour of the free part alone changes, and hands and noise are laid on it;
here one tone curve that only rises holds for the whole face and all channels, so wrinkles, lips and lids keep their
contours whether AUs are annotated or not. What is clipped at black or white is lost, as in an ill-exposed photograph.
"""

import math
from dataclasses import replace

import torch

from fer_core.augment.batch import Batch, constant, uniform
from fer_core.augment.generic import warp

ANGLE = math.radians(6)
SHIFT = 0.03  # of the picture's side
SCALE = 0.03
BRIGHTNESS = 0.25
CONTRAST = 0.25
GAMMA = math.log(1.4)  # largest |log γ|


def augment(batch: Batch, generator: torch.Generator) -> Batch:
    """Return a copy of the batch, moved a little and under another light."""
    draws = uniform(batch, 8, generator)
    warped = warp(batch, draws, angle=ANGLE, scale=SCALE, shift=SHIFT)
    brightness, contrast, log_gamma = (
        draws[:, 5:] * constant((BRIGHTNESS, CONTRAST, GAMMA), draws.dtype, draws.device)
    ).T
    return replace(warped, images=relight(warped.images, 1 + brightness, 1 + contrast, log_gamma.exp()))


def relight(
    images: torch.Tensor, brightness: torch.Tensor, contrast: torch.Tensor, gamma: torch.Tensor
) -> torch.Tensor:
    """Return clip(brightness · (contrast · (x − mean) + mean))^gamma, (B, C, H, W) in 0..1.

    Args:
        images: (B, C, H, W) in 0..1.
        brightness: (B,) factors above 0; `contrast` and `gamma` likewise.
    """
    mean = images.mean(dim=(1, 2, 3))
    gain, offset = brightness * contrast, brightness * (1 - contrast) * mean
    lit = (images * gain[:, None, None, None]).add_(offset[:, None, None, None]).clamp_(0, 1)
    return lit.pow_(gamma[:, None, None, None])
