"""Asymmetric loss (Ridnik et al., "Asymmetric Loss For Multi-Label Classification", ICCV 2021).

    p = sigmoid(z),   p_m = max(p − clip, 0)
    L = Σ m · ( y · (1 − p)^γ⁺ · (−log p) + (1 − y) · p_m^γ⁻ · (−log(1 − p_m)) ) / Σ m,   m = 1 if annotated

An absent AU that the model finds less likely than `clip` costs nothing. γ⁺ = γ⁻ = clip = 0 is binary cross-entropy.

Variant: gradients flow through the focusing factors, which is the default of timm's `AsymmetricLossMultiLabel` and of
the authors' `AsymmetricLossOptimized` (`disable_torch_grad_focal_loss=True` would stop them). The mean is over
annotated elements; timm averages over the batch and sums over the columns, the authors sum over both. Soft labels
mix the two terms, as the formula says; the references also mix the probability and the exponent inside one focusing
factor. On hard labels all are the same number but for their clamp of probabilities at 1e-8.
"""

import math
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from fer_core.losses.common import annotated_mean, at_least_float32, check_range, focused


class Asymmetric(nn.Module):
    """Asymmetric loss of logits (B, A) and labels (B, A) in [0, 1], NaN where not annotated; timm's defaults.

    Example:
        >>> import torch
        >>> loss = Asymmetric()
        >>> logits = torch.tensor([0.95, 0.05]).logit().unsqueeze(0)
        >>> loss(logits[:, :1], torch.tensor([[0.0]]))  # p_m = 0.9: 0.9^4 · log 10
        tensor(1.5107)
        >>> loss(logits[:, 1:], torch.tensor([[0.0]])).item() < 1e-9  # at the clip: nothing
        True
    """

    def __init__(self, gamma_pos: float = 1.0, gamma_neg: float = 4.0, clip: float = 0.05) -> None:
        super().__init__()
        self.gamma_pos = check_range("asl_gamma_pos", gamma_pos, 0, float("inf"))
        self.gamma_neg = check_range("asl_gamma_neg", gamma_neg, 0, float("inf"))
        self.clip = check_range("asl_clip", clip, 0, 1)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar mean over the annotated elements; 0 with zero gradients when there are none."""
        logits = at_least_float32(logits)
        target = labels.nan_to_num(0.0).to(logits)
        log_present, log_absent = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        if self.clip > 0:
            # log(1 - p_m) = log min(1, 1 - p + clip), in logarithms so that p near 1 keeps its gradient
            log_absent = log_absent.logaddexp(logits.new_tensor(math.log(self.clip))).clamp(max=0)
        losses = target * focused(log_present, self.gamma_pos) + (1 - target) * focused(log_absent, self.gamma_neg)
        return annotated_mean(losses, labels)


def build(*, asl_gamma_pos: float, asl_gamma_neg: float, asl_clip: float, **_: Any) -> Asymmetric:
    """Build from the full set of AU-loss settings."""
    return Asymmetric(asl_gamma_pos, asl_gamma_neg, asl_clip)
