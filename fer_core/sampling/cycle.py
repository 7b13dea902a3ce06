"""Shows a set again and again, each time in a new random order: what some samplers share."""

import torch
from torch import Tensor


def cycled(size: int, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` numbers out of 0..size-1: one fresh permutation after another, the last one cut short.

    No number comes back before all others were drawn too, so how often each comes differs by at most one.

    Args:
        size: how many there are, at least 1.
        count: how many to draw.
        generator: a CPU generator.

    Returns:
        (count,) int64.
    """
    rounds = -(-count // size)
    permutations = [torch.randperm(size, generator=generator) for _ in range(rounds)]
    return torch.cat(permutations)[:count] if permutations else torch.empty(0, dtype=torch.int64)
