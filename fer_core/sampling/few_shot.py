"""Episodes for classes with few pictures (Snell et al., "Prototypical Networks for Few-shot Learning", NeurIPS 2017).

An episode is a small task: some classes, a few pictures of each as its support, others as queries that are to be
told apart by the support alone (`fer_core.losses.prototypical`). The paper draws all classes alike; here half of
an episode's classes (rounded up) are rare ones and the rest common, so that the rare emotions are learnt against
those they are mistaken for. A class that has fewer pictures than shots + queries gives what it has.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fer_core.errors import ConfigError


class Episode(NamedTuple):
    """Indices of the support (S,) and query (Q,) pictures, and the class of each, (S,) and (Q,); all int64."""

    support: Tensor
    query: Tensor
    support_class: Tensor
    query_class: Tensor


def few_shot_classes(labels: Tensor, below: int) -> list[int]:
    """Return the classes with at least 2 and fewer than `below` pictures in `labels` (N,), ascending.

    A single picture cannot be split into support and query.

    Example:
        >>> few_shot_classes(torch.tensor([0, 0, 0, 0, 1, 1, 2]), below=4)
        [1]
    """
    counts = torch.bincount(labels)
    return ((counts >= 2) & (counts < below)).nonzero().flatten().tolist()


def _shuffled(classes: Sequence[int], generator: torch.Generator) -> list[int]:
    return [classes[i] for i in torch.randperm(len(classes), generator=generator).tolist()]


def _pick_classes(labels: Tensor, rare: Sequence[int], ways: int, generator: torch.Generator) -> list[int]:
    usable = (torch.bincount(labels) >= 2).nonzero().flatten().tolist()
    some = _shuffled([label for label in usable if label in rare], generator)
    others = _shuffled([label for label in usable if label not in rare], generator)
    if len(usable) < 2 or not some:
        raise ConfigError(
            "Expected at least two classes with two or more train pictures, one of them rare, for few-shot episodes; "
            f"got {len(usable)} classes, {len(some)} of them rare."
        )
    half = -(-ways // 2)
    # where common classes are lacking, more rare ones fill the episode
    return [*some[:half], *others, *some[half:]][:ways]


def episode(
    labels: Tensor,
    rare: Sequence[int],
    *,
    ways: int,
    shots: int,
    queries: int,
    generator: torch.Generator,
) -> Episode:
    """Draw one episode at random.

    Args:
        labels: (N,) int64 class of each train picture, on the CPU.
        rare: classes to favour, as from `few_shot_classes`; those with fewer than two pictures are left out.
        ways: classes of the episode, at least 2; fewer where the data have fewer with two pictures.
        shots: support pictures of a class, at least 1; a class of n pictures gives min(shots, n - 1).
        queries: query pictures of a class, at least 1; a class gives what is left up to this number, at least one.
        generator: a CPU generator; the same state gives the same episode.

    Returns:
        Indices into `labels` and their classes; support and query have no picture in common, and every class of
        the one is in the other.

    Raises:
        ConfigError: fewer than two classes have two pictures, none of them is rare, or a number is too small.
    """
    for key, value, least in (("ways", ways, 2), ("shots", shots, 1), ("queries", queries, 1)):
        if value < least:
            raise ConfigError(f"Expected `{key}` to be at least {least}; got {value!r}.")
    support, query = [], []
    for label in _pick_classes(labels, rare, ways, generator):
        own = labels.eq(label).nonzero().flatten()
        own = own[torch.randperm(len(own), generator=generator)]
        split = min(shots, len(own) - 1)
        support.append(own[:split])
        query.append(own[split : split + queries])
    s, q = torch.cat(support), torch.cat(query)
    return Episode(s, q, labels[s], labels[q])
