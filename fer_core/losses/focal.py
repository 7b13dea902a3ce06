"""Focal loss (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017), softmax form, soft targets.

    L = mean_i  Σ_k  y_ik · (1 − p_ik)^γ · (−log p_ik),   p = softmax(z)

The paper writes the sigmoid form; with two classes and hard targets both are the same number. There is no α:
class weights on top of the focusing term once collapsed a model to 8 % accuracy, and `cb` exists for them.
γ = 0 is cross-entropy; the paper's choice is 2.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.losses.common import at_least_float32, check_range, smooth


class Focal(nn.Module):
    """Focal loss of logits (B, K) and target probabilities (B, K), averaged over the batch."""

    def __init__(self, gamma: float = 2.0, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.gamma = check_range("focal_gamma", gamma, 0, float("inf"))
        self.label_smoothing = check_range("label_smoothing", label_smoothing, 0, 1)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar mean."""
        logits = at_least_float32(logits)
        target = smooth(target.to(logits), self.label_smoothing)
        log_p = functional.log_softmax(logits, dim=-1)
        # 1 - p without cancellation; the clamp keeps the power's gradient finite at p = 1 when γ < 1
        miss = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny ** 0.5)
        return -(target * miss**self.gamma * log_p).sum(dim=-1).mean()


def build(*, focal_gamma: float, label_smoothing: float, **_: Any) -> Focal:
    """Build from the full set of loss settings."""
    return Focal(focal_gamma, label_smoothing)
