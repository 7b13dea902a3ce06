"""Which pictures an epoch shows, in which order. A new sampler is one file and one entry here."""

from collections.abc import Callable

import torch
from torch import Tensor

from fer_core.errors import unknown_name
from fer_core.sampling import shuffled, weighted

SAMPLERS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "none": shuffled.order,
    "weighted": weighted.order,
}


def epoch_order(name: str, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return the indices of one epoch.

    Args:
        name: a key of `SAMPLERS`: "none" shows every picture once, "weighted" draws with replacement so that
            every class is equally likely.
        labels: (N,) int64 class of each picture.
        generator: a CPU generator; the same state gives the same order.

    Returns:
        (N,) int64 indices into `labels`.

    Raises:
        ConfigError: the name is unknown.
    """
    if name not in SAMPLERS:
        raise unknown_name("sampler", name, SAMPLERS)
    return SAMPLERS[name](labels, generator)
