"""Class-balanced loss (Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019).

    w_k ∝ (1 − β) / (1 − β^n_k),   mean of w over the classes = 1
    L = mean_i  Σ_k  y_ik · w_k · (−log softmax(z_i)_k)

Variant: the paper's softmax cross-entropy with its normalisation Σ w = K, as in the authors' code; the mean is
over the batch (not over the sum of weights, as torch does for hard targets with `weight=`). A class without a
training picture has weight 1: its effective number is undefined, and the limit n -> 0 would be infinite.
With at most some hundred pictures a class, β = 0.9999 is nearly inverse frequency; β = 0 is plain cross-entropy.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.losses.common import at_least_float32, check_range


def effective_number_weights(class_counts: Tensor, beta: float) -> Tensor:
    """Return the weight of each class, (K,) float64 with mean 1, all finite and positive.

    Example:
        >>> effective_number_weights(torch.tensor([2, 1, 0]), beta=0.5)  # 1 / 1.5 to 1 / 1, then absent = 1
        tensor([0.8000, 1.2000, 1.0000], dtype=torch.float64)
    """
    check_range("cb_beta", beta, 0, 1)
    counts = class_counts.double()
    present = counts > 0
    weights = torch.ones_like(counts)
    if beta > 0 and present.any():
        # 1 - β^n = -expm1(n · log β): exact also for β close to 1
        raw = (1 - beta) / -torch.expm1(counts[present] * torch.log(counts.new_tensor(beta)))
        weights[present] = raw / raw.mean()
    return weights


class ClassBalanced(nn.Module):
    """Class-balanced cross-entropy of logits (B, K) and target probabilities (B, K)."""

    weights: Tensor

    def __init__(self, class_counts: Tensor, beta: float = 0.999, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = check_range("label_smoothing", label_smoothing, 0, 1)
        # float64 on purpose: the loss casts them to the logits' type
        self.register_buffer("weights", effective_number_weights(class_counts, beta), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar mean."""
        logits = at_least_float32(logits)
        return functional.cross_entropy(
            logits, target.to(logits), weight=self.weights.to(logits), label_smoothing=self.label_smoothing
        )


def build(*, class_counts: Tensor, cb_beta: float, label_smoothing: float, **_: Any) -> ClassBalanced:
    """Build from the full set of loss settings."""
    return ClassBalanced(class_counts, cb_beta, label_smoothing)
