"""One affine warp per sample, flip included, of pictures and landmarks: a single `grid_sample` for the batch.

Points are mapped about the picture's centre c by  p' = R(angle) · scale · F · (p − c) + c + shift,  with F the
mirror for flipped samples. A mirrored face's left points are its former right ones, so landmarks are
swapped to stay "viewer's left first". So are the columns of AUs that carry a side ("AU12L" and "AU12R"); the others
stay as they are.
"""

import torch
from torch import Tensor
from torch.nn import functional

from fer_core.aus.vocabulary import mirrored

SWAPPED = (1, 0, 2, 4, 3)  # the five points of a mirrored face, viewer's left first


def matrices(angle: Tensor, scale: Tensor, flip: Tensor) -> Tensor:
    """Return the linear parts, (B, 2, 2), from radians (B,), factors (B,) and booleans (B,)."""
    mirror = 1 - 2 * flip.to(angle)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    return torch.stack([cos * mirror, -sin, sin * mirror, cos], dim=-1).unflatten(-1, (2, 2))


def warp_images(images: Tensor, linear: Tensor, shift: Tensor) -> Tensor:
    """Warp images (B, C, H, W) by `linear` (B, 2, 2) about the centre and `shift` (B, 2) in pixels.

    Bilinear; what comes from outside repeats the border, so that no black corner tells the angle.
    """
    height, width = images.shape[-2:]
    size = images.new_tensor([width, height])
    inverse = torch.linalg.inv(linear)  # grid_sample asks where each output pixel comes from
    # the grid's unit is half a picture, so a non-square picture needs its sides in the matrix
    theta = torch.cat(
        [
            inverse * size[None, None, :] / size[None, :, None],
            -(inverse @ (2 * shift)[..., None]) / size[None, :, None],
        ],
        dim=-1,
    )
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def warp_points(points: Tensor, linear: Tensor, shift: Tensor, flip: Tensor, size: tuple[int, int]) -> Tensor:
    """Move landmarks (B, 5, 2) with the picture of `size` (H, W); NaN rows stay NaN."""
    centre = points.new_tensor([(size[1] - 1) / 2, (size[0] - 1) / 2])
    moved = (points - centre) @ linear.mT + centre + shift[:, None]
    return torch.where(flip[:, None, None], moved[:, list(SWAPPED)], moved)


def warp_aus(aus: Tensor, names: tuple[str, ...], flip: Tensor) -> Tensor:
    """Swap left and right columns of AUs (B, A) in flipped samples (B,).

    A column whose other side is no column is NaN in a flipped sample: nobody annotated what is shown there now.
    """
    others = [mirrored(name) for name in names]
    if all(name == other for name, other in zip(names, others, strict=True)):
        return aus
    source = torch.tensor([names.index(other) if other in names else -1 for other in others], device=aus.device)
    swapped = aus[:, source.clamp(min=0)].masked_fill(source < 0, torch.nan)
    return torch.where(flip[:, None], swapped, aus)
