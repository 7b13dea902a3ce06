"""Training-time augmentation of whole batches, each sample with parameters of its own.

A new augmentation is one file and one entry here. Mixing of samples is `fer_core.augment.mixing`.
"""

from collections.abc import Callable

import torch

from fer_core.augment import expression_preserving, face_aware, generic, trivial
from fer_core.augment.batch import Batch
from fer_core.errors import unknown_name

__all__ = ["AUGMENTS", "Batch", "augment"]


def _unchanged(batch: Batch, generator: torch.Generator) -> Batch:
    return batch


AUGMENTS: dict[str, Callable[[Batch, torch.Generator], Batch]] = {
    "none": _unchanged,
    "generic": generic.augment,
    "face_aware": face_aware.augment,
    "expression_preserving": expression_preserving.augment,
    "trivial": trivial.augment,
}


def augment(name: str, batch: Batch, generator: torch.Generator) -> Batch:
    """Return the augmented batch; the given one is not changed.

    Args:
        name: a key of `AUGMENTS`.
        batch: pictures with landmarks and AU labels, on any device.
        generator: the only source of randomness; the same state gives the same batch.

    Raises:
        ConfigError: the name is unknown.
    """
    if name not in AUGMENTS:
        raise unknown_name("augment", name, AUGMENTS)
    if len(batch.images) == 0:
        return batch
    return AUGMENTS[name](batch, generator)
