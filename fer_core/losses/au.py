"""Action-Unit losses: logits (B, A) against labels where NaN means *not annotated*, never *absent*."""

from collections.abc import Callable

from torch import Tensor, nn

from fer_core.errors import ConfigError, unknown_name
from fer_core.losses import au_asymmetric, au_bce, au_weighted
from fer_core.losses.au_bce import masked_bce

__all__ = ["AU_LOSSES", "build_au_loss", "masked_bce"]

AU_LOSSES: dict[str, Callable[..., nn.Module]] = {
    "bce": au_bce.build,
    "weighted_bce": au_weighted.build,
    "asymmetric": au_asymmetric.build,
}


def build_au_loss(
    name: str,
    *,
    positives: Tensor,
    annotated: Tensor,
    asl_gamma_pos: float,
    asl_gamma_neg: float,
    asl_clip: float,
) -> nn.Module:
    """Build the Action-Unit loss called `name`; every builder takes all settings and uses its own.

    Args:
        name: a key of `AU_LOSSES`.
        positives: (A,) training pictures that show the AU.
        annotated: (A,) training pictures whose label of this AU is known.
        asl_gamma_pos: focusing exponent γ⁺ >= 0 of present AUs in `asymmetric`.
        asl_gamma_neg: focusing exponent γ⁻ >= 0 of absent AUs in `asymmetric`.
        asl_clip: probability in [0, 1) below which an absent AU costs nothing in `asymmetric`.

    Returns:
        A module `(logits (B, A), labels (B, A) in [0, 1], NaN where not annotated) -> scalar`, the mean over the
        annotated elements; 0 with zero gradients when nothing is annotated. Half-precision logits are computed in
        float32.

    Raises:
        ConfigError: the name is unknown, a setting is out of its range, or the counts do not have one shape with
            0 <= positives <= annotated.

    Example:
        >>> import torch
        >>> focus = dict(asl_gamma_pos=1.0, asl_gamma_neg=4.0, asl_clip=0.05)
        >>> loss = build_au_loss("weighted_bce", positives=torch.tensor([1]), annotated=torch.tensor([4]), **focus)
        >>> loss(torch.zeros(2, 1), torch.tensor([[1.0], [float("nan")]]))  # 4 / 2 · log 2
        tensor(1.3863)
    """
    if name not in AU_LOSSES:
        raise unknown_name("au_loss", name, AU_LOSSES)
    if positives.shape != annotated.shape or not ((positives >= 0) & (positives <= annotated)).all():
        raise ConfigError(
            "Expected AU counts of one shape with 0 <= `positives` <= `annotated`; "
            f"got {positives.tolist()} of {annotated.tolist()}."
        )
    return AU_LOSSES[name](
        positives=positives,
        annotated=annotated,
        asl_gamma_pos=asl_gamma_pos,
        asl_gamma_neg=asl_gamma_neg,
        asl_clip=asl_clip,
    )
