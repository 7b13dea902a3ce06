"""Made-up faces that a tiny network tells apart in a second, and recipes for it."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fer_core.config import SslConfig
from fer_core.recipe import Recipe
from fer_core.training.faces import FaceSet

CLASSES = 4
SIZE = 32
NO_SSL = SslConfig("none", epochs=0, lr=0.0, batch_size=0, momentum=0.0, projection=0, hidden=0)
RECIPE = Recipe(
    backbone="resnet",
    timm="test_resnet",
    model_args={},
    size=SIZE,
    init="scratch",
    weights=None,
    attention="none",
    au_weight=0.0,
    loss="ce",
    focal_gamma=0.0,
    cb_beta=0.0,
    label_smoothing=0.0,
    sampler="none",
    augment="none",
    mix="none",
    mix_alpha=0.0,
    epochs=3,
    batch_size=16,
    lr=0.01,
    weight_decay=0.05,
    warmup_epochs=1,
    precision="fp32",
    ssl=NO_SSL,
    seed=0,
)


def recipe(**changes: Any) -> Recipe:
    return replace(RECIPE, **changes)


def faces(
    count: int, seed: int = 0, *, channels: int = 1, annotated: float = 0.5, people: int = 0, noise: float = 20.0
) -> FaceSet:
    """`count` pictures of stripes whose direction and place tell the class; AU1 is on in classes 0 and 1.

    A share `annotated` has AUs. With `people`, every one is a pattern of their own instead.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    patterns = np.random.default_rng(99).integers(0, 256, (max(people, CLASSES), 4, 4, channels))
    kinds = np.arange(count) % people if people else labels
    blocks = patterns[kinds].repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)
    pixels = np.clip(blocks + rng.normal(0, noise, blocks.shape), 0, 255).astype(np.uint8)
    aus = np.stack([labels < 2, labels == 3], axis=1).astype(np.float32)
    aus[rng.random(count) >= annotated] = np.nan
    return FaceSet(
        ids=[f"{seed}-{row}" for row in range(count)],
        pixels=torch.from_numpy(pixels),
        labels=torch.from_numpy(labels.astype(np.int64)),
        aus=torch.from_numpy(aus),
        landmarks=torch.full((count, 5, 2), torch.nan),
        subjects=torch.from_numpy(kinds.astype(np.int64)) if people else torch.full((count,), -1),
        au_names=("AU1", "AU4"),
    )


def sets(count: int = 32, **settings: Any) -> dict[str, FaceSet]:
    return {"train": faces(count, 0, **settings), "validation": faces(24, 1, **settings)}
