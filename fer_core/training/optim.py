"""The optimiser and its schedule: AdamW (Loshchilov & Hutter, ICLR 2019), linear warm-up, cosine to zero."""

import math

import torch
from timm.optim import param_groups_weight_decay
from torch import nn


def adamw(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW with no decay on biases and norms, as timm groups them."""
    groups = param_groups_weight_decay(model, weight_decay)
    return torch.optim.AdamW(groups, lr=lr, fused=True)


def warmup_cosine(step: int, steps: int, warmup: int) -> float:
    """Return the factor on the learning rate at `step` of `steps`: 0..1 linearly, then a cosine to 0.

    Example:
        >>> [round(warmup_cosine(step, 9, 4), 2) for step in (0, 3, 4, 8)]
        [0.25, 1.0, 1.0, 0.1]
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
