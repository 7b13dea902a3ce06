"""The same small run of each loop, for processes that are killed and for those that are not."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import training_sets
from safetensors.torch import save
from torch import nn

from fer_core.choices import SSL_KEYS
from fer_core.recipe import Recipe
from fer_core.training.loop import train
from fer_core.training.predict import predict
from fer_core.training.pretrain import new_encoder, pretrain_identity, pretrain_self_supervised

MODEL = {"timm": "test_resnet", "model_args": {}, "size": training_sets.SIZE}
VIT = {"timm": "test_vit", "model_args": {"patch_size": 8}, "size": training_sets.SIZE}
EPOCHS = 6
SSL = {
    "method": "byol",
    "epochs": EPOCHS,
    "lr": 0.005,
    "batch_size": 32,
    "momentum": 0.9,
    "projection": 16,
    "hidden": 32,
    "temperature": 0.2,
    "queue": 48,  # not a multiple of the batch: it is half way round when a run is killed
    "mask_ratio": 0.75,
    "decoder_dim": 32,
    "decoder_depth": 1,
}
IDENTITY = {"epochs": EPOCHS, "lr": 0.005, "batch_size": 32, "loss": "arcface", "scale": 16.0, "margin": 0.2}
TRAIN = training_sets.recipe(
    epochs=EPOCHS, attention="cbam", au_weight=0.5, augment="generic", mix="mixup", mix_alpha=0.2, sampler="weighted"
)


EVERYTHING = training_sets.recipe(
    epochs=EPOCHS,
    loss="ldam",
    head="cosine",
    drw=0.5,
    sampler="curriculum",
    few_shot_below=25,
    meta="meta_weight",
    target="votes",
    au_weight="uncertainty",
    au_intensity=0.5,
    sam=0.02,
    ema=0.9,
    clip_grad=5.0,
    augment="generic",
    mix="mixup",
    mix_alpha=0.1,
)
PROTOTYPES = training_sets.recipe(
    epochs=EPOCHS, head="prototype", few_shot_below=25, ema=0.9, sampler="balanced", lr=0.001
)


def _bytes(model: nn.Module) -> bytes:
    return save({name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()})


def run_train(work: Path, recipe: Recipe = TRAIN, noise: float = 20.0) -> bytes:
    """Predictions and weights, as bytes."""
    data = training_sets.sets(96, noise=noise)
    trained = train(recipe, data, training_sets.LABELS, None, work, "train")
    logs, aus = predict(trained.model, data["validation"])
    return np.asarray(logs).tobytes() + (b"" if aus is None else np.asarray(aus).tobytes()) + _bytes(trained.model)


def run_ssl(work: Path, method: str = "byol") -> bytes:
    encoder = new_encoder(VIT if method == "mae" else MODEL, 1, 0)
    pretrain_self_supervised(
        encoder, training_sets.faces(128), SSL | {"method": method}, precision="fp32", seed=0, work=work, title=method
    )
    return _bytes(encoder)


def run_identity(work: Path) -> bytes:
    encoder = new_encoder(MODEL, 1, 0)
    pictures = training_sets.faces(160, people=12)
    pretrain_identity(encoder, pictures, IDENTITY, precision="fp32", seed=0, work=work, title="identity")
    return _bytes(encoder)


RUNS: dict[str, Callable[[Path], bytes]] = {
    "train": run_train,
    "everything": partial(run_train, recipe=EVERYTHING),
    "prototypes": partial(run_train, recipe=PROTOTYPES, noise=120.0),
    **{method: partial(run_ssl, method=method) for method in SSL_KEYS},
    "identity": run_identity,
}
