"""DiffAugment (Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020).

    L_D = E max(0, 1 − D(T(x))) + E max(0, 1 + D(T(G(z)))),   L_G = −E D(T(G(z)))

Real and synthetic pictures alike go through the same kind of random change T before the discriminator sees them, and
its gradient passes through T to the generator. So a discriminator of a few thousand faces cannot learn them by heart,
and the generator does not learn to draw T. Per picture, u uniform in 0..1:

    color:        brightness x + u − ½;  saturation (x − m)·2u + m, m the mean over channels;
                  contrast (x − m)·(u + ½) + m, m the mean of the picture, in this order
    translation:  by a whole number of pixels up to ± 1/8 of each side; 0 comes in
    cutout:       a box of half of each side is 0; its centre may lie anywhere, so that a part may be outside

Pictures are in −1..1, where 0 is mid-grey; results may leave that range, as in the paper. In a picture of one channel
saturation changes nothing. The draws come from the given generator, so a run repeats.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fer_core.errors import unknown_name

SHIFT = 1 / 8  # of a side
CUT = 1 / 2  # of a side


def diff_augment(images: Tensor, policy: Sequence[str], generator: torch.Generator) -> Tensor:
    """Return images (B, C, H, W), each changed by draws of its own; an empty `policy` returns them as they are.

    Raises:
        ConfigError: a name of `policy` is not one of `OPERATIONS`.
    """
    for name in policy:
        if name not in OPERATIONS:
            raise unknown_name("gan.diffaugment", name, OPERATIONS)
        images = OPERATIONS[name](images, generator)
    return images


def brightness(images: Tensor, u: Tensor) -> Tensor:
    """Add u − ½, with u (B,) in 0..1."""
    return images + (u[:, None, None, None] - 0.5)


def saturation(images: Tensor, u: Tensor) -> Tensor:
    """Scale the distance to the mean over channels by 2u, with u (B,) in 0..1."""
    mean = images.mean(dim=1, keepdim=True)
    return (images - mean) * (2 * u[:, None, None, None]) + mean


def contrast(images: Tensor, u: Tensor) -> Tensor:
    """Scale the distance to the picture's mean by u + ½, with u (B,) in 0..1."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (u[:, None, None, None] + 0.5) + mean


def translate(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move each picture by whole pixels (B,) int64; 0 comes in."""
    height, width = images.shape[-2:]
    rows, rows_inside = _sources(height, down)
    columns, columns_inside = _sources(width, right)
    moved = images.gather(2, rows[:, None, :, None].expand_as(images))
    moved = moved.gather(3, columns[:, None, None, :].expand_as(images))
    inside = rows_inside[:, None, :, None] & columns_inside[:, None, None, :]
    return torch.where(inside, moved, torch.zeros((), dtype=images.dtype, device=images.device))


def cutout(images: Tensor, row: Tensor, column: Tensor, size: tuple[int, int]) -> Tensor:
    """Set the box of `size` (height, width) that begins at row (B,) and column (B,), maybe outside, to 0."""
    height, width = images.shape[-2:]
    y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    in_rows = (y >= row[:, None]) & (y < row[:, None] + size[0])
    in_columns = (x >= column[:, None]) & (x < column[:, None] + size[1])
    return images.masked_fill(in_rows[:, None, :, None] & in_columns[:, None, None, :], 0)


def _sources(side: int, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return where each of `side` pixels comes from, (B, side), clamped, and whether that is inside."""
    source = torch.arange(side, device=shift.device) - shift[:, None]
    return source.clamp(0, side - 1), (source >= 0) & (source < side)


def _color(images: Tensor, generator: torch.Generator) -> Tensor:
    draws = torch.rand(3, len(images), generator=generator, device=generator.device)
    u = draws.to(images)
    return contrast(saturation(brightness(images, u[0]), u[1]), u[2])


def _translation(images: Tensor, generator: torch.Generator) -> Tensor:
    down, right = (_whole(images, -_share(side, SHIFT), _share(side, SHIFT), generator) for side in images.shape[-2:])
    return translate(images, down, right)


def _cutout(images: Tensor, generator: torch.Generator) -> Tensor:
    size = (_share(images.shape[-2], CUT), _share(images.shape[-1], CUT))
    # the box's centre is in 0..side for an even box, 0..side − 1 for an odd one: symmetric about the middle
    row, column = (
        _whole(images, -(cut // 2), side - cut % 2 - cut // 2, generator)
        for cut, side in zip(size, images.shape[-2:], strict=True)
    )
    return cutout(images, row, column, size)


def _share(side: int, share: float) -> int:
    return int(side * share + 0.5)


def _whole(images: Tensor, low: int, high: int, generator: torch.Generator) -> Tensor:
    """Draw (B,) whole numbers in low..high, both included."""
    draws = torch.randint(low, high + 1, (len(images),), generator=generator, device=generator.device)
    return draws.to(images.device)


OPERATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
