"""Action-Unit losses: logits (B, A) against labels where NaN means *not annotated*, never *absent*."""

import torch
from torch import Tensor
from torch.nn import functional

from fer_core.losses.common import at_least_float32


def masked_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the binary cross-entropy averaged over the annotated elements only.

        L = Σ m·bce(z, y) / Σ m,   m = 1 where y is annotated

    Args:
        logits: (B, A).
        labels: (B, A) in [0, 1], NaN where not annotated; fractions (mixed labels) are soft targets.

    Returns:
        A scalar; 0 with zero gradients when nothing is annotated, so that a step never breaks.

    Example:
        >>> nan = float("nan")
        >>> round(masked_bce(torch.tensor([[0.0, 5.0]]), torch.tensor([[1.0, nan]])).item(), 4)  # log 2
        0.6931
    """
    logits = at_least_float32(logits)
    annotated = ~labels.isnan()
    losses = functional.binary_cross_entropy_with_logits(logits, labels.nan_to_num(0.0).to(logits), reduction="none")
    return torch.where(annotated, losses, 0.0).sum() / annotated.sum().clamp(min=1)
