"""Binary cross-entropy in which the present and the absent labels of every Action Unit weigh the same.

    w⁺_a = N_a / (2 P_a),   w⁻_a = N_a / (2 (N_a − P_a)),   P of N annotated training pictures show AU a
    L = Σ m · ( y · w⁺ · (−log p) + (1 − y) · w⁻ · (−log(1 − p)) ) / Σ m,   p = sigmoid(z), m = 1 if annotated

These are scikit-learn's `class_weight="balanced"` (King and Zeng, "Logistic Regression in Rare Events Data",
Political Analysis 2001). Their mean over the annotated training labels is 1, so that the loss keeps the size of the
plain one. torch's `pos_weight` = (N − P) / P is the same ratio w⁺ / w⁻ in another normalisation, in which the loss of
a rare AU grows. An AU whose labels are all of one kind, or that has none, has weight 1.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.losses.common import annotated_mean, at_least_float32


def balanced_weights(positives: Tensor, annotated: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights (w⁺, w⁻) of a present and an absent label, each (A,) float64, finite and positive.

    Args:
        positives: (A,) training pictures that show the AU.
        annotated: (A,) training pictures whose label of this AU is known.

    Example:
        >>> balanced_weights(torch.tensor([1, 0]), torch.tensor([4, 4]))  # 4 / 2 and 4 / 6; all absent: 1
        (tensor([2., 1.], dtype=torch.float64), tensor([0.6667, 1.0000], dtype=torch.float64))
    """
    total, present = annotated.double(), positives.double()
    absent = total - present
    both = (present > 0) & (absent > 0)
    return torch.where(both, total / (2 * present), 1.0), torch.where(both, total / (2 * absent), 1.0)


class WeightedBCE(nn.Module):
    """Balanced binary cross-entropy of logits (B, A) and labels (B, A) in [0, 1], NaN where not annotated."""

    present_weight: Tensor
    absent_weight: Tensor

    def __init__(self, positives: Tensor, annotated: Tensor) -> None:
        super().__init__()
        present, absent = balanced_weights(positives, annotated)
        self.register_buffer("present_weight", present, persistent=False)
        self.register_buffer("absent_weight", absent, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar mean over the annotated elements; 0 with zero gradients when there are none."""
        logits = at_least_float32(logits)
        # torch multiplies the present term by weight · pos_weight = w⁺ and the absent one by weight = w⁻
        losses = functional.binary_cross_entropy_with_logits(
            logits,
            labels.nan_to_num(0.0).to(logits),
            weight=self.absent_weight.to(logits),
            pos_weight=(self.present_weight / self.absent_weight).to(logits),
            reduction="none",
        )
        return annotated_mean(losses, labels)


def build(*, positives: Tensor, annotated: Tensor, **_: Any) -> WeightedBCE:
    """Build from the full set of AU-loss settings."""
    return WeightedBCE(positives, annotated)
