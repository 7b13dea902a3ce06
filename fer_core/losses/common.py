"""What the losses share: the emotion losses' base class, precision, target smoothing, averaging, range checks."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from fer_core.errors import ConfigError


class EmotionLoss(nn.Module, ABC):
    """An emotion loss with soft targets: L = mean_i L_i,  L_i = Σ_k  y_ik · w_k · l_ik.

    Each loss has its own l_ik, the loss of picture i if class k were its only label. The mean is over the batch,
    not over the sum of the weights (torch divides by that sum for hard targets with `weight=`): a picture of a rare
    class then counts the same in whatever batch it stands.

    Args:
        class_weights: (K,) w, or None for no weights. They are not saved with a checkpoint.
        label_smoothing: share in [0, 1) of every target that is spread over all classes; the spread share is
            weighted like any other target, as in torch.
    """

    class_weights: Tensor | None

    def __init__(self, class_weights: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = check_range("label_smoothing", label_smoothing, 0, 1)
        self.register_buffer("class_weights", class_weights, persistent=False)

    @abstractmethod
    def per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return L_i, (B,), of logits (B, K) and target probabilities (B, K); half precision gives float32."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar mean over the batch."""
        return self.per_sample(logits, target).mean()

    def weights_like(self, logits: Tensor) -> Tensor | None:
        """Return the class weights in the type and on the device of `logits`."""
        return None if self.class_weights is None else self.class_weights.to(logits)

    def sum_over_classes(self, losses: Tensor, target: Tensor) -> Tensor:
        """Return Σ_k y_ik · w_k · l_ik, (B,), of l (B, K) and the not yet smoothed targets (B, K)."""
        target = smooth(target.to(losses), self.label_smoothing)
        weights = self.weights_like(losses)
        return (target * losses if weights is None else target * weights * losses).sum(dim=-1)


def at_least_float32(values: Tensor) -> Tensor:
    """Lift half precision to float32, where log-softmax is safe; leave float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def smooth(target: Tensor, share: float) -> Tensor:
    """Move `share` of every target (B, K) to the uniform distribution (Szegedy et al. CVPR 2016)."""
    return target if share == 0 else target * (1 - share) + share / target.shape[-1]


def focused(log_p: Tensor, gamma: float) -> Tensor:
    """Return (1 − p)^γ · (−log p), same shape: a log-likelihood with the focal factor of Lin et al. ICCV 2017.

    Example:
        >>> focused(torch.tensor([0.5]).log(), gamma=2.0)  # log 2 / 4
        tensor([0.1733])
    """
    # 1 - p without cancellation; the clamp keeps the power's gradient finite at p = 1 when γ < 1
    miss = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny ** 0.5)
    return -(miss**gamma) * log_p


def annotated_mean(losses: Tensor, labels: Tensor) -> Tensor:
    """Return the scalar mean of `losses` where `labels`, same shape, are not NaN; 0 with zero gradients if none is."""
    annotated = ~labels.isnan()
    return torch.where(annotated, losses, 0.0).sum() / annotated.sum().clamp(min=1)


def at_least_one(class_counts: Tensor) -> Tensor:
    """Return the counts (K,) as float64 with a class of less than one picture counted as one picture.

    Raises:
        ConfigError: a count is negative or not finite.
    """
    return checked_counts(class_counts).clamp(min=1)


def checked_counts(class_counts: Tensor) -> Tensor:
    """Return the counts (K,) as float64, or raise ConfigError if one is negative or not finite."""
    counts = class_counts.double()
    if not (counts.isfinite() & (counts >= 0)).all():
        raise ConfigError(f"Expected `class_counts` to be finite and at least 0; got {class_counts.tolist()}.")
    return counts


def check_range(key: str, value: float, low: float, high: float) -> float:
    """Return `value` if low <= value < high, else raise ConfigError naming the key."""
    if not low <= value < high:
        raise ConfigError(f"Expected `{key}` to be at least {low:g} and below {high:g}; got {value!r}.")
    return value
