"""TrivialAugment: one random operation of random strength per picture, nothing to tune.

Müller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", ICCV 2021; the "wide" set of
its table of operations: 14 operations, 31 strengths m / 30, m uniform in 0..30, a fair sign where an operation has one.
The paper lays it over the usual flip and crop; here it stands alone.

Differences from the authors' code and torchvision's `TrivialAugmentWide`, which take the nearest pixel and fill with
black: bilinear, and the border is repeated (`fer_core.augment.affine`). Translations are up to 32 pixels as published,
whatever the picture's size: half of a picture of 64. Pictures stay float: they are not rounded to 1/255 after an
operation. Landmarks move along; AU labels stay, no operation mirrors.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from fer_core.augment.affine import warp_images, warp_points
from fer_core.augment.batch import Batch, on_host, take
from fer_core.augment.tones import TONES

BINS = 31
SHEAR = 0.99
TRANSLATE = 32.0  # pixels
ROTATE = 135.0  # degrees
MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
OPERATIONS = ("identity", *MOVES, *TONES)


def augment(batch: Batch, generator: torch.Generator) -> Batch:
    """Return a copy of the batch, each sample changed by one operation of its own."""
    count, host, device = len(batch.images), on_host(generator), batch.images.device
    operation, magnitude, side = (torch.randint(high, (count,), generator=host) for high in (len(OPERATIONS), BINS, 2))
    names = [OPERATIONS[i] for i in operation.tolist()]
    return apply(batch, names, magnitude.to(device, non_blocking=True), (2 * side - 1).to(device, non_blocking=True))


def apply(batch: Batch, names: list[str], magnitude: Tensor, sign: Tensor) -> Batch:
    """Apply one operation to each sample.

    Args:
        batch: B samples, 1 or 3 channels.
        names: B of `OPERATIONS`.
        magnitude: (B,) int64 in 0..30.
        sign: (B,) of -1 and 1.
    """
    images = batch.images.clone(memory_format=torch.contiguous_format)  # a picture's channels are then in one piece
    landmarks = batch.landmarks.clone()
    strength = magnitude / (BINS - 1)
    moved = [i for i, name in enumerate(names) if name in MOVES]
    if moved:
        rows = torch.tensor(moved).to(images.device, non_blocking=True)
        size = (images.shape[-2], images.shape[-1])
        linear, shift = motions([names[i] for i in moved], strength[rows] * sign[rows], size)
        images.index_copy_(0, rows, warp_images(take(images, rows), linear, shift).clamp_(0, 1))
        never = torch.zeros_like(rows, dtype=torch.bool)
        landmarks[rows] = warp_points(landmarks[rows], linear, shift, never, size)
    for name, change in TONES.items():
        shown = [i for i, own in enumerate(names) if own == name]
        if shown:
            rows = torch.tensor(shown).to(images.device, non_blocking=True)
            images.index_copy_(0, rows, change(take(images, rows), strength[rows], sign[rows]))
    return replace(batch, images=images, landmarks=landmarks)


def motions(names: list[str], strength: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the linear parts (B, 2, 2) about the centre and the shifts (B, 2) of geometric operations.

    Args:
        names: B of `MOVES`.
        strength: (B,) in -1..1, signed.
        size: (H, W).
    """
    used = {name: strength.new_tensor([own == name for own in names]) for name in MOVES}
    angle = -math.radians(ROTATE) * strength * used["rotate"]  # positive is counter-clockwise in the paper's library
    cos, sin = torch.cos(angle), torch.sin(angle)
    # a sheared pixel comes from x + level · y, so it goes to x − level · y
    shear_x, shear_y = (-SHEAR * strength * used[name] for name in ("shear_x", "shear_y"))
    linear = torch.stack([cos, shear_x - sin, sin + shear_y, cos], dim=-1).unflatten(-1, (2, 2))
    pixels = (TRANSLATE * strength).trunc()
    shift = torch.stack([pixels * used["translate_x"], pixels * used["translate_y"]], dim=-1)
    # shears keep the picture's corner, not its centre, where it is
    half_width, half_height = size[1] / 2, size[0] / 2
    return linear, shift + torch.stack([shear_x * half_height, shear_y * half_width], dim=-1)
