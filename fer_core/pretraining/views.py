"""Two strongly augmented views of a whole batch, for self-supervised training, as a few batched matrix products.

BYOL's recipe (Grill et al., NeurIPS 2020, appendix B) with crops less deep, for faces that fill the picture:
random resized crop, flip, colour jitter, grey for some RGB pictures, Gaussian blur (always in the first view,
rarely in the second). Solarisation is left out: grey faces with inverted tones teach nothing useful.

Cropping, resizing, flipping and blurring are all linear along y and along x separately, so a view is
`Ay @ picture @ Ax.T` with one small matrix per sample and side; colour is one 3 x 3 matrix per sample.
Nothing here makes the host wait for a GPU: no size depends on a draw there.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

AREA = (0.35, 1.0)  # of the picture
ASPECT = 4 / 3
BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.4, 0.4, 0.2, 0.1 * 2 * math.pi
JITTER, GREY = 0.8, 0.2  # probabilities
BLUR = (1.0, 0.1)  # probability in the first and in the second view
SIGMA = (0.1, 1.2)  # pixels of a 64-pixel picture
LUMA = (0.299, 0.587, 0.114)


def views(images: Tensor, generator: torch.Generator, blur: tuple[float, float] = BLUR) -> tuple[Tensor, Tensor]:
    """Return two views of images (B, C, H, W) float in 0..1, each of the same shape and range.

    `blur` is the probability of blur in the first and in the second view; BYOL's are the default.
    """
    return view(images, blur[0], generator), view(images, blur[1], generator)


def crop(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images (B, C, H, W), cropped, resized and flipped at random, their colours as they were."""
    count, _, height, width = images.shape
    draws = torch.rand(count, 5, generator=generator, device=generator.device).to(images.device)
    tall, wide = crop_sides(draws[:, 0], draws[:, 1])
    rows = cropping(height, tall, draws[:, 2])
    columns = cropping(width, wide, draws[:, 3], draws[:, 4] < 0.5)
    return channels_last(resampled(images, rows, columns))


def crop_sides(area: Tensor, aspect: Tensor) -> tuple[Tensor, Tensor]:
    """Return height and width (B,) of crops, as shares of the picture's, by draws (B,) in 0..1."""
    area = AREA[0] + (AREA[1] - AREA[0]) * area
    aspect = torch.exp(math.log(ASPECT) * (2 * aspect - 1))
    return (area / aspect).sqrt().clamp(max=1), (area * aspect).sqrt().clamp(max=1)


def view(images: Tensor, blur: float, generator: torch.Generator) -> Tensor:
    """Return one view, blurred with probability `blur`, channels-last in memory as the networks want it."""
    count, _, height, width = images.shape
    draws = torch.rand(count, 14, generator=generator, device=generator.device).to(images.device)
    sigma = torch.where(draws[:, 0] < blur, SIGMA[0] + (SIGMA[1] - SIGMA[0]) * draws[:, 1], 0)
    tall, wide = crop_sides(draws[:, 2], draws[:, 3])
    rows = blurring(cropping(height, tall, draws[:, 4]), sigma * height / 64)
    columns = blurring(cropping(width, wide, draws[:, 5], draws[:, 6] < 0.5), sigma * width / 64)
    return channels_last(jitter(resampled(images, rows, columns).contiguous(), draws[:, 7:]))


def cropping(side: int, share: Tensor, place: Tensor, flip: Tensor | None = None) -> Tensor:
    """Return the matrices (B, side, side) that crop, resize and flip along one side.

    Args:
        side: pixels along this side.
        share: (B,) length of the crop as a share of the side.
        place: (B,) where the crop lies, 0 at the start to 1 at the end.
        flip: (B,) bool; None for no flip.
    """
    pixel = torch.arange(side, device=share.device, dtype=share.dtype)
    share, start = share[:, None], (place * (1 - share))[:, None] * side
    target = pixel if flip is None else torch.where(flip[:, None], side - 1 - pixel, pixel)
    source = start + (target + 0.5) * share - 0.5  # the crop only enlarges, so plain bilinear is enough
    return (source.clamp(0, side - 1)[:, :, None] - pixel).abs_().neg_().add_(1).clamp_(min=0)


def blurring(matrices: Tensor, sigma: Tensor) -> Tensor:
    """Return matrices (B, side, side) with a Gaussian blur of `sigma` (B,) pixels, 0 for none, after each of them.

    May change `matrices` in place.
    """
    if matrices.device.type != "cpu":  # to count the blurred ones would make the host wait
        return torch.bmm(gaussians(matrices.shape[1], sigma), matrices)
    chosen = sigma.nonzero().flatten()
    blurred = torch.bmm(gaussians(matrices.shape[1], sigma[chosen]), matrices.index_select(0, chosen))
    return matrices.index_copy_(0, chosen, blurred)


def gaussians(side: int, sigma: Tensor) -> Tensor:
    """Return the matrices (B, side, side) that blur by `sigma` (B,) pixels; each row's weights sum to 1."""
    distance = torch.arange(1 - side, side, device=sigma.device, dtype=sigma.dtype)
    exponent = -0.5 * (distance / sigma.clamp(min=0.05)[:, None]) ** 2
    curve = exponent.clamp_(min=-30).exp_()  # without the clamp, denormal numbers make a CPU ten times slower
    gauss = curve.unfold(1, side, 1).flip(1)  # row i is the curve, its top moved to i
    return gauss.div_(gauss.sum(dim=-1, keepdim=True))


def resampled(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return `rows @ image @ columns.T` of images (B, C, H, W), *transposed*, as (B, C, W, H).

    `rows` is (B, H, H), `columns` (B, W, W). Of channels-last pictures both products are plain batched ones without
    a copy of anything, if the sides may change places.
    """
    count, channels, height, width = images.shape
    lines = images.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    tall = torch.bmm(lines.mT, rows.mT).view(count, width, channels * height)
    return torch.bmm(columns, tall).view(count, width, channels, height).transpose(1, 2)


def channels_last(transposed: Tensor) -> Tensor:
    """Return pictures (B, C, W, H) as (B, C, H, W), channels-last in memory."""
    return transposed.mT.contiguous(memory_format=torch.channels_last)


def jitter(images: Tensor, draws: Tensor) -> Tensor:
    """Change brightness, contrast and, for RGB, saturation and hue of (B, C, ., .), by draws (B, 7) in 0..1."""
    on = (draws[:, 0] < JITTER).to(images)
    signed = (2 * draws[:, 1:5] - 1) * on[:, None]
    brightness, contrast = 1 + BRIGHTNESS * signed[:, 0], 1 + CONTRAST * signed[:, 1]
    gain, offset = brightness * contrast, brightness * (1 - contrast) * images.mean(dim=(1, 2, 3))
    if images.shape[1] == 3:
        saturation = (1 + SATURATION * signed[:, 2]) * (draws[:, 5] >= GREY).to(images)
        colour = gain[:, None, None] * colour_matrix(saturation, HUE * signed[:, 3])
        images = torch.bmm(colour, images.flatten(2)).view(images.shape)
    else:
        images = images * gain[:, None, None, None]
    return images.add_(offset[:, None, None, None]).clamp_(0, 1)


def colour_matrix(saturation: Tensor, hue: Tensor) -> Tensor:
    """Return the (B, 3, 3) matrices that scale saturation (0 is grey) and turn the hue, leaving luma as it is.

    Hue is a rotation about the grey axis in the YIQ space.
    """
    to_yiq, to_rgb = yiq(saturation.device, saturation.dtype)
    zero, one = torch.zeros_like(hue), torch.ones_like(hue)
    cos, sin = saturation * torch.cos(hue), saturation * torch.sin(hue)
    turn = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=-1).unflatten(-1, (3, 3))
    return to_rgb @ turn @ to_yiq


@lru_cache
def yiq(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the (3, 3) matrices from RGB to YIQ and back, made once: a copy to a GPU makes the host wait."""
    to_yiq = torch.tensor([LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)], dtype=dtype)
    return to_yiq.to(device), torch.linalg.inv(to_yiq).to(device)
