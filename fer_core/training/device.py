"""Where and in which precision a model runs."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn


def pick_device() -> torch.device:
    """Return the first GPU, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _has_depthwise(model: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv2d) and m.groups > 1 and m.groups == m.in_channels for m in model.modules())


def autocast(model: nn.Module, device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the autocast context for `precision` (auto, fp32 or bf16).

    `auto` takes bf16 on GPUs that have it, and on CPUs with AMX tiles for models without depthwise
    convolutions: without AMX bf16 was measured 8-10 times slower than fp32, and depthwise nets lose with it.
    """
    if precision == "auto":
        if device.type == "cuda":
            precision = "bf16" if torch.cuda.is_bf16_supported() else "fp32"
        else:
            amx = torch.cpu._is_amx_tile_supported()
            precision = "bf16" if amx and not _has_depthwise(model) else "fp32"
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
    return nullcontext()


def derived_seed(seed: int, *numbers: int) -> int:
    """Return a 63-bit seed for one purpose (an epoch, say), so that no generator state need be stored.

    Example:
        >>> derived_seed(0, 1) == derived_seed(0, 1) != derived_seed(0, 2)
        True
    """
    value = seed & (2**63 - 1)
    for number in numbers:  # SplitMix64's finaliser, which spreads neighbouring numbers
        value = (value * 0x9E3779B97F4A7C15 + number + 1) & (2**64 - 1)
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        value ^= value >> 31
    return value & (2**63 - 1)
