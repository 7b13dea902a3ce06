"""What an augmentation sees: pictures, where the face's points are, which Action Units are active."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Pictures with what augmentation must keep true to them.

    Attributes:
        images: (B, C, H, W) float32 in 0..1.
        landmarks: (B, 5, 2) float32 (x, y) in pixels, the centre of the first pixel at (0, 0): left eye, right
            eye (viewer's left first), nose tip, left and right mouth corner; rows of NaN where unknown.
        aus: (B, A) float32, above 0 where active, NaN where not annotated.
        au_names: the A column names, such as "AU12".
        intensities: (B, A) float32 of the same AUs, NaN where unknown; None where a caller has none.
    """

    images: Tensor
    landmarks: Tensor
    aus: Tensor
    au_names: tuple[str, ...] = ()
    intensities: Tensor | None = None


def uniform(batch: Batch, columns: int, generator: torch.Generator) -> Tensor:
    """Draw (B, columns) numbers in -1..1 on the generator's device and move them to the batch's."""
    draws = torch.rand(len(batch.images), columns, generator=generator, device=generator.device)
    return draws.mul_(2).sub_(1).to(batch.images.device)


def numpy_draws(generator: torch.Generator) -> np.random.Generator:
    """Return NumPy's generator, seeded by ours: torch draws Beta only from its global state."""
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    return np.random.default_rng(int(seed))


def partners(count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Draw whom each sample is mixed with, a random permutation (B,) on `device`."""
    return torch.randperm(count, generator=generator, device=generator.device).to(device)
