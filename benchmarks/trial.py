"""One variant measured once: first weights or synthetic faces where it asks for them, then its training.

Everything is planned from params.yaml beforehand, so that a worker on another machine gets plain settings.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fer_core.config import CHOICE_KEYS, IdentityConfig, Params, build
from fer_core.errors import unknown_name
from fer_core.evaluation.metrics import scores
from fer_core.files import read_json
from fer_core.labels import from_card
from fer_core.models.cpu import prepare_cpu
from fer_core.pretraining.weights import save_backbone
from fer_core.recipe import Recipe, merged, resolve
from fer_core.shared_work import pretraining_plan, synthesis_plan
from fer_core.synthesis.config import GanConfig
from fer_core.synthesis.minority import minority_faces
from fer_core.training.device import pick_device
from fer_core.training.faces import joined, load_faces
from fer_core.training.loop import train
from fer_core.training.predict import predict
from fer_core.training.pretrain import new_encoder, pretrain_identity, pretrain_self_supervised

PRECISION = "fp32"  # `auto` would follow the device
SETTINGS = ("identity", "gan")  # that a variant may change beside the recipe


@dataclass(frozen=True)
class Trial:
    """What a worker does: the recipe, and how first weights and synthetic faces are made, as the road's plans say."""

    recipe: Recipe
    pretraining: dict[str, Any]
    synthesis: dict[str, Any]


def plan_trial(params: Params, change: Mapping[str, Any], seed: int, profile: str = "demo") -> Trial:
    """Plan one variant: `change` on the baseline of `params`, all at `seed`.

    Raises:
        ConfigError: a key is unknown, or the recipe does not resolve.
    """
    for key in change:
        if key not in CHOICE_KEYS and key not in SETTINGS:
            raise unknown_name("key of a variant", key, [*SETTINGS, *CHOICE_KEYS])
    settings = params.profiles[profile]
    own = {key: value for key, value in change.items() if key not in SETTINGS}
    choices = merged(asdict(params.choices), {"precision": PRECISION} | own)
    recipe = resolve(choices, settings, seed)
    identity = build(IdentityConfig, merged(asdict(params.identity), change.get("identity", {})), "identity")
    gan = build(GanConfig, merged(asdict(params.gan), change.get("gan", {})), "gan")
    # a road with this recipe for a baseline and nothing else: its plans are what this very recipe asks for
    road = {"settings": asdict(settings), "baseline": choices, "techniques": {}, "members": {}, "seed": seed}
    return Trial(recipe, pretraining_plan(recipe.backbone, road, asdict(identity)), synthesis_plan(road, asdict(gan)))


def measure(data: Path, trial: Trial, title: str) -> dict[str, Any]:
    """Train as planned; return the figures of the best epoch on validation, and the device that gave them."""
    prepare_cpu()
    recipe = trial.recipe
    joins, faces = data / "join_aus", data / "align" / "faces.npy"
    manifest, aus = pd.read_parquet(joins / "manifest.parquet"), read_json(joins / "aus.json")
    card = read_json(data / "ingest" / "card.json")
    classes = len(card["classes"])
    weak = aus.get("weak", False)
    sets = {
        split: load_faces(manifest, faces, [split], aus["names"], weak_aus=weak) for split in ("train", "validation")
    }
    before = 0.0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        initial, seconds = first_weights(trial.pretraining, manifest, faces, work, title)
        before += seconds
        if trial.synthesis["wanted"]:
            settings = build(GanConfig, trial.synthesis["gan"], "gan")
            made = minority_faces(
                sets["train"], classes, settings, seed=recipe.seed, work=work / "gan", title=f"gan for {title}"
            )
            sets["train"] = joined(sets["train"], made.faces)
            before += sum(row["seconds"] for row in made.synthesiser.history)
        trained = train(recipe, sets, from_card(card), initial, work / "train", title)
    model = trained.model.float()
    logs, found_aus = predict(model, sets["validation"].to(next(model.parameters()).device))
    found = scores(sets["validation"].labels.numpy(), logs.argmax(1).numpy(), classes)
    row: dict[str, Any] = {
        "seed": recipe.seed,
        "accuracy": found.accuracy,
        "uar": found.uar,
        "macro_f1": found.macro_f1,
        "train_accuracy": trained.history[-1]["train_accuracy"],
        "best_epoch": trained.best_epoch,
        "seconds": round(trained.seconds),
    }
    if found_aus is not None:
        row["au_f1"] = trained.history[trained.best_epoch - 1]["validation_au_f1"]
    if before:
        row["before_seconds"] = round(before)
    return row | {"device": device_name()}


def first_weights(
    plan: Mapping[str, Any], manifest: pd.DataFrame, faces: Path, work: Path, title: str
) -> tuple[Path | None, float]:
    """Pretrain as stages/pretrain.py does, without its probes; return the last weights' file, if any, and seconds."""
    path, seconds = None, 0.0
    for kind in plan["kinds"]:
        usable = manifest["split"].eq("pool") & manifest["crop_index"].notna()
        if kind != "ssl":
            usable &= manifest["subject"].notna()
        pictures = load_faces(manifest, faces, ["pool" if usable.any() else "train"])
        encoder = new_encoder(plan["model"], pictures.pixels.shape[3], plan["seed"], path)
        pretrain = pretrain_self_supervised if kind == "ssl" else pretrain_identity
        history = pretrain(
            encoder,
            pictures,
            plan["ssl" if kind == "ssl" else "identity"],
            precision=plan["model"]["precision"],
            seed=plan["seed"],
            work=work / kind,
            title=f"{kind} for {title}",
        )
        path = work / f"{kind}.safetensors"
        save_backbone(encoder.backbone, path)
        seconds += sum(row["seconds"] for row in history)
    return path, seconds


def device_name() -> str:
    """Return the GPU's name, or "cpu"."""
    return torch.cuda.get_device_name() if pick_device().type == "cuda" else "cpu"
