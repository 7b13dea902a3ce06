"""What the losses share: precision, target smoothing, range checks."""

import torch
from torch import Tensor

from fer_core.errors import ConfigError


def at_least_float32(values: Tensor) -> Tensor:
    """Lift half precision to float32, where log-softmax is safe; leave float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def smooth(target: Tensor, share: float) -> Tensor:
    """Move `share` of every target (B, K) to the uniform distribution (Szegedy et al. CVPR 2016)."""
    return target if share == 0 else target * (1 - share) + share / target.shape[-1]


def check_range(key: str, value: float, low: float, high: float) -> float:
    """Return `value` if low <= value < high, else raise ConfigError naming the key."""
    if not low <= value < high:
        raise ConfigError(f"Expected `{key}` to be at least {low:g} and below {high:g}; got {value!r}.")
    return value
