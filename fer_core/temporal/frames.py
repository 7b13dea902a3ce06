"""What the temporal models share: features of real frames only, and means over them.

Throughout, `mask` (B, T) is true where a clip has a frame; a clip's frames stand first, its padding last, and every
clip has a frame. What a model says of a clip may not depend on its padding, that is, on the other clips of its batch.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fer_core.errors import ConfigError


def on_frames(pictures: Callable[[Tensor], Tensor], images: Tensor, mask: Tensor) -> Tensor:
    """Return what `pictures` makes of each frame of clips (B, T, C, H, W): (B, T, D), zero where padded.

    It sees the real frames only, as one batch: padding would enter the statistics of its batch norms.

    Args:
        pictures: (F, C, H, W) to (F, D), such as an encoder.
        images: the clips.
        mask: bool (B, T).
    """
    frames = images[mask].contiguous(memory_format=torch.channels_last)
    found = pictures(frames)
    features = found.new_zeros(*mask.shape, found.shape[1])
    features[mask] = found
    return features


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (B, D) over the real frames of values (B, T, D).

    Example:
        >>> masked_mean(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
        tensor([[2.]])
    """
    return blank(values, mask).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def log_mean_probability(logits: Tensor, mask: Tensor) -> Tensor:
    """Return log (1/n · Σ_t softmax(z_t)), (B, K), over the n real frames of logits z (B, T, K)."""
    logs = logits.log_softmax(dim=2).masked_fill(~mask[:, :, None], -math.inf)
    return logs.logsumexp(dim=1) - mask.sum(dim=1, keepdim=True).to(logs).log()


def blank(values: Tensor, mask: Tensor) -> Tensor:
    """Return values (B, T, ...) with zeros where padded, whatever stood there, and no gradient to it."""
    return values.masked_fill(~mask.reshape(*mask.shape, *[1] * (values.ndim - 2)), 0.0)


def check_sizes(hidden: int, layers: int, dropout: float, *, multiple: int = 1) -> None:
    """Refuse sizes that no network has.

    Args:
        hidden: a `multiple`, above 0.
        layers: 1 or more.
        dropout: probability in [0, 1).
        multiple: what `hidden` must be divisible by.

    Raises:
        ConfigError: names the key, what was expected and what came.
    """
    if hidden < 1 or hidden % multiple:
        of = "at least 1" if multiple == 1 else f"a multiple of {multiple} above 0"
        raise ConfigError(f"Expected `temporal_hidden` to be {of}; got {hidden!r}.")
    if layers < 1:
        raise ConfigError(f"Expected `temporal_layers` to be at least 1; got {layers!r}.")
    if not 0 <= dropout < 1:
        raise ConfigError(f"Expected `temporal_dropout` to be at least 0 and below 1; got {dropout!r}.")
