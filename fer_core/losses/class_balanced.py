"""Class-balanced loss (Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019).

    w_k ∝ (1 − β) / (1 − β^n_k),   mean of w over the classes = 1
    L_i = Σ_k  y_ik · w_k · (−log softmax(z_i)_k)

Variant: the paper's softmax cross-entropy with its normalisation Σ w = K, as in the authors' code; the mean is
over the batch (not over the sum of weights, as torch does for hard targets with `weight=`). A class without a
training picture has weight 1: its effective number is undefined, and the limit n -> 0 would be infinite.
With at most 582 pictures a class, β = 0.9999 is nearly inverse frequency: 1 − β^n = n (1 − β) to 3 %. β = 0 is
plain cross-entropy.
"""

from typing import Any

import torch
from torch import Tensor

from fer_core.losses.common import at_least_one, check_range, checked_counts
from fer_core.losses.cross_entropy import CrossEntropy


def effective_number_weights(class_counts: Tensor, beta: float) -> Tensor:
    """Return the weight of each class, (K,) float64 with mean 1, all finite and positive.

    Args:
        class_counts: (K,) pictures per class; sums of soft labels need not be whole. A class with some, but less
            than one picture counts as one, so that a trace of a label does not get a weight beyond all others.
        beta: β in [0, 1). With at most 582 pictures a class, 0.9999 is nearly inverse frequency.

    Raises:
        ConfigError: β is out of its range, or a count is negative or not finite.

    Example:
        >>> effective_number_weights(torch.tensor([2, 1, 0]), beta=0.5)  # 1 / 1.5 to 1 / 1, then absent = 1
        tensor([0.8000, 1.2000, 1.0000], dtype=torch.float64)
    """
    check_range("cb_beta", beta, 0, 1)
    present = checked_counts(class_counts) > 0
    counts = at_least_one(class_counts)
    weights = torch.ones_like(counts)
    if beta > 0 and present.any():
        # 1 - β^n = -expm1(n · log β): exact also for β close to 1
        raw = (1 - beta) / -torch.expm1(counts[present] * torch.log(counts.new_tensor(beta)))
        weights[present] = raw / raw.mean()
    return weights


def build(*, class_weights: Tensor | None, label_smoothing: float, **_: Any) -> CrossEntropy:
    """Build from the full set of loss settings; `class_weights` are the effective-number weights."""
    return CrossEntropy(class_weights, label_smoothing)
