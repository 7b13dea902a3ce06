"""Emotion losses: logits (B, K) against soft targets (B, K). A new loss is one file and one entry here."""

from collections.abc import Callable

from torch import Tensor, nn

from fer_core.errors import unknown_name
from fer_core.losses import class_balanced, cross_entropy, focal

LOSSES: dict[str, Callable[..., nn.Module]] = {
    "ce": cross_entropy.build,
    "focal": focal.build,
    "cb": class_balanced.build,
}


def build_loss(
    name: str,
    *,
    class_counts: Tensor,
    focal_gamma: float,
    cb_beta: float,
    label_smoothing: float,
) -> nn.Module:
    """Build the emotion loss called `name`; every builder takes all settings and uses its own.

    Args:
        name: a key of `LOSSES`.
        class_counts: (K,) training pictures per class.
        focal_gamma: focusing exponent γ >= 0 of the focal loss.
        cb_beta: β in [0, 1) of the class-balanced weights.
        label_smoothing: share in [0, 1) of every target that is spread over all classes.

    Returns:
        A module `(logits (B, K), target (B, K) probabilities) -> scalar mean over the batch`. Half-precision
        logits are computed in float32.

    Raises:
        ConfigError: the name is unknown or a setting is out of its range.

    Example:
        >>> import torch
        >>> loss = build_loss(
        ...     "cb", class_counts=torch.tensor([9, 1]), focal_gamma=2.0, cb_beta=0.999, label_smoothing=0.0
        ... )
        >>> round(loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])).item(), 3)
        1.247
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    return LOSSES[name](
        class_counts=class_counts, focal_gamma=focal_gamma, cb_beta=cb_beta, label_smoothing=label_smoothing
    )
