"""Two strongly augmented views of a whole batch, for self-supervised training, as a few batched matrix products.

BYOL's recipe (Grill et al., NeurIPS 2020, appendix B) with crops less deep, for faces that fill the picture:
random resized crop, flip, colour jitter, grey for some RGB pictures, Gaussian blur (always in the first view,
rarely in the second). Solarisation is left out: grey faces with inverted tones teach nothing useful.

Cropping, resizing, flipping and blurring are all linear along y and along x separately, so a view is
`Ay @ picture @ Ax.T` with one small matrix per sample and side; colour is one 3 x 3 matrix per sample.
"""

import math

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
    sharp = torch.zeros(count, device=images.device)
    rows = resampling(height, tall, draws[:, 2], sharp > 0, sharp)
    columns = resampling(width, wide, draws[:, 3], draws[:, 4] < 0.5, sharp)
    return torch.matmul(torch.matmul(rows[:, None], images), columns[:, None].mT)


def crop_sides(area: Tensor, aspect: Tensor) -> tuple[Tensor, Tensor]:
    """Return height and width (B,) of crops, as shares of the picture's, by draws (B,) in 0..1."""
    area = AREA[0] + (AREA[1] - AREA[0]) * area
    aspect = torch.exp(math.log(ASPECT) * (2 * aspect - 1))
    return (area / aspect).sqrt().clamp(max=1), (area * aspect).sqrt().clamp(max=1)


def view(images: Tensor, blur: float, generator: torch.Generator) -> Tensor:
    """Return one view, blurred with probability `blur`."""
    count, _, height, width = images.shape
    draws = torch.rand(count, 14, generator=generator, device=generator.device).to(images.device)
    sigma = torch.where(draws[:, 0] < blur, SIGMA[0] + (SIGMA[1] - SIGMA[0]) * draws[:, 1], 0)
    tall, wide = crop_sides(draws[:, 2], draws[:, 3])
    never = torch.zeros_like(sigma, dtype=torch.bool)
    rows = resampling(height, tall, draws[:, 4], never, sigma * height / 64)
    columns = resampling(width, wide, draws[:, 5], draws[:, 6] < 0.5, sigma * width / 64)
    cropped = torch.matmul(torch.matmul(rows[:, None], images), columns[:, None].mT)
    return jitter(cropped, draws[:, 7:])


def resampling(side: int, share: Tensor, place: Tensor, flip: Tensor, sigma: Tensor) -> Tensor:
    """Return the matrices (B, side, side) that crop, resize, flip and blur along one side.

    Args:
        side: pixels along this side.
        share: (B,) length of the crop as a share of the side.
        place: (B,) where the crop lies, 0 at the start to 1 at the end.
        flip: (B,) bool.
        sigma: (B,) pixels of the Gaussian blur, 0 for none.
    """
    pixel = torch.arange(side, device=share.device, dtype=share.dtype)
    share, start = share[:, None], (place * (1 - share))[:, None] * side
    target = torch.where(flip[:, None], side - 1 - pixel, pixel)
    source = start + (target + 0.5) * share - 0.5  # the crop only enlarges, so plain bilinear is enough
    crop = (1 - (source.clamp(0, side - 1)[:, :, None] - pixel).abs()).clamp_(min=0)
    distance = pixel[:, None] - pixel
    exponent = -0.5 * (distance / sigma.clamp(min=0.05)[:, None, None]) ** 2
    gauss = exponent.clamp_(min=-30).exp_()  # without the clamp, denormal numbers make a CPU ten times slower
    return (gauss / gauss.sum(dim=-1, keepdim=True)) @ crop


def jitter(images: Tensor, draws: Tensor) -> Tensor:
    """Change brightness, contrast and, for RGB, saturation and hue, by draws (B, 7) in 0..1."""
    on = (draws[:, 0] < JITTER).to(images)
    signed = (2 * draws[:, 1:5] - 1) * on[:, None]
    brightness, contrast = 1 + BRIGHTNESS * signed[:, 0], 1 + CONTRAST * signed[:, 1]
    gain, offset = brightness * contrast, brightness * (1 - contrast) * images.mean(dim=(1, 2, 3))
    if images.shape[1] == 3:
        saturation = (1 + SATURATION * signed[:, 2]) * (draws[:, 5] >= GREY).to(images)
        colour = gain[:, None, None] * colour_matrix(saturation, HUE * signed[:, 3])
        images = torch.matmul(colour, images.flatten(2)).reshape(images.shape)
    else:
        images = images * gain[:, None, None, None]
    return images.add_(offset[:, None, None, None]).clamp_(0, 1)


def colour_matrix(saturation: Tensor, hue: Tensor) -> Tensor:
    """Return the (B, 3, 3) matrices that scale saturation (0 is grey) and turn the hue, leaving luma as it is.

    Hue is a rotation about the grey axis in the YIQ space.
    """
    to_yiq = saturation.new_tensor([LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
    zero, one = torch.zeros_like(hue), torch.ones_like(hue)
    cos, sin = saturation * torch.cos(hue), saturation * torch.sin(hue)
    turn = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=-1).unflatten(-1, (3, 3))
    return torch.linalg.inv(to_yiq) @ turn @ to_yiq
