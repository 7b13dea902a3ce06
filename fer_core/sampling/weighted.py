"""Inverse-frequency sampling: P(picture i) ∝ 1 / n_class(i), N draws with replacement.

Every class that has a picture is equally likely; rare pictures repeat, many common ones are not shown in an
epoch. The same draws as `torch.utils.data.WeightedRandomSampler`.
"""

from typing import Any

import torch
from torch import Tensor


def order(labels: Tensor, generator: torch.Generator, **_: Any) -> Tensor:
    """Return N draws with replacement, (N,) int64."""
    if len(labels) == 0:
        return torch.empty(0, dtype=torch.int64)
    counts = torch.bincount(labels).double()
    return torch.multinomial(1 / counts[labels], len(labels), replacement=True, generator=generator)
