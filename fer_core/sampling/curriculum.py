"""Easy pictures first: an epoch draws from the easiest share of the pictures, and the share grows to all of them.

    c(t) = min(1, √(t / T · (1 − c0²) + c0²))             open share at progress t in 0..1
    difficulty_i = (rarity_i + loss rank_i) / 2           both in 0..1

Bengio et al., "Curriculum Learning", ICML 2009; Hacohen and Weinshall, "On the Power of Curriculum Learning in
Training Deep Networks", ICML 2019 (a score orders the pictures, a pacing function opens them); the pacing is the
root competence of Platanios et al., "Competence-based Curriculum Learning for Neural Machine Translation", NAACL
2019. c0 is `curriculum_start`, T is `curriculum_end`.

Variant: the score is the model's own loss at the start of the epoch, as in self-paced learning (Kumar et al.,
"Self-Paced Learning for Latent Variable Models", NeurIPS 2010), not that of a teacher; and half of it is the
rarity of the picture's class, so that the emotions too come from the common to the rare. An epoch always has N
draws: the open pictures are shown again in fresh random orders, so that the number of steps stays the same.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from scipy.stats import rankdata
from torch import Tensor

from fer_core.errors import ConfigError
from fer_core.sampling.cycle import cycled


def open_share(progress: float, start: float, end: float) -> float:
    """Return the share of the pictures that is open, in (0, 1].

    Args:
        progress: share of the epochs that have passed, 0..1.
        start: c0 in (0, 1], the share that is open at progress 0.
        end: T in (0, 1], the progress from which on everything is open.

    Raises:
        ConfigError: one of them is out of its range; the key is named `curriculum_start` or `curriculum_end`.

    Example:
        >>> [round(open_share(t, start=0.3, end=0.5), 3) for t in (0.0, 0.25, 0.5, 1.0)]
        [0.3, 0.738, 1.0, 1.0]
    """
    for key, value in (("curriculum_start", start), ("curriculum_end", end)):
        if not 0 < value <= 1:
            raise ConfigError(f"Expected `{key}` to be above 0 and at most 1; got {value!r}.")
    if not 0 <= progress <= 1:
        raise ConfigError(f"Expected `progress` to be in 0..1; got {progress!r}.")
    if progress >= end:  # the root of a rounded sum may miss 1
        return 1.0
    return min(1.0, math.sqrt(progress / end * (1 - start**2) + start**2))


def classes_open(labels: Tensor, order: Tensor) -> list[int]:
    """Return the classes, ascending, that the epoch `order` (indices into `labels` (N,)) shows."""
    return labels[order].unique().tolist()


def difficulty(labels: Tensor, losses: Tensor | None) -> Tensor:
    """Return how hard each picture is, (N,) float64 in 0..1, 0 the easiest.

    Args:
        labels: (N,) int64 class of each picture, N >= 1.
        losses: (N,) the current model's loss of each picture; NaN counts as the hardest. None leaves the rarity
            alone.

    The rarity is the rank of the class by its size, 0 for the largest and 1 for the smallest; classes of the same
    size share a rank. The loss rank is a picture's place among all pictures; equal losses share their mean place.

    Raises:
        ConfigError: there is not one loss for each picture.
    """
    counts = torch.bincount(labels)
    sizes = counts[counts > 0].unique()  # ascending
    top = len(sizes) - 1
    rarity = (top - torch.searchsorted(sizes, counts[labels])).double() / max(top, 1)
    if losses is None:
        return rarity
    if losses.shape != labels.shape:
        raise ConfigError(f"Expected `losses` to give {tuple(labels.shape)} values; got {tuple(losses.shape)}.")
    values = losses.detach().cpu().double().nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)
    ranks = torch.from_numpy(rankdata(values.numpy()) - 1) / max(len(labels) - 1, 1)
    return (rarity + ranks) / 2


def order(
    labels: Tensor,
    generator: torch.Generator,
    *,
    progress: float,
    losses: Callable[[], Tensor] | None,
    curriculum_start: float,
    curriculum_end: float,
    **_: Any,
) -> Tensor:
    """Return N draws from the easiest pictures, (N,) int64; with everything open it is the order of `none`.

    The number of open pictures is c·N, rounded, at least one; equally hard ones at its border are picked at
    random. Every open picture is drawn, and how often differs by at most one. `losses` is called only where not
    all pictures are open.

    Raises:
        ConfigError: a setting is out of its range, or there is not one loss for each picture.
    """
    total = len(labels)
    count = max(1, round(open_share(progress, curriculum_start, curriculum_end) * total))
    if count >= total:
        return torch.randperm(total, generator=generator)
    hardness = difficulty(labels, None if losses is None else losses())
    shuffled = torch.randperm(total, generator=generator)  # a stable sort of it leaves equals in random order
    easiest = shuffled[hardness[shuffled].argsort(stable=True)[:count]]
    return easiest[cycled(count, total, generator)]
