"""Synthetic faces of the classes that have too few, and all that may be said of them: their class.

A class-conditional GAN is told the class and nothing else. Which Action Units a synthetic face shows, where its eyes
are, whose face it is and how people would vote on it nobody has annotated: all of these are NaN or −1 here, never 0, so
that masked losses leave them out. The class itself is what was *asked for*, not what a person saw.
"""

import torch
from torch import Tensor

from fer_core.errors import ConfigError
from fer_core.synthesis.train import Synthesiser
from fer_core.training.device import derived_seed
from fer_core.training.faces import FaceSet

_BATCH = 64


def missing_faces(counts: Tensor, per_class: int) -> Tensor:
    """Return how many faces each class lacks, (K,) int64, of its train pictures (K,).

    A class with `per_class` pictures or more gets none. A class without any gets none either: there is nothing to
    learn its look from.

    Example:
        >>> missing_faces(torch.tensor([582, 6, 0, 100]), 100).tolist()
        [0, 94, 0, 0]
    """
    lacking = (per_class - counts).clamp(min=0)
    return torch.where(counts > 0, lacking, torch.zeros_like(lacking))


def synthesise(synthesiser: Synthesiser, counts: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Make `counts` (K,) faces of each class.

    The same seed gives the same faces; a class's first faces do not depend on how many are asked for, of it or others
    (up to rounding: the last batch may be computed in another order).

    Returns:
        pixels uint8 (N, H, W, C), and class indices int64 (N,), class by class.

    Raises:
        ConfigError: `counts` has not K entries, one is negative, or asks for a class that had no train picture.
    """
    generator = synthesiser.generator
    if counts.shape != (generator.classes,) or int(counts.min()) < 0:
        raise ConfigError(f"Expected `counts` to be {generator.classes} numbers from 0 on; got {counts.tolist()}.")
    blind = ((counts > 0) & ~synthesiser.trained).nonzero().flatten().tolist()
    if blind:
        raise ConfigError(f"Expected `counts` to be 0 for classes without train pictures; got faces of {blind}.")
    device = next(generator.parameters()).device
    labels = torch.arange(generator.classes).repeat_interleave(counts)
    noise = torch.cat([_noise(generator.noise, int(n), derived_seed(seed, 3, k)) for k, n in enumerate(counts)])
    pixels = torch.empty(len(labels), generator.size, generator.size, generator.channels, dtype=torch.uint8)
    was_training = generator.training
    generator.eval()
    with torch.inference_mode():
        for rows in torch.arange(len(labels)).split(_BATCH):
            images = generator(noise[rows].to(device), labels[rows].to(device))
            pixels[rows] = to_pixels(images).cpu()
    generator.train(was_training)
    return pixels, labels


def to_pixels(images: Tensor) -> Tensor:
    """Return uint8 (B, H, W, C) of pictures (B, C, H, W) in −1..1, rounded to the nearest.

    Example:
        >>> to_pixels(torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 1, 1, 3)).flatten().tolist()
        [0, 128, 255]
    """
    return images.permute(0, 2, 3, 1).float().add(1).mul(127.5).add(0.5).floor().clamp(0, 255).to(torch.uint8)


def as_faces(pixels: Tensor, labels: Tensor, like: FaceSet) -> FaceSet:
    """Return the synthetic faces as a set with the columns of `like`, everything but the class unknown.

    Their ids are `synthetic-<class>-<number>`.
    """
    count = len(labels)
    seen: dict[int, int] = {}
    ids = []
    for label in labels.tolist():
        seen[label] = seen.get(label, -1) + 1
        ids.append(f"synthetic-{label}-{seen[label]}")
    return FaceSet(
        ids=ids,
        pixels=pixels,
        labels=labels,
        aus=torch.full((count, like.aus.shape[1]), torch.nan),
        landmarks=torch.full((count, 5, 2), torch.nan),
        subjects=torch.full((count,), -1),
        votes=torch.full((count, like.votes.shape[1]), torch.nan),
        intensities=torch.full((count, like.intensities.shape[1]), torch.nan),
        au_names=like.au_names,
        weak_aus=like.weak_aus,
        synthetic=count,
    )


def _noise(length: int, count: int, seed: int) -> Tensor:
    """Draw (count, length) standard normal numbers, face after face: the first ones are the same whatever `count`."""
    random = torch.Generator().manual_seed(seed)
    return torch.cat([torch.empty(0, length), *(torch.randn(1, length, generator=random) for _ in range(count))])
