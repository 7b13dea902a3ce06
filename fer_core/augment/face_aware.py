"""Augmentation that keeps the expression: small moves, and painting only where no active AU lives.

1. Affine: rotation ±6°, shift ±3 %, scale ±3 %, flip with left and right landmarks swapped.
2. Colour: gain and offset per channel, on the free part of the picture.
3. Occlusion: a rectangle of one tone (a hand, hair, a scarf), clipped to the free part.
4. Erasing (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020): a rectangle of grey noise, clipped likewise.

The free part is what no protected region of `fer_core.augment.regions` covers. A face whose AUs are not
annotated keeps all its regions, so only forehead, hair and background change there; a face without landmarks
uses a template's.
"""

import math
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from fer_core.augment.batch import Batch, constant, uniform
from fer_core.augment.generic import warp
from fer_core.augment.regions import box_masks, known_landmarks, protected_regions, region_boxes

ANGLE = math.radians(6)
SHIFT = 0.03  # of the picture's side
SCALE = 0.03
COLOUR = 0.35  # largest change of gain; a third of it is the largest offset
OCCLUSION = 0.5  # probability
ERASING = 0.5  # probability
SIDES = (0.15, 0.45)  # of the picture's side
GRAIN = 8  # noise tiles along a side


def augment(batch: Batch, generator: torch.Generator) -> Batch:
    """Return an augmented copy whose pixels in protected regions are only moved, never repainted."""
    size = (batch.images.shape[-2], batch.images.shape[-1])
    unknown = batch.landmarks.isnan().any(dim=-1).any(dim=-1)
    channels = batch.images.shape[1]
    draws = uniform(batch, 5 + 2 * channels, generator)
    known = replace(batch, landmarks=known_landmarks(batch.landmarks, size))
    warped = warp(known, draws, angle=ANGLE, scale=SCALE, shift=SHIFT)
    free = 1 - occupied(warped, size)[:, None]

    # lerp_ with a weight of 0 or 1 is an exact choice, and on a CPU many times faster than where
    images = warped.images
    gain = 1 + COLOUR * draws[:, 5 : 5 + channels, None, None]
    offset = COLOUR / 3 * draws[:, 5 + channels :, None, None]
    images.lerp_((images * gain).add_(offset).clamp_(0, 1), free)
    tone = uniform(batch, channels, generator)[:, :, None, None].abs()
    images.lerp_(tone, free * rectangles(batch, size, OCCLUSION, generator))
    images.lerp_(coarse_noise(batch, size, generator), free * rectangles(batch, size, ERASING, generator))
    landmarks = torch.where(unknown[:, None, None], batch.landmarks, warped.landmarks)
    return replace(warped, images=images, landmarks=landmarks)


def occupied(batch: Batch, size: tuple[int, int]) -> Tensor:
    """Return where an active or unannotated AU lives, (B, H, W) of 0 and 1."""
    protected = protected_regions(batch.aus, batch.au_names)
    return box_masks(region_boxes(batch.landmarks), protected, size)


def rectangles(batch: Batch, size: tuple[int, int], probability: float, generator: torch.Generator) -> Tensor:
    """Draw one rectangle per sample, or none, as (B, 1, H, W) of 0 and 1."""
    draws = (uniform(batch, 5, generator) + 1) / 2
    sides = SIDES[0] + (SIDES[1] - SIDES[0]) * draws[:, :2]
    start = draws[:, 2:4] * (1 - sides)
    box = torch.stack([start, start + sides], dim=-1) * constant((size[1], size[0]), draws.dtype, draws.device)[:, None]
    return box_masks(box.flatten(1)[:, None], draws[:, 4:] < probability, size)[:, None]


def coarse_noise(batch: Batch, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw grey noise of `GRAIN` x `GRAIN` tiles for every sample, (B, 1, H, W) in 0..1."""
    tiles = uniform(batch, GRAIN * GRAIN, generator).abs().reshape(-1, 1, GRAIN, GRAIN)
    rows, columns = (constant(_tile_of(side), tiles.dtype, tiles.device) for side in size)
    return rows @ tiles @ columns.T  # each pixel picks its tile; an index would cost five times as much


@lru_cache(maxsize=64)
def _tile_of(side: int) -> tuple[tuple[bool, ...], ...]:
    return tuple(tuple(pixel * GRAIN // side == tile for tile in range(GRAIN)) for pixel in range(side))
