"""Cross-entropy with soft targets: L = mean_i  Σ_k  y_ik · (−log softmax(z_i)_k)."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from fer_core.losses.common import at_least_float32, check_range


class CrossEntropy(nn.Module):
    """Cross-entropy of logits (B, K) and target probabilities (B, K), averaged over the batch."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = check_range("label_smoothing", label_smoothing, 0, 1)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar mean."""
        logits = at_least_float32(logits)
        return functional.cross_entropy(logits, target.to(logits), label_smoothing=self.label_smoothing)


def build(*, label_smoothing: float, **_: Any) -> CrossEntropy:
    """Build from the full set of loss settings."""
    return CrossEntropy(label_smoothing)
