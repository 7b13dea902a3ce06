"""LDAM (Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019).

    Δ_k = C / n_k^(1/4),   C such that max Δ = `max_margin`
    l_ik = −log  e^(z_k − sΔ_k) / ( e^(z_k − sΔ_k) + Σ_{j≠k} e^z_j ),   L_i = Σ_k  y_ik · w_k · l_ik

Margins are in units of the cosine. On a cosine head, whose logits are s·cos, `margin_scale` = s makes this the
authors' code, s·(cos − Δ); on a linear head s = 1 makes it the paper's formula on plain logits.

Variant: the paper knows hard labels only; with a soft target every class pays its share of the loss it would have as
the only label. The mean is over the batch (the authors' `weight=` divides by the sum of weights). A class without a
picture has the margin of a class with one: a margin for it would be infinite. Margins act in training only;
predictions use the plain logits.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fer_core.losses.common import EmotionLoss, at_least_float32, at_least_one, check_range


def label_distribution_margins(class_counts: Tensor, max_margin: float) -> Tensor:
    """Return the margin of each class, (K,) float64 in (0, max_margin], from pictures per class (K,).

    Raises:
        ConfigError: the margin is negative or not finite, or so is a count.

    Example:
        >>> label_distribution_margins(torch.tensor([16, 1, 0]), max_margin=0.5)  # 16^(1/4) = 2
        tensor([0.2500, 0.5000, 0.5000], dtype=torch.float64)
    """
    check_range("ldam_margin", max_margin, 0, float("inf"))
    margins = at_least_one(class_counts) ** -0.25
    return margins * (max_margin / margins.max())


class LDAM(EmotionLoss):
    """LDAM loss of logits (B, K) and target probabilities (B, K); a margin of 0 is cross-entropy.

    Example:
        >>> loss = LDAM(torch.tensor([16, 1]), max_margin=0.5)
        >>> loss(torch.tensor([[0.0, 0.5]]), torch.tensor([[0.0, 1.0]]))  # logits 0 and 0.5 - 0.5: log 2
        tensor(0.6931)
    """

    margins: Tensor

    def __init__(
        self,
        class_counts: Tensor,
        max_margin: float = 0.5,
        margin_scale: float = 1.0,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(class_weights, label_smoothing)
        scale = check_range("margin_scale", margin_scale, 0, float("inf"))
        self.register_buffer("margins", scale * label_distribution_margins(class_counts, max_margin), persistent=False)

    def per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return L_i, (B,)."""
        logits = at_least_float32(logits)
        # (B, K, K): row k holds the logits as class k sees them, its own one lowered
        lowered = logits.unsqueeze(1) - torch.diag(self.margins.to(logits))
        losses = -functional.log_softmax(lowered, dim=2).diagonal(dim1=1, dim2=2)
        return self.sum_over_classes(losses, target)


def build(
    *,
    class_counts: Tensor,
    ldam_margin: float,
    margin_scale: float,
    class_weights: Tensor | None,
    label_smoothing: float,
    **_: Any,
) -> LDAM:
    """Build from the full set of loss settings."""
    return LDAM(class_counts, ldam_margin, margin_scale, class_weights, label_smoothing)
