"""Made-up clips, of which only the order of the frames tells the class, and a recipe for them."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from fer_core.labels import LabelSet
from fer_core.models import build_encoder
from fer_core.recipe import Recipe
from fer_core.temporal import TEMPORAL, build_clip_model
from fer_core.temporal.clips import ClipSet

SIZE = 16
FRAMES = 5
LABELS = LabelSet(("rising", "falling"))
ORDERED = tuple(name for name in TEMPORAL if name != "mean")
_IDLE = {item.name: 0.0 for item in fields(Recipe)}  # keys that do nothing here, those of techniques to come included
_USED: dict[str, Any] = {
    "backbone": "resnet",
    "timm": "test_resnet",
    "model_args": {},
    "size": SIZE,
    "attention": "none",
    "head": "linear",
    "au_head": "linear",
    "au_loss": "bce",
    "loss": "ce",
    "focal_gamma": 2.0,
    "cb_beta": 0.99,
    "ldam_margin": 0.5,
    "logit_tau": 1.0,
    "drw": None,
    "sampler": "none",
    "curriculum_start": 0.3,
    "curriculum_end": 0.5,
    "augment": "none",
    "target": "hard",
    "temporal_start": "still",
    "temporal_encoder_lr": 0.1,
    "temporal_hidden": 16,
    "temporal_layers": 1,
    "temporal_dropout": 0.1,
    "optimizer": "adamw",
    "schedule": "cosine",
    "layer_decay": 1.0,
    "epochs": 6,
    "batch_size": 8 * FRAMES,
    "lr": 0.005,
    "weight_decay": 0.05,
    "warmup_epochs": 1,
    "precision": "fp32",
    "micro_batch": "auto",
    "compile": False,
    "grad_checkpointing": False,
    "seed": 0,
}
RECIPE = Recipe(**_IDLE | _USED)


def recipe(**changes: Any) -> Recipe:
    return replace(RECIPE, **changes)


def clips(count: int, seed: int = 0, *, channels: int = 1, shortest: int = FRAMES - 1) -> ClipSet:
    """`count` clips of `shortest` to FRAMES grey pictures that get brighter (class 0) or darker (class 1).

    Both classes have pictures of the same brightnesses.
    """
    rng = np.random.default_rng(seed)
    rows = np.full((count, FRAMES), -1, np.int64)
    labels = np.arange(count) % 2
    pixels = []
    for row, label in enumerate(labels):
        length = int(rng.integers(shortest, FRAMES + 1))
        levels = np.linspace(60, 190, length)[:: -1 if label else 1]
        rows[row, :length] = sum(len(item) for item in pixels) + np.arange(length)
        noise = rng.normal(0, 8, (length, SIZE, SIZE, channels))
        pixels.append(np.clip(levels[:, None, None, None] + noise, 0, 255).astype(np.uint8))
    return ClipSet(
        ids=[f"{seed}-{row}" for row in range(count)],
        pixels=torch.from_numpy(np.concatenate(pixels)),
        rows=torch.from_numpy(rows),
        labels=torch.from_numpy(labels.astype(np.int64)),
        subjects=torch.full((count,), -1),
    )


def sets(count: int = 48) -> dict[str, ClipSet]:
    return {"train": clips(count, 0), "validation": clips(24, 1)}


def model(name: str, *, channels: int = 1, classes: int = 3, layers: int = 2, seed: int = 0) -> nn.Module:
    """A small model in double precision with random batch-norm statistics, in evaluation mode."""
    torch.manual_seed(seed)
    encoder = build_encoder(timm_name="test_resnet", model_args={}, in_chans=channels, size=SIZE)
    built = build_clip_model(name, encoder, classes, hidden=16, layers=layers, dropout=0.2, channels=channels)
    for item in built.modules():
        if isinstance(item, nn.BatchNorm2d | nn.BatchNorm3d):
            assert item.running_mean is not None and item.running_var is not None
            item.running_mean.normal_(0, 0.1), item.running_var.uniform_(0.5, 2)
            nn.init.normal_(item.bias, 0, 0.5)
    return built.double().eval()


def batch(lengths: list[int], frames: int, *, channels: int = 1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random clips (B, frames, C, SIZE, SIZE) in double precision, zero where padded, and their mask.

    A clip's frames depend on the seed and its place only, not on `frames` or the other clips.
    """
    images = torch.zeros(len(lengths), frames, channels, SIZE, SIZE, dtype=torch.double)
    for row, length in enumerate(lengths):
        draw = torch.Generator().manual_seed(100 * seed + row)
        images[row, :length] = torch.rand(length, channels, SIZE, SIZE, generator=draw, dtype=torch.double)
    return images, torch.arange(frames) < torch.tensor(lengths)[:, None]
