"""Made-up faces that a tiny network tells apart in a second, and recipes for it."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fer_core.choices import SslConfig
from fer_core.labels import LabelSet
from fer_core.recipe import Recipe
from fer_core.targets import pair_matrix
from fer_core.training.faces import FaceSet

CLASSES = 4
SIZE = 32
NO_SSL = SslConfig(
    "none",
    epochs=0,
    lr=0.0,
    batch_size=0,
    momentum=0.0,
    projection=0,
    hidden=0,
    temperature=0.0,
    queue=0,
    mask_ratio=0.0,
    decoder_dim=0,
    decoder_depth=0,
)
# classes and votes: every class is a pair of basic emotions
LABELS = LabelSet(
    ("happily surprised", "happily disgusted", "sadly fearful", "sadly angry"),
    ("surprise", "fear", "disgust", "happiness", "sadness", "anger"),
)
PAIRS = pair_matrix(LABELS.classes, LABELS.votes).nonzero()[:, 1].reshape(-1, 2).numpy()
RECIPE = Recipe(
    backbone="resnet",
    timm="test_resnet",
    model_args={},
    size=SIZE,
    init="scratch",
    weights=None,
    attention="none",
    attention_weight=0.0,
    head="linear",
    head_scale=16.0,
    target="hard",
    au_weight=0.0,
    au_loss="bce",
    au_head="linear",
    au_intensity=0.0,
    asl_gamma_pos=1.0,
    asl_gamma_neg=4.0,
    asl_clip=0.05,
    loss="ce",
    focal_gamma=2.0,
    cb_beta=0.99,
    ldam_margin=0.5,
    logit_tau=1.0,
    label_smoothing=0.0,
    drw=None,
    sampler="none",
    curriculum_start=0.3,
    curriculum_end=0.5,
    few_shot_below=0,
    few_shot_weight=0.5,
    meta="none",
    meta_per_class=4,
    meta_lr=0.001,
    meta_step=0.1,
    meta_scope="head",
    maml_lr=0.01,
    maml_steps=1,
    maml_weight=0.5,
    episode_ways=3,
    episode_shots=3,
    episode_queries=3,
    augment="none",
    mix="none",
    mix_alpha=0.0,
    synthesis="none",
    optimizer="adamw",
    schedule="cosine",
    sam=0.0,
    ema=0.0,
    clip_grad=0.0,
    layer_decay=1.0,
    drop_path=0.0,
    epochs=3,
    batch_size=16,
    lr=0.01,
    weight_decay=0.05,
    warmup_epochs=1,
    precision="fp32",
    micro_batch="auto",
    compile=False,
    grad_checkpointing=False,
    temporal="none",
    temporal_start="still",
    temporal_hidden=0,
    temporal_layers=0,
    temporal_dropout=0.0,
    temporal_encoder_lr=0.0,
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
    votes = np.random.default_rng(seed).dirichlet(np.full(6, 0.1), count)
    votes[np.arange(count)[:, None], PAIRS[labels]] += 2.0  # its class's emotions are the two most voted
    return FaceSet(
        ids=[f"{seed}-{row}" for row in range(count)],
        pixels=torch.from_numpy(pixels),
        labels=torch.from_numpy(labels.astype(np.int64)),
        aus=torch.from_numpy(aus),
        landmarks=torch.full((count, 5, 2), torch.nan),
        subjects=torch.from_numpy(kinds.astype(np.int64)) if people else torch.full((count,), -1),
        votes=torch.from_numpy((votes / votes.sum(1, keepdims=True)).astype(np.float32)),
        intensities=torch.from_numpy((3 * aus).astype(np.float32)),
        au_names=("AU1", "AU4"),
    )


def sets(count: int = 32, **settings: Any) -> dict[str, FaceSet]:
    return {"train": faces(count, 0, **settings), "validation": faces(24, 1, **settings)}


def uneven(annotated: float = 1.0, **settings: Any) -> FaceSet:
    """32 faces of classes with 16, 8, 6 and 2: with equal classes most losses and samplers are the same."""
    data = faces(64, annotated=annotated, **settings)
    rows = torch.cat([(data.labels == k).nonzero().flatten()[:count] for k, count in enumerate((16, 8, 6, 2))])
    tensors = ("pixels", "labels", "aus", "landmarks", "subjects", "votes", "intensities")
    return replace(
        data, ids=[data.ids[row] for row in rows.tolist()], **{key: getattr(data, key)[rows] for key in tensors}
    )
