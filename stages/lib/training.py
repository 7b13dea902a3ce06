"""Train a plan's recipe with its seeds, each seed once: what `stages.train` and `stages.leave_one_out` share."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import ConfigError, DataError
from fer_core.files import read_json, write_json, write_parquet, write_yaml
from stages.lib.code import code_hash
from stages.lib.common import DATA
from stages.lib.processes import by_first, first
from stages.lib.store import Slot, file_hash, fingerprint, replace_folder

if TYPE_CHECKING:
    from fer_core.models import FerModel
    from fer_core.training.epochs import Trained
    from fer_core.training.faces import FaceSet


@dataclass(frozen=True)
class Inputs:
    """Where a training run finds what it reads; see `stages.train`."""

    joined: Path = DATA / "join_aus"
    faces: Path = DATA / "align" / "faces.npy"
    alignment: Path = DATA / "align" / "alignment.json"
    card: Path = DATA / "ingest" / "card.json"
    pretrained: Path = DATA / "pretrain"
    synthetic: Path = DATA / "synthesise"


def train_plan(run: str, plan: Mapping[str, Any], out: Path, inputs: Inputs) -> None:
    """Train the plan's recipe once for each of its seeds: the first into `out`, the others into seed-1/, seed-2/ ...

    What was trained before, with the same recipe, seed, code, data and first weights, is taken from the store. A plan
    that is not applicable leaves status.json with the reason. Pretraining and synthetic faces are those of the road's
    seed, whatever the run's: seeds differ in the first weights of what is not pretrained, the order of the faces,
    augmentation and dropout.

    Raises:
        ConfigError: `weights` names a file that does not exist.
        DataError: pretrained weights, synthetic faces or data are missing.
    """
    if not plan["applicable"]:
        replace_folder(out)
        write_json(out / "status.json", {"state": "not_applicable", "reason": plan["reason"]})
        print(f"{run}: not applicable, {plan['reason']}")
        return
    for index in range(plan.get("seeds", 1)):
        recipe = plan["recipe"] | {"seed": plan["recipe"]["seed"] + index}
        title = run if plan.get("seeds", 1) == 1 else f"{run}, seed {recipe['seed']}"
        slot = _trained(title, recipe, inputs)
        target = out if index == 0 else out / f"seed-{index}"
        if not first():
            continue
        slot.copy_to(target)
        # what its answers mean and how its faces were cut go with the model: a face to predict must be cut alike
        card, names = read_json(inputs.card), read_json(inputs.joined / "aus.json")["names"]
        write_json(target / "labels.json", {key: card[key] for key in ("classes", "vote_names")} | {"au_names": names})
        write_json(target / "alignment.json", read_json(inputs.alignment))


def one_process_only(plan: Mapping[str, Any]) -> str | None:
    """Return why a run cannot be shared by several processes, or None where it can."""
    from fer_core.recipe import Recipe

    key = Recipe.from_dict(plan["recipe"]).needs_whole_batch if plan["applicable"] else None
    return None if key is None else f"as `{key}` compares all pictures of a batch with each other"


def _trained(run: str, recipe: dict[str, Any], inputs: Inputs) -> Slot:
    initial = _initial_weights(recipe, inputs.pretrained)
    used = {
        "recipe": recipe,
        "code": code_hash("stages.train"),
        "manifest": file_hash(inputs.joined / "manifest.parquet"),
        "aus": file_hash(inputs.joined / "aus.json"),
        "faces": file_hash(inputs.faces),
        "initial": file_hash(initial) if initial else None,
    }
    synthetic = inputs.synthetic
    if recipe["synthesis"] == "gan":
        if not (synthetic / "manifest.parquet").exists():
            raise DataError(f"{synthetic}/manifest.parquet does not exist; run the synthesise stage first.")
        used |= {f"synthetic {name}": file_hash(synthetic / name) for name in ("manifest.parquet", "faces.npy")}
    slot = Slot("train", fingerprint(used))
    with slot.locked() if first() else nullcontext():
        if by_first(slot.done.exists):
            print(f"{run}: trained before with this recipe, code and data; taken from {slot.done}")
        else:
            _train(run, slot, inputs, read_json(inputs.card), recipe, initial)
    return slot


def _initial_weights(recipe: dict[str, Any], pretrained: Path) -> Path | None:
    from fer_core.recipe import Recipe

    typed = Recipe.from_dict(recipe)
    if typed.weights is not None:  # init: face, or imagenet from a file
        from fer_core.pretraining.hub import fetch, is_hub_id

        if is_hub_id(str(typed.weights)):
            return fetch(str(typed.weights))
        path = Path(str(typed.weights))
        if not path.exists():
            raise ConfigError(f"`weights` in params.yaml names {path}, which does not exist.")
        return path
    if typed.initial_weights is None:
        return None
    # with ssl in the baseline itself, `identity` alone is never made: see fer_core.shared_work.pretraining_plan
    path = pretrained / typed.backbone / f"{typed.initial_weights}.safetensors"
    if not path.exists():
        raise DataError(f"{path} does not exist; run the pretrain stage of {typed.backbone} first.")
    return path


def _train(
    run: str, slot: Slot, inputs: Inputs, card: dict[str, Any], recipe: dict[str, Any], initial: Path | None
) -> None:
    import pandas as pd

    from fer_core.labels import from_card
    from fer_core.recipe import Recipe
    from fer_core.training.distributed import world
    from fer_core.training.faces import load_faces, trained_on
    from fer_core.training.loop import train

    typed = Recipe.from_dict(recipe)
    manifest = pd.read_parquet(inputs.joined / "manifest.parquet")
    about_aus = read_json(inputs.joined / "aus.json")
    names, weak = about_aus["names"], about_aus.get("weak", False)
    sets = {
        split: load_faces(manifest, inputs.faces, [split], names, weak_aus=weak)
        for split in ("train", "validation", "test")
    }
    files = (inputs.synthetic / "manifest.parquet", inputs.synthetic / "faces.npy")
    seen = sets | {"train": trained_on(sets["train"], typed.synthesis, *files, names)}
    trained = train(typed, seen, from_card(card), initial, slot.work, f"train {run}")

    def finish() -> None:
        with slot.finishing() as folder:
            figures = _write_predictions(folder, trained.model.float(), sets, len(card["classes"]))
            write_yaml(folder / "recipe.yaml", recipe)
            write_json(folder / "history.json", trained.history)
            if pretraining := _pretraining(initial):
                write_json(folder / "pretraining.json", pretraining)
            before = _seconds_before(initial, typed.synthesis, inputs.synthetic)
            facts = {"fingerprint": slot.folder.name, "processes": world(), "weak_aus": typed.has_au_head and weak}
            write_json(folder / "status.json", _status(trained, before, typed.seed) | facts | figures)

    by_first(finish)


def _write_predictions(
    folder: Path, model: "FerModel", sets: Mapping[str, "FaceSet"], classes: int
) -> dict[str, float | int]:
    """Write the model, its predictions and where it looks; return the figures of the status."""
    import pandas as pd
    from safetensors.torch import save_file

    from fer_core.evaluation.look import look
    from fer_core.evaluation.metrics import au_scores, scores
    from fer_core.evaluation.validation import prediction_table
    from fer_core.training.predict import predict
    from fer_core.training.runs import save_run

    device = next(model.parameters()).device
    figures: dict[str, float | int] = {"parameters": sum(item.numel() for item in model.parameters())}
    tables = []
    for split, face_set in sets.items():
        start = time.perf_counter()
        logs, aus = predict(model, face_set.to(device))
        seconds = time.perf_counter() - start  # of the last split: the first pass sets up memory and kernels
        figures["milliseconds_per_face"] = round(1000 * seconds / max(len(face_set), 1), 4)
        if split == "train":
            figures["train_accuracy"] = scores(face_set.labels.numpy(), logs.argmax(1).numpy(), classes).accuracy
            continue
        table = prediction_table({split: (face_set.ids, logs.numpy())})
        if aus is not None:
            table["au_probabilities"] = list(aus.numpy())
            if split == "validation":
                figures["au_f1"] = au_scores(face_set.aus.numpy(), aus.numpy()).mean_f1
        tables.append(table)
    write_parquet(folder / "predictions.parquet", pd.concat(tables, ignore_index=True))
    save_run(model, folder / "weights.safetensors")
    if (maps := look(model, sets["validation"].to(device))) is not None:
        save_file(maps, folder / "attention.safetensors")
    return figures


def _status(trained: "Trained", before: dict[str, float], seed: int) -> dict[str, Any]:
    from fer_core.training.epochs import converged

    return {
        "state": "done",
        "reason": None,
        "seed": seed,
        "train_seconds": round(trained.seconds, 1),
        "pretrain_seconds": round(sum(before.values()), 1),
        "before": before,
        "epochs": len(trained.history),
        "converged": converged(trained.history),
        "best_epoch": trained.best_epoch,
        "au_f1": None,
    }


def _pretraining(initial: Path | None) -> dict[str, Any]:
    """Return the histories of what the first weights went through: ssl, identity, or ssl and then ssl_identity."""
    if initial is None or not (initial.parent / "history.json").exists():
        return {}
    histories = read_json(initial.parent / "history.json")
    kinds = ("ssl", "ssl_identity") if initial.stem == "ssl_identity" else (initial.stem,)
    return {kind: histories[kind] for kind in kinds if kind in histories}


def _seconds_before(initial: Path | None, synthesis: str, synthetic: Path) -> dict[str, float]:
    """Return the seconds of everything that was made before this run, by what it was: shared work counts once."""
    found: dict[str, float] = {}
    if initial is not None and (initial.parent / "status.json").exists():
        seconds: dict[str, float] = read_json(initial.parent / "status.json").get("seconds", {})
        total = seconds.get(initial.stem, 0.0)
        first = seconds.get("ssl", 0.0) if initial.stem == "ssl_identity" else 0.0
        place = initial.parent.name
        found = {f"{place}/{initial.stem}": round(total - first, 1)}
        if first:
            found[f"{place}/ssl"] = first
    if synthesis == "gan":
        found["gan"] = float(read_json(synthetic / "status.json")["seconds"])
    return found
