"""Cross-entropy with soft targets: l_ik = −log softmax(z_i)_k, so that L_i = Σ_k  y_ik · w_k · (−log p_ik)."""

from typing import Any

from torch import Tensor
from torch.nn import functional

from fer_core.losses.common import EmotionLoss, at_least_float32


class CrossEntropy(EmotionLoss):
    """Cross-entropy of logits (B, K) and target probabilities (B, K).

    Example:
        >>> import torch
        >>> CrossEntropy()(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))  # log 2
        tensor(0.6931)
    """

    def per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return L_i, (B,)."""
        logits = at_least_float32(logits)
        return functional.cross_entropy(
            logits,
            target.to(logits),
            weight=self.weights_like(logits),
            label_smoothing=self.label_smoothing,
            reduction="none",
        )


def build(*, class_weights: Tensor | None, label_smoothing: float, **_: Any) -> CrossEntropy:
    """Build from the full set of loss settings."""
    return CrossEntropy(class_weights, label_smoothing)
