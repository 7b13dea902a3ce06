"""Binary cross-entropy of Action Units over the annotated elements: L = Σ m·bce(z, y) / Σ m, m = 1 if annotated."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from fer_core.losses.common import annotated_mean, at_least_float32


def masked_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the binary cross-entropy averaged over the annotated elements only.

        L = Σ m·bce(z, y) / Σ m,   m = 1 where y is annotated

    Args:
        logits: (B, A).
        labels: (B, A) in [0, 1], NaN where not annotated; fractions (mixed labels) are soft targets.

    Returns:
        A scalar; 0 with zero gradients when nothing is annotated, so that a step never breaks.

    Example:
        >>> import torch
        >>> nan = float("nan")
        >>> round(masked_bce(torch.tensor([[0.0, 5.0]]), torch.tensor([[1.0, nan]])).item(), 4)  # log 2
        0.6931
    """
    logits = at_least_float32(logits)
    losses = functional.binary_cross_entropy_with_logits(logits, labels.nan_to_num(0.0).to(logits), reduction="none")
    return annotated_mean(losses, labels)


class MaskedBCE(nn.Module):
    """`masked_bce` as a module."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar mean over the annotated elements of (B, A)."""
        return masked_bce(logits, labels)


def build(**_: Any) -> MaskedBCE:
    """Build from the full set of AU-loss settings."""
    return MaskedBCE()
