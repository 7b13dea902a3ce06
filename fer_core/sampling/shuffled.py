"""Every picture once, in random order."""

import torch
from torch import Tensor


def order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return a permutation of 0..N-1, (N,) int64."""
    return torch.randperm(len(labels), generator=generator)
