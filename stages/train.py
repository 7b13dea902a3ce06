"""Train one run as its plan says.

Reads  the plan, the manifest with AU columns, the aligned faces, the card, pretrained weights, synthetic faces.
Writes data/train/<run>/: weights.safetensors, recipe.yaml, history.json, predictions.parquet (validation and
       test pictures, no labels), status.json; attention.safetensors (where it looks in a few validation faces) if its
       attention weighs places; pretraining.json (the history of its first weights) if it was pretrained here. A
       run that does not apply leaves status.json alone.

A run is known by its fingerprint (recipe, code, data, initial weights): an interrupted one goes on from its
last epoch, and one that was trained before is taken from the store.
"""

from pathlib import Path
from typing import Any

import typer

from fer_core.errors import ConfigError, DataError
from fer_core.files import read_json, read_yaml, write_json, write_yaml
from stages.lib.code import code_hash
from stages.lib.common import DATA, DEBUG, stage
from stages.lib.store import Slot, file_hash, fingerprint, replace_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    run: str = typer.Argument(help="Name of the run, e.g. baseline."),
    plan: Path = typer.Option(..., help="The run's plan, e.g. plans/baseline.yaml."),
    joined: Path = typer.Option(DATA / "join_aus", help="Folder with manifest.parquet and aus.json."),
    faces: Path = DATA / "align" / "faces.npy",
    card: Path = DATA / "ingest" / "card.json",
    pretrained: Path = DATA / "pretrain",
    synthetic: Path = DATA / "synthesise",
    out: Path = typer.Option(None, help="Output folder; default data/train/<run>."),
    debug: bool = DEBUG,
) -> None:
    """Train one run, or say why it does not apply."""
    out = out or DATA / "train" / run
    planned = read_yaml(plan)
    if not planned["applicable"]:
        replace_folder(out)
        write_json(out / "status.json", {"state": "not_applicable", "reason": planned["reason"]})
        print(f"{run}: not applicable, {planned['reason']}")
        return
    initial = _initial_weights(planned["recipe"], pretrained)
    used = {
        "recipe": planned["recipe"],
        "code": code_hash("stages.train"),
        "manifest": file_hash(joined / "manifest.parquet"),
        "aus": file_hash(joined / "aus.json"),
        "faces": file_hash(faces),
        "initial": file_hash(initial) if initial else None,
    }
    if planned["recipe"]["synthesis"] == "gan":
        if not (synthetic / "manifest.parquet").exists():
            raise DataError(f"{synthetic}/manifest.parquet does not exist; run the synthesise stage first.")
        used |= {f"synthetic {name}": file_hash(synthetic / name) for name in ("manifest.parquet", "faces.npy")}
    slot = Slot("train", fingerprint(used))
    with slot.locked():
        if slot.done.exists():
            print(f"{run}: trained before with this recipe, code and data; taken from {slot.done}")
        else:
            _train(run, slot, joined, faces, read_json(card), planned["recipe"], initial, synthetic)
        slot.copy_to(out)


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
    # with ssl in the baseline itself, `identity` alone is never made: see fer_core.roadmap.pretraining_plan
    path = pretrained / typed.backbone / f"{typed.initial_weights}.safetensors"
    if not path.exists():
        raise DataError(f"{path} does not exist; run the pretrain stage of {typed.backbone} first.")
    return path


def _train(
    run: str,
    slot: Slot,
    joined: Path,
    faces: Path,
    card: dict,
    recipe: dict[str, Any],
    initial: Path | None,
    synthetic: Path,
) -> None:
    import pandas as pd
    from safetensors.torch import save_file

    from fer_core.evaluation.look import look
    from fer_core.evaluation.metrics import au_scores, scores
    from fer_core.evaluation.validation import prediction_table
    from fer_core.files import write_parquet
    from fer_core.labels import from_card
    from fer_core.recipe import Recipe
    from fer_core.training.faces import load_faces, trained_on
    from fer_core.training.loop import converged, train
    from fer_core.training.predict import predict
    from fer_core.training.runs import save_run

    typed = Recipe.from_dict(recipe)
    manifest = pd.read_parquet(joined / "manifest.parquet")
    about_aus = read_json(joined / "aus.json")
    names, weak = about_aus["names"], about_aus.get("weak", False)
    sets = {
        split: load_faces(manifest, faces, [split], names, weak_aus=weak) for split in ("train", "validation", "test")
    }
    classes = len(card["classes"])
    files = (synthetic / "manifest.parquet", synthetic / "faces.npy")
    seen = sets | {"train": trained_on(sets["train"], typed.synthesis, *files, names)}
    trained = train(typed, seen, from_card(card), initial, slot.work, f"train {run}")
    model = trained.model.float()
    device = next(model.parameters()).device
    with slot.finishing() as folder:
        tables, figures = [], {}
        for split, face_set in sets.items():
            logs, aus = predict(model, face_set.to(device))
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
        write_yaml(folder / "recipe.yaml", recipe)
        write_json(folder / "history.json", trained.history)
        if before := _pretraining(initial):
            write_json(folder / "pretraining.json", before)
        validation = sets["validation"].to(device)
        if (maps := look(model, validation)) is not None:
            save_file(maps, folder / "attention.safetensors")
        status = {
            "state": "done",
            "reason": None,
            "fingerprint": slot.folder.name,
            "train_seconds": round(trained.seconds, 1),
            "pretrain_seconds": _pretrain_seconds(initial) + _synthesis_seconds(typed.synthesis, synthetic),
            "epochs": len(trained.history),
            "best_epoch": trained.best_epoch,
            "converged": converged(trained.history),
            "parameters": sum(item.numel() for item in model.parameters()),
            "au_f1": None,
            "weak_aus": typed.has_au_head and weak,
            **figures,
        }
        write_json(folder / "status.json", status)


def _pretraining(initial: Path | None) -> dict[str, Any]:
    """Return the histories of what the first weights went through: ssl, identity, or ssl and then ssl_identity."""
    if initial is None or not (initial.parent / "history.json").exists():
        return {}
    histories = read_json(initial.parent / "history.json")
    kinds = ("ssl", "ssl_identity") if initial.stem == "ssl_identity" else (initial.stem,)
    return {kind: histories[kind] for kind in kinds if kind in histories}


def _pretrain_seconds(initial: Path | None) -> float:
    if initial is None or not (initial.parent / "status.json").exists():
        return 0.0
    seconds: dict[str, float] = read_json(initial.parent / "status.json").get("seconds", {})
    return seconds.get(initial.stem, 0.0)


def _synthesis_seconds(synthesis: str, synthetic: Path) -> float:
    return float(read_json(synthetic / "status.json")["seconds"]) if synthesis == "gan" else 0.0


if __name__ == "__main__":
    app()
