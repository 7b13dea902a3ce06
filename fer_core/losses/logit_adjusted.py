"""Logit-adjusted loss (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021), the training-time form.

    L_i = Σ_k  y_ik · w_k · (−log softmax(z_i + τ log π)_k),   π_k = n_k / Σ n

τ = 1 is the paper's choice and equals `balanced_softmax`; τ = 0 is cross-entropy. A class without a picture counts
as one picture: log 0 would take it out of the softmax. The adjustment acts in training only; predictions use the
plain logits, as in the paper's algorithm for this loss (adjusting them after training is its other method).
"""

from typing import Any

from torch import Tensor

from fer_core.losses.common import at_least_float32, at_least_one, check_range
from fer_core.losses.cross_entropy import CrossEntropy


class LogitAdjusted(CrossEntropy):
    """Logit-adjusted cross-entropy of logits (B, K) and target probabilities (B, K).

    Example:
        >>> import torch
        >>> loss = LogitAdjusted(torch.tensor([3, 1]))  # of two equal logits: p = 3/4 and 1/4
        >>> loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))  # log 4
        tensor(1.3863)
    """

    shift: Tensor

    def __init__(
        self,
        class_counts: Tensor,
        tau: float = 1.0,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(class_weights, label_smoothing)
        check_range("logit_tau", tau, 0, float("inf"))
        counts = at_least_one(class_counts)
        self.register_buffer("shift", tau * (counts / counts.sum()).log(), persistent=False)

    def per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return L_i, (B,)."""
        logits = at_least_float32(logits)
        return super().per_sample(logits + self.shift.to(logits), target)


def build(
    *, class_counts: Tensor, logit_tau: float, class_weights: Tensor | None, label_smoothing: float, **_: Any
) -> LogitAdjusted:
    """Build from the full set of loss settings."""
    return LogitAdjusted(class_counts, logit_tau, class_weights, label_smoothing)
