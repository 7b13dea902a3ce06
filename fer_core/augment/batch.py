"""What an augmentation sees: pictures, where the face's points are, which Action Units are active."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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


@lru_cache(maxsize=256)
def constant(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a number or nested tuples of numbers as a tensor that is made once; never change it in place.

    A tensor made of a list at every step costs more than the arithmetic on it, and a GPU is waited for.
    """
    with torch.inference_mode(False):  # one that is made in inference mode would later be refused by autograd
        return torch.tensor(values, dtype=dtype, device=device)


def uniform(batch: Batch, columns: int, generator: torch.Generator) -> Tensor:
    """Draw (B, columns) numbers in -1..1 on the generator's device and move them to the batch's."""
    draws = torch.rand(len(batch.images), columns, generator=generator, device=generator.device)
    return draws.mul_(2).sub_(1).to(batch.images.device, non_blocking=True)


def on_host(generator: torch.Generator) -> torch.Generator:
    """Return a generator on the CPU: the given one, or one that takes its seed from a device's and moves that on.

    The host knows the state of a device's generator; a number drawn there would have to be waited for.
    """
    if generator.device.type == "cpu":
        return generator
    seed = seed_of(generator.get_state())
    torch.rand(1, generator=generator, device=generator.device)
    return torch.Generator().manual_seed(seed)


def seed_of(state: Tensor) -> int:
    """Return a seed in 0..2^62 − 1 that every byte of a generator's state, uint8 (N,), has a part in."""
    words = np.random.SeedSequence(state.cpu().tolist()).generate_state(1, np.uint64)
    return int(words[0]) >> 2


def numpy_draws(generator: torch.Generator) -> np.random.Generator:
    """Return NumPy's generator, seeded by ours: torch draws Beta only from its global state."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=on_host(generator)).item()))


def partners(count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Draw whom each sample is mixed with, a random permutation (B,) on `device`."""
    order = torch.randperm(count, generator=generator, device=generator.device)
    return order.to(device, non_blocking=True)


def take(values: Tensor, index: Tensor) -> Tensor:
    """Return the rows `index` (M,) of values (N, ...) as a copy in the same order of memory.

    `values[index]` takes four times as long, and so does any row that is not in one piece.
    """
    if values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last):
        return values.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)
    return values.index_select(0, index)
