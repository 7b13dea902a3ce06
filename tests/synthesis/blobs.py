"""Made-up faces for a GAN: 16 x 16 px, a bright blob above on the left (class 0), a dark one below on the right (1)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fer_core.synthesis.config import GanConfig
from fer_core.training.faces import FaceSet

SIZE = 16
CENTRES = ((5.0, 5.0), (10.0, 10.0))
TONES = (100.0, -100.0)
QUICK: dict[str, Any] = {
    "steps": 160,
    "every": 80,
    "batch_size": 16,
    "width": 4,
    "noise": 8,
    "lr_generator": 0.003,
    "lr_discriminator": 0.004,
    "ema": 0.95,
    "diffaugment": ["translation", "cutout"],
    "per_class": 40,
}


def config(**changes: Any) -> GanConfig:
    return GanConfig(**(QUICK | changes))


def blobs(counts: Sequence[int], seed: int = 0, *, channels: int = 1) -> FaceSet:
    """`counts` pictures of each class (of classes from 2 on: noise), places, sizes and tones a little different."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    grid = torch.arange(SIZE, dtype=torch.float32)
    pictures = []
    for label in labels.tolist():
        jitter, tone, size = torch.randn(2, generator=random), torch.randn(2, generator=random), 2.5
        (row, column), strength = CENTRES[label % 2], TONES[label % 2] + 10 * tone[0]
        square = (grid[:, None] - row - jitter[0]) ** 2 + (grid - column - jitter[1]) ** 2
        pictures.append(127 + strength * torch.exp(-square / (2 * size**2)) + 6 * tone[1])
    pixels = torch.stack(pictures)[..., None] if pictures else torch.zeros(0, SIZE, SIZE, 1)
    pixels = (pixels + 2 * torch.randn(pixels.shape, generator=random)).clamp(0, 255).to(torch.uint8)
    return as_set(pixels.expand(-1, -1, -1, channels).contiguous(), labels)


def as_set(pixels: Tensor, labels: Tensor) -> FaceSet:
    count = len(labels)
    return FaceSet(
        ids=[f"real-{row}" for row in range(count)],
        pixels=pixels,
        labels=labels,
        aus=torch.ones(count, 2),
        landmarks=torch.zeros(count, 5, 2),
        subjects=torch.arange(count),
        votes=torch.full((count, 6), 1 / 6),
        intensities=torch.ones(count, 2),
        au_names=("AU1", "AU4"),
    )


class Patches(nn.Module):
    """An encoder that needs no training: the means of 4 x 4 patches, seen from the mean grey."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images, 4).flatten(1) - 0.5
