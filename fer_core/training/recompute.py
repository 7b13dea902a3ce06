"""Activation checkpointing: keep the activations between a network's blocks alone and compute the others again in the
backward pass (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). timm's networks bring it along.

The second forward pass of a block would move its batch norms' running statistics a second time; `kept_statistics`
keeps them, so that weights and statistics are those of plain training.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fer_core.errors import ConfigError
from fer_core.training.device import Precision


def checkpoint_activations(backbone: nn.Module, name: str) -> None:
    """Switch it on.

    Raises:
        ConfigError: the network called `name` cannot do it.
    """
    try:
        backbone.set_grad_checkpointing(True)  # type: ignore[operator]
    except (AttributeError, AssertionError) as error:
        raise ConfigError(f"Expected `grad_checkpointing` to be false for {name!r}, which cannot do it.") from error


def backward(model: nn.Module, precision: Precision, loss: Tensor, *, recomputed: bool) -> None:
    """Add the gradients of `loss`; `recomputed` where activations are computed again meanwhile."""
    if recomputed:
        with kept_statistics(model):
            precision.backward(loss)
    else:
        precision.backward(loss)


@contextmanager
def kept_statistics(model: nn.Module) -> Iterator[None]:
    """Keep running statistics as they are while a backward pass computes activations again."""
    norms = [item for item in model.modules() if isinstance(item, _BatchNorm) and item.track_running_stats]
    # not frozen_statistics: without running statistics a norm saves fewer tensors than the checkpoint expects
    before = [
        (norm, norm.momentum, norm.num_batches_tracked.clone())
        for norm in norms
        if norm.num_batches_tracked is not None
    ]
    for norm, _, _ in before:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)  # type: ignore[union-attr]
