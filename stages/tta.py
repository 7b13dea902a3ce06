"""Evaluate a predictor with test-time augmentation: the mean over several views of every face.

Reads  the predictor's folder (a training run or a stack with its members), the aligned faces, the manifest.
Writes data/tta/<name>/: predictions.parquet (validation and test), status.json.

For a stack every member sees the views, and the chosen way of voting is fitted again on their
validation means.
"""

import time
from pathlib import Path
from typing import Any

import typer

from fer_core.config import StackConfig, TtaConfig, build
from fer_core.files import read_json, read_yaml, write_json
from stages.lib.common import DATA, DEBUG, PLANS, read_params, stage
from stages.lib.store import replace_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    name: str = typer.Argument(help="Name of the result: baseline, ladder or final."),
    of: str = typer.Option(..., help="The predictor, relative to data/, e.g. train/baseline."),
    state: Path = typer.Option(None, help="The state.yaml of the ladder at this point."),
    single: str = typer.Option(None, help="With --state: the predictor where the ensemble was not kept."),
    only_if_kept: bool = typer.Option(
        False, help="With --state: several views only where the ladder has kept TTA; else one view."
    ),
    joined: Path = DATA / "join_aus",
    faces: Path = DATA / "align" / "faces.npy",
    card: Path = DATA / "ingest" / "card.json",
    road: Path = PLANS / "road.yaml",
    params: Path = Path("params.yaml"),
    out: Path = typer.Option(None, help="Output folder; default data/tta/<name>."),
    debug: bool = DEBUG,
) -> None:
    """Predict every validation and test face as the mean over views of it."""
    out = out or DATA / "tta" / name
    values = read_params(params)
    views = build(TtaConfig, values["tta"], "tta").views
    stack = build(StackConfig, values["stack"], "stack")
    kept = read_yaml(state)["kept_rungs"] if state else []
    predictor = single if single and "ensemble" not in kept else of
    technique = read_yaml(road)["techniques"]["tta"]
    replace_folder(out)
    status = read_json(DATA / predictor / "status.json")
    if only_if_kept:
        views = views if "tta" in kept else 1
    elif not technique["applicable"]:
        status = {"state": "not_applicable", "reason": technique["reason"]}
    if status["state"] != "done":
        write_json(out / "status.json", {"state": "not_applicable", "reason": status["reason"]})
        print(f"tta {name}: not applicable, {status['reason']}")
        return
    _evaluate(predictor, status, views, stack, values["seed"], joined, faces, read_json(card), out)
    print(f"tta {name}: {views} views of {predictor}")


def _evaluate(
    predictor: str,
    status: dict[str, Any],
    views: int,
    stack: StackConfig,
    seed: int,
    joined: Path,
    faces: Path,
    card: dict[str, Any],
    out: Path,
) -> None:
    import numpy as np
    import pandas as pd

    from fer_core.ensemble.vote import vote
    from fer_core.evaluation.validation import prediction_table
    from fer_core.files import write_parquet
    from fer_core.labels import from_card
    from fer_core.recipe import Recipe
    from fer_core.training.faces import load_faces
    from fer_core.training.runs import load_run, predict_with_views
    from fer_core.tta import view_names

    manifest = pd.read_parquet(joined / "manifest.parquet")
    au_names = read_json(joined / "aus.json")["names"]
    sets = {split: load_faces(manifest, faces, [split], au_names) for split in ("validation", "test")}
    members = status.get("members") or [predictor]
    names = view_names(views) if views > 1 else ("identity",)
    start = time.perf_counter()
    logs: dict[str, list[np.ndarray]] = {split: [] for split in sets}
    for member in members:
        recipe = Recipe.from_dict(read_yaml(DATA / member / "recipe.yaml"))
        channels = sets["validation"].pixels.shape[3]
        model = load_run(recipe, DATA / member / "weights.safetensors", channels, from_card(card), len(au_names))
        for split, face_set in sets.items():
            logs[split].append(predict_with_views(model, face_set, names))
    seconds = time.perf_counter() - start
    result = vote(
        np.stack(logs["validation"]),
        np.stack(logs["test"]),
        sets["validation"].labels.numpy(),
        members,
        [status.get("method", "mean")],
        seed=seed,
        folds=stack.folds,
    )
    predictions = {"validation": result.validation, "test": result.test}
    table = prediction_table({split: (sets[split].ids, values) for split, values in predictions.items()})
    write_parquet(out / "predictions.parquet", table)
    count = sum(len(face_set) for face_set in sets.values())
    write_json(
        out / "status.json",
        {
            **{key: status.get(key) for key in ("train_seconds", "pretrain_seconds", "parameters", "converged")},
            "state": "done",
            "reason": None,
            "fingerprint": status["fingerprint"],
            "members": members,
            "method": result.method,
            "views": len(names),
            "milliseconds_per_face": round(1000 * seconds / max(count, 1), 3),
        },
    )


if __name__ == "__main__":
    app()
