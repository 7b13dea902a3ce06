"""One affine warp per sample, flip included, of pictures and landmarks: a single `grid_sample` for the batch.

Points are mapped about the picture's centre c by  p' = R(angle) · scale · F · (p − c) + c + shift,  with F the
mirror for flipped samples. A mirrored face's left points are its former right ones, so landmarks are
swapped to stay "viewer's left first". So are the columns of AUs that carry a side ("AU12L" and "AU12R"); the others
stay as they are.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from fer_core.augment.batch import constant
from fer_core.aus.vocabulary import mirrored

SWAPPED = (1, 0, 2, 4, 3)  # the five points of a mirrored face, viewer's left first


def matrices(angle: Tensor, scale: Tensor, flip: Tensor) -> Tensor:
    """Return the linear parts, (B, 2, 2), from radians (B,), factors (B,) and booleans (B,)."""
    mirror = 1 - 2 * flip.to(angle)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    return torch.stack([cos * mirror, -sin, sin * mirror, cos], dim=-1).unflatten(-1, (2, 2))


def warp_images(images: Tensor, linear: Tensor, shift: Tensor) -> Tensor:
    """Warp images (B, C, H, W) by `linear` (B, 2, 2), invertible, about the centre and `shift` (B, 2) in pixels.

    Bilinear; what comes from outside repeats the border, so that no black corner tells the angle. The result is
    contiguous, one channel after the other, and shares no memory with the given pictures.
    """
    # a channel at a time stays in a core's nearest cache; a GPU reads either order equally fast
    source = images if images.is_cuda else images.contiguous()
    grid = _grid(linear, shift, (images.shape[-2], images.shape[-1]), images.dtype)
    return functional.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _grid(linear: Tensor, shift: Tensor, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Return where each output pixel comes from, (B, H, W, 2), as `affine_grid` does, in a fortieth of its time.

    A position is a part of its row and a part of its column, so one addition makes all of them. x and y lie apart in
    memory: rows then add up whole, and `grid_sample` needs no other order.
    """
    height, width = size
    (a, b), (c, d) = (row.unbind(dim=-1) for row in linear.unbind(dim=-2))
    inverse = torch.stack([d, -b, -c, a], dim=-1).div_((a * d - b * c)[:, None]).unflatten(-1, (2, 2))
    # the grid's unit is half a picture, so a non-square picture needs its sides in the matrix
    unit = inverse * constant(((1.0, height / width), (width / height, 1.0)), dtype, linear.device)
    half = constant(((2 / width,), (2 / height,)), dtype, linear.device)
    back = (inverse * shift[:, None]).sum(dim=-1, keepdim=True) * half
    columns = unit[..., :1] * _centres(width, dtype, linear.device)  # (B, 2, W)
    rows = unit[..., 1:] * _centres(height, dtype, linear.device) - back  # (B, 2, H)
    return (columns[:, :, None] + rows[..., None]).permute(0, 2, 3, 1)


@lru_cache(maxsize=64)
def _centres(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the pixels' centres along a side from −1 to 1, (side,), rounded as `affine_grid` rounds them."""
    with torch.inference_mode(False):
        return torch.linspace(-1, 1, side, dtype=dtype, device=device) * ((side - 1) / side)


def warp_points(points: Tensor, linear: Tensor, shift: Tensor, flip: Tensor, size: tuple[int, int]) -> Tensor:
    """Move landmarks (B, 5, 2) with the picture of `size` (H, W); NaN rows stay NaN."""
    centre = constant(((size[1] - 1) / 2, (size[0] - 1) / 2), points.dtype, points.device)
    moved = (points - centre) @ linear.mT + centre + shift[:, None]
    swapped = moved.index_select(1, constant(SWAPPED, torch.int64, points.device))
    return torch.where(flip[:, None, None], swapped, moved)


def warp_aus(aus: Tensor, names: tuple[str, ...], flip: Tensor) -> Tensor:
    """Swap left and right columns of AUs (B, A) in flipped samples (B,).

    A column whose other side is no column is NaN in a flipped sample: nobody annotated what is shown there now.
    """
    columns = _other_sides(names)
    if columns is None:
        return aus
    source = constant(columns, torch.int64, aus.device)
    swapped = aus.index_select(1, source.clamp(min=0)).masked_fill(source < 0, torch.nan)
    return torch.where(flip[:, None], swapped, aus)


@lru_cache(maxsize=64)
def _other_sides(names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Return each AU's column of the other side, -1 where it has none; None where no AU has a side."""
    others = [mirrored(name) for name in names]
    if all(name == other for name, other in zip(names, others, strict=True)):
        return None
    return tuple(names.index(other) if other in names else -1 for other in others)
