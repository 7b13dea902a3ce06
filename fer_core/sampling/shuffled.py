"""Every picture once, in random order."""

from typing import Any

import torch
from torch import Tensor


def order(labels: Tensor, generator: torch.Generator, **_: Any) -> Tensor:
    """Return a permutation of 0..N-1, (N,) int64."""
    return torch.randperm(len(labels), generator=generator)
