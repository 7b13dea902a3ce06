"""Emotion losses: logits (B, K) against soft targets (B, K). A new loss is one file and one entry here."""

from collections.abc import Callable

from torch import Tensor

from fer_core.errors import unknown_name
from fer_core.losses import (
    balanced_softmax,
    class_balanced,
    class_balanced_focal,
    cross_entropy,
    focal,
    ldam,
    logit_adjusted,
)
from fer_core.losses.common import EmotionLoss

LOSSES: dict[str, Callable[..., EmotionLoss]] = {
    "ce": cross_entropy.build,
    "focal": focal.build,
    "cb": class_balanced.build,
    "cb_focal": class_balanced_focal.build,
    "ldam": ldam.build,
    "balanced_softmax": balanced_softmax.build,
    "logit_adjusted": logit_adjusted.build,
}

CLASS_BALANCED = frozenset({"cb", "cb_focal"})  # the losses whose name promises class weights


def build_loss(
    name: str,
    *,
    class_counts: Tensor,
    focal_gamma: float,
    cb_beta: float,
    label_smoothing: float,
    ldam_margin: float,
    margin_scale: float,
    logit_tau: float,
    reweight: bool | None = None,
) -> EmotionLoss:
    """Build the emotion loss called `name`; every builder takes all settings and uses its own.

    `reweight` is for deferred re-weighting, DRW (Cao et al. NeurIPS 2019, Algorithm 1): the training loop builds the
    loss with False before the deferral epoch and again with True from it on. "LDAM-DRW" is `ldam` trained so.

    Args:
        name: a key of `LOSSES`.
        class_counts: (K,) training pictures per class; sums of soft labels need not be whole.
        focal_gamma: focusing exponent γ >= 0 of the focal losses.
        cb_beta: β in [0, 1) of the effective-number weights. It is checked whether or not this loss has weights,
            so that DRW does not meet a bad value first at the deferral epoch.
        label_smoothing: share in [0, 1) of every target that is spread over all classes.
        ldam_margin: largest margin >= 0 of LDAM, in units of the cosine.
        margin_scale: what LDAM's margins are multiplied by, >= 0: the scale s of a cosine head, 1 on a linear head.
        logit_tau: strength τ >= 0 of the logit adjustment.
        reweight: None: class weights as the name says, effective-number weights for `cb` and `cb_focal`, none for
            the others. False: no class weights, not even for those two. True: effective-number weights on any loss.

    Returns:
        A module `(logits (B, K), target (B, K) probabilities) -> scalar mean over the batch`, whose method
        `per_sample` gives the loss of each picture, (B,). Half-precision logits are computed in float32.

    Raises:
        ConfigError: the name is unknown, a setting is out of its range or a count is negative or not finite.

    Example:
        >>> import torch
        >>> settings = dict(focal_gamma=2.0, label_smoothing=0.0, ldam_margin=0.5, margin_scale=1.0, logit_tau=1.0)
        >>> loss = build_loss("cb", class_counts=torch.tensor([9, 1]), cb_beta=0.999, **settings)
        >>> round(loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])).item(), 3)
        1.247
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    weights = class_balanced.effective_number_weights(class_counts, cb_beta)
    weighted = name in CLASS_BALANCED if reweight is None else reweight
    return LOSSES[name](
        class_counts=class_counts,
        class_weights=weights if weighted else None,
        focal_gamma=focal_gamma,
        label_smoothing=label_smoothing,
        ldam_margin=ldam_margin,
        margin_scale=margin_scale,
        logit_tau=logit_tau,
    )
