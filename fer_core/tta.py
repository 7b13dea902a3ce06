"""Test-time augmentation: fixed views of each picture, predicted in one batched pass; `fer_core.views` joins them.

A new view is one entry in `VIEWS`. The views are deterministic, so that two evaluations agree. Crops are as in
Krizhevsky, Sutskever & Hinton (NeurIPS 2012), who average over four corners, the centre and their mirror images; theirs
are 224 of 256 px, ours 90 % of the side, as a corner of an aligned face must still show its expression.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer_core.augment.affine import matrices, warp_images
from fer_core.errors import ConfigError, DataError, unknown_name

CROP = 0.9  # side of a cropped window, as a share of the picture's
TOGETHER = 4  # pictures warped as one; the channels of more do not stay in a core's nearest cache


@dataclass(frozen=True)
class View:
    """One fixed change.

    Attributes:
        flip: mirrored, left for right.
        angle: degrees, clockwise.
        scale: about the picture's centre; above 1 shows the face larger.
        brightness: factor of every value, cut off at 1.
        crop: where a window of `CROP` of either side stands, (-1, -1) the top left corner, (1, 1) the bottom right,
            (0, 0) the centre; it is brought back to the picture's size. None: no crop.
    """

    flip: bool = False
    angle: float = 0.0
    scale: float = 1.0
    brightness: float = 1.0
    crop: tuple[int, int] | None = None


# In order of use: a number of views takes the first ones. From 6 on they span flip, rotation, brightness, scale and
# crop; at 8 the crops, at 10 all kinds come in pairs that undo each other's bias. Those after the tenth are for lists.
VIEWS: dict[str, View] = {
    "identity": View(),
    "flip": View(flip=True),
    "rotate_left": View(angle=-6),
    "brighter": View(brightness=1.15),
    "larger": View(scale=1.06),
    "crop_top_left": View(crop=(-1, -1)),
    "rotate_right": View(angle=6),
    "crop_bottom_right": View(crop=(1, 1)),
    "darker": View(brightness=0.85),
    "smaller": View(scale=0.94),
    "crop_top_right": View(crop=(1, -1)),
    "crop_bottom_left": View(crop=(-1, 1)),
    "crop_centre": View(crop=(0, 0)),
    "flip_rotate_left": View(flip=True, angle=-6),
    "flip_rotate_right": View(flip=True, angle=6),
}
FEWEST, MOST = 5, 10


def view_names(wanted: int | Sequence[str]) -> list[str]:
    """Return the names of the views that `tta.views` asks for, 5 to 10; the first is always "identity".

    Args:
        wanted: how many, in the order of `VIEWS`, or their names.

    Raises:
        ConfigError: the number is out of range, a view is unknown or named twice, or "identity" is not the first.

    Example:
        >>> view_names(6)
        ['identity', 'flip', 'rotate_left', 'brighter', 'larger', 'crop_top_left']
    """
    count = wanted if isinstance(wanted, int) else len(wanted)
    if not FEWEST <= count <= MOST:
        raise ConfigError(f"Expected `tta.views` to be between {FEWEST} and {MOST} views; got {wanted!r}.")
    names = list(VIEWS)[:wanted] if isinstance(wanted, int) else list(wanted)
    _check(names)
    if len(set(names)) < len(names):
        raise ConfigError(f"Expected `tta.views` to name each view once; got {names!r}.")
    return names


def make_views(images: Tensor, names: Sequence[str]) -> Tensor:
    """Return the named views of images (B, C, H, W) float in 0..1, as (V, B, C, H, W).

    Raises:
        ConfigError: an unknown view, or "identity" not the first.
    """
    _check(names)
    count, channels, height, width = images.shape
    # a network wants its pictures channels-last, a warp one channel after the other
    views = images.new_empty(len(names), count, height, width, channels).permute(0, 1, 4, 2, 3)
    planes = images.contiguous()
    for place, name in zip(views, names, strict=True):
        place.copy_(_view(planes, VIEWS[name]))
    return views


def _view(images: Tensor, view: View) -> Tensor:
    if view.angle != 0 or view.scale != 1 or view.crop:
        # some pictures' channels side by side, as if they were one picture's: what a warp finds out of a pixel's
        # place then serves all of them
        together = images.reshape(-1, images.shape[1] * math.gcd(len(images), TOGETHER), *images.shape[2:])
        one = images.new_ones(len(together))
        scale = view.scale if view.crop is None else view.scale / CROP
        linear = matrices(math.radians(view.angle) * one, scale * one, one > 0 if view.flip else one < 0)
        images = warp_images(together, linear, _shift(together, view.crop)).view(images.shape)
    elif view.flip:  # exactly, without a warp
        images = images.flip(-1)
    return images if view.brightness == 1 else (images * view.brightness).clamp_(0, 1)


def _shift(images: Tensor, crop: tuple[int, int] | None) -> Tensor:
    """Return the shift (B, 2) in px, x then y, that brings the enlarged window's centre to the picture's."""
    height, width = images.shape[-2:]
    x, y = crop or (0, 0)
    room = (1 - CROP) / 2 / CROP  # from a corner's window to the centre one, of the side, after enlarging
    return images.new_tensor([-x * room * width, -y * room * height]).expand(len(images), 2)


@torch.inference_mode()
def predict_views(model: nn.Module, images: Tensor, names: Sequence[str], batch_size: int = 256) -> Tensor:
    """Return every view's log-probabilities, (V, N, K) float32 on the CPU.

    Args:
        model: (B, C, H, W) float in 0..1 to logits (B, K), or to an object with `.logits`. It is set to evaluation
            mode, and back afterwards.
        images: (N, C, H, W), float in 0..1 or uint8, on any device; batches move to the model's and become float
            there, so that uint8 takes a quarter of the memory.
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
        size = max(1, batch_size // len(names))
        size -= size % TOGETHER if size > TOGETHER else 0
        for batch in images.split(size):
            faces = batch.to(device)
            faces = faces.float().div_(255) if faces.dtype == torch.uint8 else faces
            output = model(make_views(faces, names).flatten(0, 1))
            logits = getattr(output, "logits", output)
            parts.append(logits.float().log_softmax(dim=-1).unflatten(0, (len(names), len(faces))))
    finally:
        model.train(training)
    return torch.cat(parts, dim=1).cpu()  # once: every copy makes the host wait for a GPU


def _check(names: Sequence[str]) -> None:
    for name in names:
        if name not in VIEWS:
            raise unknown_name("tta.views", name, VIEWS)
    if not names or names[0] != "identity":
        raise ConfigError(f"Expected the first view to be 'identity'; got {list(names)!r}.")
