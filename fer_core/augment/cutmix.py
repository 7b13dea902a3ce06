"""CutMix: a box of every picture is cut out and filled with the same box of a partner.

Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019:
    λ ~ Beta(α, α) (the paper takes α = 1), a box of √(1 − λ) of the height and of the width about a uniform centre,
    clipped to the picture;  y' = λ' y_i + (1 − λ') y_j,  1 − λ' the share of the picture's pixels that was pasted.
AU labels are blended like the classes. It knows nothing of faces: half a mouth may be cut, and an AU of 0.3 says that
30 % of the picture are of a face that shows it, not that it is seen. `fer_core.augment.face_cutmix` cuts along a line.
Variant: λ and the box are drawn per sample (the paper's code draws one of each per batch).
"""

import numpy as np
import torch
from torch import Tensor

from fer_core.augment.batch import Batch, numpy_draws, partners, take
from fer_core.augment.regions import box_masks


def mix(batch: Batch, targets: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Paste a box of a partner into every sample; see the module's formula."""
    count, _, height, width = batch.images.shape
    device = batch.images.device
    draw = numpy_draws(generator)
    lam = draw.beta(alpha, alpha, count)
    boxes = cut_boxes(lam, draw.integers(height, size=count), draw.integers(width, size=count), (height, width))
    partner = partners(count, generator, device)
    # a mask's box ends at the last pixel inside
    edges = torch.from_numpy((boxes - np.array([0, 1, 0, 1])).astype(np.float32)).to(device, non_blocking=True)
    mask = box_masks(edges[:, None], torch.ones(count, 1, dtype=torch.bool, device=device), (height, width))
    share = mask.mean(dim=(1, 2))
    images, mixed = paste(batch.images, targets, take(batch.images, partner), partner, mask)
    return images, mixed, blend(batch.aus, partner, share)


def cut_boxes(lam: np.ndarray, row: np.ndarray, column: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the clipped boxes (B, 4) as x from, x to, y from, y to in pixels, ends exclusive.

    Args:
        lam: (B,) share that is kept, were the box not clipped.
        row: (B,) the pixel of the box's centre; `column` likewise.
        size: (H, W).
    """
    edges = []
    for centre, side in ((column, size[1]), (row, size[0])):
        length = (side * np.sqrt(1 - lam)).astype(np.int64)
        edges += [centre - length // 2, centre + (length + 1) // 2]
    return np.stack(edges, axis=1).clip(0, np.array([size[1], size[1], size[0], size[0]]))


def paste(images: Tensor, targets: Tensor, others: Tensor, partner: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return pictures with `others` where the mask is 1, and targets mixed by the pasted share of the pixels.

    Args:
        images: (B, C, H, W); `others`, the partners' pictures, likewise.
        targets: (B, K).
        partner: (B,) each sample's partner.
        mask: (B, H, W) of 0 and 1.
    """
    return _choose(mask[:, None], others, images), blend(targets, partner, mask.mean(dim=(1, 2)))


def _choose(mask: Tensor, others: Tensor, images: Tensor) -> Tensor:
    """Return `others` where the mask of 0 and 1 is 1 and `images` elsewhere, exactly."""
    if not images.is_cuda:
        # a weight of 0 or 1 is an exact choice, and on a CPU many times faster than where
        mixed = torch.lerp(images, others, mask.to(images.dtype))
        if not mixed.sum().isnan():  # what is not finite spoils both; maps of regions may lie behind the pictures
            return mixed
    return torch.where(mask > 0, others, images)


def blend(values: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Return (1 − share) · own + share · partner's, (B, N); NaN where one that has a share is NaN."""
    weight = share.to(values.dtype)[:, None]
    others = take(values, partner)
    mixed = torch.lerp(values, others, weight)
    return torch.where(weight == 0, values, torch.where(weight == 1, others, mixed))
