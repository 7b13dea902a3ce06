"""Which pictures an epoch shows, in which order. A new sampler is one file and one entry here."""

from collections.abc import Callable

import torch
from torch import Tensor

from fer_core.errors import unknown_name
from fer_core.sampling import balanced, curriculum, shuffled, square_root, weighted

# (labels, generator, further settings by keyword) -> order; every sampler takes all settings and uses its own
SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "none": shuffled.order,
    "weighted": weighted.order,
    "balanced": balanced.order,
    "square_root": square_root.order,
    "curriculum": curriculum.order,
}


def epoch_order(
    name: str,
    labels: Tensor,
    generator: torch.Generator,
    *,
    progress: float = 0.0,
    losses: Callable[[], Tensor] | None = None,
    curriculum_start: float = 0.3,
    curriculum_end: float = 0.5,
) -> Tensor:
    """Return the indices of one epoch; it has N draws with every sampler.

    Args:
        name: a key of `SAMPLERS`: "none" shows every picture once; "weighted" draws with replacement so that every
            class is equally likely; "balanced" shows every class equally often, exactly; "square_root" draws
            classes in proportion to the root of their size; "curriculum" goes from easy to hard.
        labels: (N,) int64 class of each picture, on the CPU; classes may be absent, N may be 0.
        generator: a CPU generator; the same state gives the same order.
        progress: share of the epochs that have passed, 0..1 (curriculum).
        losses: gives the current model's loss of every picture, (N,); called only if the order depends on it
            (curriculum, which without it orders by the rarity of the classes alone).
        curriculum_start: share of the pictures in (0, 1] that is open at progress 0.
        curriculum_end: progress in (0, 1] from which on all pictures are open.

    Returns:
        (N,) int64 indices into `labels`.

    Raises:
        ConfigError: the name is unknown or one of the chosen sampler's settings is out of its range.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> labels = torch.tensor([0, 0, 0, 0, 0, 1])
        >>> labels[epoch_order("balanced", labels, generator)].sum().item()
        3
    """
    if name not in SAMPLERS:
        raise unknown_name("sampler", name, SAMPLERS)
    return SAMPLERS[name](
        labels,
        generator,
        progress=progress,
        losses=losses,
        curriculum_start=curriculum_start,
        curriculum_end=curriculum_end,
    )
