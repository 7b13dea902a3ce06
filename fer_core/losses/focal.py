"""Focal loss (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017), softmax form, soft targets.

    l_ik = (1 − p_ik)^γ · (−log p_ik),   p = softmax(z),   L_i = Σ_k  y_ik · w_k · l_ik

The paper writes the sigmoid form; with two classes and hard targets both are the same number. The paper's α is the
class weight w, which `focal` has not: `cb_focal` is this loss with weights. γ = 0 is cross-entropy; the paper's
choice is 2.
"""

from typing import Any

from torch import Tensor
from torch.nn import functional

from fer_core.losses.common import EmotionLoss, at_least_float32, check_range, focused


class Focal(EmotionLoss):
    """Focal loss of logits (B, K) and target probabilities (B, K).

    Example:
        >>> import torch
        >>> Focal(gamma=2.0)(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))  # log 2 / 4
        tensor(0.1733)
    """

    def __init__(self, gamma: float, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(class_weights, label_smoothing)
        self.gamma = check_range("focal_gamma", gamma, 0, float("inf"))

    def per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return L_i, (B,)."""
        log_p = functional.log_softmax(at_least_float32(logits), dim=-1)
        return self.sum_over_classes(focused(log_p, self.gamma), target)


def build(*, focal_gamma: float, class_weights: Tensor | None, label_smoothing: float, **_: Any) -> Focal:
    """Build from the full set of loss settings."""
    return Focal(focal_gamma, class_weights, label_smoothing)
