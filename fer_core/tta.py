"""Test-time augmentation: the mean probability over a few fixed views of each picture, in one batched pass.

A new view is one entry in `VIEWS`. The views are deterministic, so that two evaluations agree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer_core.augment.affine import matrices, warp_images
from fer_core.errors import ConfigError, DataError, unknown_name


@dataclass(frozen=True)
class View:
    """One fixed change: flip, rotation in degrees (clockwise), scale, brightness factor."""

    flip: bool = False
    angle: float = 0.0
    scale: float = 1.0
    brightness: float = 1.0


# in order of use: the first `count` are taken, so each number of views spans flip, rotation and brightness
VIEWS: dict[str, View] = {
    "identity": View(),
    "flip": View(flip=True),
    "rotate_left": View(angle=-6),
    "rotate_right": View(angle=6),
    "brighter": View(brightness=1.15),
    "darker": View(brightness=0.85),
    "larger": View(scale=1.06),
    "smaller": View(scale=0.94),
    "flip_rotate_left": View(flip=True, angle=-6),
    "flip_rotate_right": View(flip=True, angle=6),
}
FEWEST = 5


def view_names(count: int) -> list[str]:
    """Return the names of the first `count` views, 5 to 10; the first is always "identity".

    Raises:
        ConfigError: the count is out of range.
    """
    if not FEWEST <= count <= len(VIEWS):
        raise ConfigError(f"Expected `tta.views` to be between {FEWEST} and {len(VIEWS)}; got {count!r}.")
    return list(VIEWS)[:count]


def make_views(images: Tensor, names: Sequence[str]) -> Tensor:
    """Return the named views of images (B, C, H, W) float in 0..1, as (V, B, C, H, W).

    Raises:
        ConfigError: an unknown view, or "identity" not the first.
    """
    _check(names)
    return torch.stack([_view(images, VIEWS[name]) for name in names])


def _view(images: Tensor, view: View) -> Tensor:
    if view.flip and view.angle == 0 and view.scale == 1:
        images = images.flip(-1)
    elif view.angle != 0 or view.scale != 1:
        one = images.new_ones(len(images))
        linear = matrices(math.radians(view.angle) * one, view.scale * one, one > 0 if view.flip else one < 0)
        images = warp_images(images, linear, images.new_zeros(len(images), 2))
    return images if view.brightness == 1 else (images * view.brightness).clamp(0, 1)


@torch.inference_mode()
def predict_views(model: nn.Module, images: Tensor, names: Sequence[str], batch_size: int = 256) -> Tensor:
    """Return every view's log-probabilities, (V, N, K) float32 on the CPU.

    Args:
        model: (B, C, H, W) float in 0..1 to logits (B, K), or to an object with `.logits`. It is set to evaluation
            mode, and back afterwards.
        images: (N, C, H, W), float in 0..1 or uint8, on any device; batches move to the model's.
        names: views; the first must be "identity".
        batch_size: at most this many views in one forward pass, but never less than one picture's.

    Raises:
        ConfigError: an unknown view, or "identity" not the first.
        DataError: no picture.
    """
    _check(names)
    if len(images) == 0:
        raise DataError("Expected at least one picture for test-time augmentation; got none.")
    device = next((tensor.device for tensor in model.parameters()), images.device)
    training = model.training
    model.eval()
    try:
        parts = []
        for batch in images.split(max(1, batch_size // len(names))):
            faces = batch.to(device)
            faces = faces.float().div_(255) if faces.dtype == torch.uint8 else faces
            output = model(make_views(faces, names).flatten(0, 1))
            logits = getattr(output, "logits", output)
            parts.append(logits.float().log_softmax(dim=-1).unflatten(0, (len(names), len(faces))).cpu())
    finally:
        model.train(training)
    return torch.cat(parts, dim=1)


def average(log_probabilities: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """Return the log of the (weighted) mean probability over views, (V, N, K) to (N, K) float64.

    Args:
        log_probabilities: (V, N, K), a tensor or array.
        weights: (V,) at least 0 with a positive sum, normalised here; equal where None.

    Raises:
        ConfigError: weights that do not fit.

    Example:
        >>> views = torch.tensor([[[0.8, 0.2]], [[0.4, 0.6]]]).log()
        >>> average(views).exp()
        tensor([[0.6000, 0.4000]], dtype=torch.float64)
    """
    views = torch.as_tensor(log_probabilities).double()
    shares = views.new_tensor([1.0] * len(views) if weights is None else list(weights))
    if len(shares) != len(views) or not (shares >= 0).all() or not shares.sum() > 0:
        raise ConfigError(f"Expected {len(views)} view weights of at least 0 with a positive sum; got {weights!r}.")
    logs = (shares / shares.sum()).log()
    return torch.logsumexp(views + logs[:, None, None], dim=0)


def _check(names: Sequence[str]) -> None:
    for name in names:
        if name not in VIEWS:
            raise unknown_name("tta.view", name, VIEWS)
    if not names or names[0] != "identity":
        raise ConfigError(f"Expected the first view to be 'identity'; got {list(names)!r}.")
