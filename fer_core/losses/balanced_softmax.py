"""Balanced softmax (Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020).

    L_i = Σ_k  y_ik · w_k · (−log p_ik),   p_ik = n_k e^z_ik / Σ_j n_j e^z_ij = softmax(z_i + log n)_k

Only the loss: the paper's second part, a learned sampler, is not here. It equals `logit_adjusted` with τ = 1, as the
constant log Σ n cancels in the softmax. A class without a picture counts as one picture: log 0 would take it out of
the softmax. The counts act in training only; predictions use the plain logits.
"""

from typing import Any

from torch import Tensor

from fer_core.losses.common import at_least_float32, at_least_one
from fer_core.losses.cross_entropy import CrossEntropy


class BalancedSoftmax(CrossEntropy):
    """Balanced-softmax cross-entropy of logits (B, K) and target probabilities (B, K).

    Example:
        >>> import torch
        >>> loss = BalancedSoftmax(torch.tensor([3, 1]))  # of two equal logits: p = 3/4 and 1/4
        >>> loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))  # log 4
        tensor(1.3863)
    """

    log_counts: Tensor

    def __init__(self, class_counts: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(class_weights, label_smoothing)
        self.register_buffer("log_counts", at_least_one(class_counts).log(), persistent=False)

    def per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return L_i, (B,)."""
        logits = at_least_float32(logits)
        return super().per_sample(logits + self.log_counts.to(logits), target)


def build(*, class_counts: Tensor, class_weights: Tensor | None, label_smoothing: float, **_: Any) -> BalancedSoftmax:
    """Build from the full set of loss settings."""
    return BalancedSoftmax(class_counts, class_weights, label_smoothing)
