"""Train one model of the clip track as its plan says.

Reads  the plan, the manifest and faces of the clips' frames, the card, the baseline that was trained on stills.
Writes data/clips/<run>/: weights.safetensors, recipe.yaml, history.json, predictions.parquet (one row per validation
       and test clip, no labels; `sample_id` is the clip), status.json. A run that does not apply leaves status.json
       alone. `temporal: none` trains nothing: it is the stills' baseline, averaged over a clip's frames.

An interrupted run goes on from its last epoch, and one that was trained before is taken from the store.
"""

from pathlib import Path
from typing import Any

import typer

from fer_core.errors import DataError
from fer_core.files import read_json, read_yaml, write_json, write_yaml
from stages.lib.code import code_hash
from stages.lib.common import DATA, DEBUG, stage
from stages.lib.store import Slot, file_hash, fingerprint, replace_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    run: str = typer.Argument(help="Name of the run, e.g. lstm."),
    plan: Path = typer.Option(..., help="The run's plan, e.g. plans/clips/lstm.yaml."),
    manifest: Path = DATA / "join_aus" / "manifest.parquet",
    faces: Path = DATA / "align" / "faces.npy",
    card: Path = DATA / "ingest" / "card.json",
    still: Path = typer.Option(DATA / "train" / "baseline", help="The run on stills that clips start from."),
    out: Path = typer.Option(None, help="Output folder; default data/clips/<run>."),
    debug: bool = DEBUG,
) -> None:
    """Train one run on clips, or say why it does not apply."""
    out = out or DATA / "clips" / run
    planned = read_yaml(plan)
    reason = planned["reason"]
    if planned["applicable"] and (split := _unusable_split(manifest)):
        reason = f"{'fewer than two clips' if split == 'train' else 'no clip'} of {split} with a frame that can be used"
    if reason:
        replace_folder(out)
        write_json(out / "status.json", {"state": "not_applicable", "reason": reason})
        print(f"{run}: not applicable, {reason}")
        return
    begins = planned["recipe"]["temporal_start"] == "still" and planned["recipe"]["temporal"] != "conv3d"
    for path in (faces, *([still / "weights.safetensors"] if begins else [])):
        if not path.exists():
            raise DataError(f"{path} does not exist; the stage that writes it has not run, or did not apply.")
    used = {
        "recipe": planned["recipe"],
        "code": code_hash("stages.train_clips"),
        "manifest": file_hash(manifest),
        "faces": file_hash(faces),
        "still": file_hash(still / "weights.safetensors") if begins else None,
    }
    slot = Slot("train_clips", fingerprint(used))
    with slot.locked():
        if slot.done.exists():
            print(f"{run}: trained before with this recipe, code and data; taken from {slot.done}")
        else:
            _train(run, slot, manifest, faces, read_json(card), planned["recipe"], still)
        slot.copy_to(out)


def _unusable_split(manifest: Path) -> str | None:
    from fer_core.evaluation.clip_truth import unusable_split

    return unusable_split(manifest)


def _train(
    run: str, slot: Slot, manifest: Path, faces: Path, card: dict[str, Any], recipe: dict[str, Any], still: Path
) -> None:
    import pandas as pd
    import torch

    from fer_core.evaluation.metrics import scores
    from fer_core.evaluation.validation import prediction_table
    from fer_core.files import write_parquet
    from fer_core.labels import from_card
    from fer_core.recipe import Recipe
    from fer_core.temporal.clips import load_clips
    from fer_core.temporal.predict import predict_clips
    from fer_core.temporal.runs import save_clip_model, still_model
    from fer_core.temporal.train import train_clips
    from fer_core.training.epochs import converged

    typed, labels = Recipe.from_dict(recipe), from_card(card)
    table = pd.read_parquet(manifest)
    sets = {split: load_clips(table, faces, [split]) for split in ("train", "validation", "test")}
    history: list[dict[str, Any]] = []
    seconds, best_epoch = 0.0, None
    model: torch.nn.Module
    weights = still / "weights.safetensors"
    if typed.temporal == "none":
        taught = Recipe.from_dict(read_yaml(still / "recipe.yaml"))
        model = still_model(taught, weights, sets["test"], labels)
    else:
        trained = train_clips(typed, sets, labels, weights, slot.work, f"train clips {run}")
        model, history, seconds, best_epoch = trained.model, trained.history, trained.seconds, trained.best_epoch
    logs = {split: predict_clips(model, clips).numpy() for split, clips in sets.items()}
    with slot.finishing() as folder:
        predicted = {split: (sets[split].ids, logs[split]) for split in ("validation", "test")}
        write_parquet(folder / "predictions.parquet", prediction_table(predicted))
        save_clip_model(model, folder / "weights.safetensors")
        write_yaml(folder / "recipe.yaml", recipe)
        write_json(folder / "history.json", history)
        named = logs["train"].argmax(1)
        status = {
            "state": "done",
            "reason": None,
            "fingerprint": slot.folder.name,
            "train_seconds": round(seconds, 1),
            "pretrain_seconds": 0.0,
            "epochs": len(history),
            "best_epoch": best_epoch,
            "converged": converged(history) if history else None,
            "parameters": sum(item.numel() for item in model.parameters()),
            "train_accuracy": scores(sets["train"].labels.numpy(), named, len(labels.classes)).accuracy,
            "clips": {split: len(clips) for split, clips in sets.items()},
            "left_out": {split: list(clips.left_out) for split, clips in sets.items()},
        }
        write_json(folder / "status.json", status)


if __name__ == "__main__":
    app()
