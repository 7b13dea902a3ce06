"""What teaches an attention its regions: binary cross-entropy over the places whose truth is known.

    L = Σ m · bce(a, t) / Σ m,   m = 1 where t is known

with a the logits of a region's map at a place and t the share of that place which the region's box covers. It is the
constraint on the attention maps of Shao et al. (JAA-Net), ECCV 2018, as a mean over regions and places, not a sum.
"""

from torch import Tensor
from torch.nn import functional

from fer_core.errors import DataError
from fer_core.losses.au_bce import masked_bce


def attention_loss(logits: Tensor, maps: Tensor) -> Tensor:
    """Return the cross-entropy, in nats, of an attention's logits towards its target maps.

    Args:
        logits: (B, R, h, w).
        maps: (B, R, H, W) in 0..1, NaN where unknown, at the picture's resolution: each place of the attention is
            compared with the mean over the pixels that it stands for, and left out if one of them is unknown.

    Returns:
        A scalar, in float32 or better; 0 with zero gradients when nothing is known.

    Raises:
        DataError: faces or regions differ in number.

    Example:
        >>> import torch
        >>> half = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 1, 4)
        >>> round(attention_loss(torch.zeros(1, 1, 1, 2), half).item(), 4)  # log 2
        0.6931
    """
    if logits.shape[:2] != maps.shape[:2]:
        wanted, got = (tuple(item.shape[:2]) for item in (logits, maps))
        raise DataError(f"Expected one target map per face and region, {wanted}; got {got}.")
    grid = (logits.shape[-2], logits.shape[-1])
    return masked_bce(logits, functional.adaptive_avg_pool2d(maps, grid))
