"""Evaluate a predictor with test-time augmentation: several views of every face, joined.

Reads  the predictor's folder (a training run or a stack with its members), the aligned faces, the manifest.
Writes data/tta/<name>/: predictions.parquet (validation and test) and status.json, with the views weighed as
       `tta.weights` says; and both of either weighting in data/tta/<name>/mean/ and data/tta/<name>/learned/, from the
       same pass over the faces.

For a stack every member sees the views, and the chosen way of voting is fitted again on the members' joined views.
Weights and vote are fitted on validation labels alone.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fer_core.config import TTA_WEIGHTS, StackConfig, TtaConfig, build, check_stack, check_tta
from fer_core.errors import ConfigError
from fer_core.files import read_json, read_yaml, write_json
from stages.lib.common import DATA, DEBUG, PLANS, read_params, stage
from stages.lib.store import fingerprint, replace_folder

if TYPE_CHECKING:
    import numpy as np

    from fer_core.models import FerModel
    from fer_core.training.faces import FaceSet

INHERITED = ("train_seconds", "pretrain_seconds", "parameters", "converged", "weak_aus")

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    name: str = typer.Argument(help="Name of the result: baseline, ladder, final or single."),
    of: str = typer.Option(..., help="The predictor, relative to data/, e.g. train/baseline."),
    state: Path = typer.Option(None, help="The state.yaml of the ladder at this point."),
    single: str = typer.Option(
        None,
        help="The predictor where the ensemble was not kept (with --state), or, with --best-member, where there is no "
        "stack.",
    ),
    best_member: bool = typer.Option(False, "--best-member", help="The best member of the stack --of, instead of it."),
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
    """Predict every validation and test face from several views of it."""
    out = out or DATA / "tta" / name
    values = read_params(params)
    config = build(TtaConfig, values["tta"], "tta")
    check_tta(config)
    stack = build(StackConfig, values["stack"], "stack")
    check_stack(stack)
    kept = read_yaml(state)["kept_rungs"] if state else []
    predictor = single if single and "ensemble" not in kept else of
    if best_member:
        predictor = _best_member(of, single)
    technique = read_yaml(road)["techniques"]["tta"]
    replace_folder(out)
    status = read_json(DATA / predictor / "status.json")
    if not only_if_kept and not technique["applicable"]:
        status = {"state": "not_applicable", "reason": technique["reason"]}
    if status["state"] != "done":
        for folder in (out, *(out / weighting for weighting in TTA_WEIGHTS)):
            write_json(folder / "status.json", {"state": "not_applicable", "reason": status["reason"]})
        print(f"tta {name}: not applicable, {status['reason']}")
        return
    views: int | list[str] = 1 if only_if_kept and "tta" not in kept else config.views
    _evaluate(predictor, status, views, config.weights, stack.folds, values["seed"], joined, faces, card, out)
    count = views if isinstance(views, int) else len(views)
    print(f"tta {name}: {count} views of {predictor}, weights {config.weights}")


def _best_member(of: str, single: str | None) -> str:
    """Return the best member of the stack `of`; `single` where the stack is not applicable, or itself without it."""
    status = read_json(DATA / of / "status.json")
    if status["state"] != "done":
        return single or of
    if not status.get("best_member"):
        raise ConfigError(f"Expected `--of` to name a stack with --best-member; got {of}, which has no members.")
    found: str = status["best_member"]
    return found


def _evaluate(
    predictor: str,
    status: dict[str, Any],
    views: int | list[str],
    weights: str,
    folds: int,
    seed: int,
    joined: Path,
    faces: Path,
    card: Path,
    out: Path,
) -> None:
    import pandas as pd

    from fer_core.ensemble.vote import SINGLE
    from fer_core.evaluation.validation import prediction_table
    from fer_core.files import write_parquet
    from fer_core.labels import from_card
    from fer_core.recipe import Recipe
    from fer_core.training.faces import load_faces
    from fer_core.training.runs import load_run
    from fer_core.tta import view_names
    from fer_core.views import join_views

    manifest = pd.read_parquet(joined / "manifest.parquet")
    au_names = read_json(joined / "aus.json")["names"]
    labels = from_card(read_json(card))
    sets = {split: load_faces(manifest, faces, [split], au_names) for split in ("validation", "test")}
    members = status.get("members") or [predictor]
    names = ["identity"] if views == 1 else view_names(views)
    logs: dict[str, list[np.ndarray]] = {split: [] for split in sets}
    seconds = plain_seconds = 0.0
    for member in members:
        recipe = Recipe.from_dict(read_yaml(DATA / member / "recipe.yaml"))
        channels = sets["validation"].pixels.shape[3]
        model = load_run(recipe, DATA / member / "weights.safetensors", channels, labels, len(au_names))
        found, passed, plain = _timed_views(model, sets, names)
        seconds, plain_seconds = seconds + passed, plain_seconds + plain
        for split, values in found.items():
            logs[split].append(values)
    count = max(sum(len(face_set) for face_set in sets.values()), 1)
    method = SINGLE if len(members) == 1 else status["method"]
    shared = {
        **{key: status.get(key) for key in INHERITED},
        "state": "done",
        "reason": None,
        "of": predictor,
        "members": members,
        "method": method,
        "views": len(names),
        "view_names": names,
        "milliseconds_per_face": round(1000 * seconds / count, 3),
        "milliseconds_per_face_plain": round(1000 * plain_seconds / count, 3),
    }
    for weighting in TTA_WEIGHTS:
        targets = sets["validation"].labels.numpy()
        result = join_views(logs["validation"], logs["test"], targets, weighting, method, seed=seed, folds=folds)
        table = prediction_table({split: (sets[split].ids, getattr(result, split)) for split in sets})
        shares = {
            member: dict(zip(names, row, strict=True))
            for member, row in zip(members, result.weights.round(4).tolist(), strict=True)
        }
        for folder in (out / weighting, *([out] if weighting == weights else [])):
            write_parquet(folder / "predictions.parquet", table)
            made = {"of": status["fingerprint"], "method": method, "views": names, "weights": weighting}
            made |= {"folds": folds, "seed": seed}
            own = {"fingerprint": fingerprint(made), "weights_method": weighting, "view_weights": shares}
            write_json(folder / "status.json", shared | own)


def _timed_views(
    model: "FerModel", sets: "dict[str, FaceSet]", names: list[str]
) -> "tuple[dict[str, np.ndarray], float, float]":
    """Return every split's views (V, N, K), the seconds that they took, and those of the pictures alone.

    The first faces go through once before the clock starts: a network's first pass sets up memory and kernels.
    """
    import torch

    from fer_core.training.runs import predict_with_views

    few = sets["validation"].only(torch.arange(min(len(sets["validation"]), 32)))
    predict_with_views(model, few, names)
    start = time.perf_counter()
    found = {split: predict_with_views(model, face_set, names) for split, face_set in sets.items()}
    seconds = time.perf_counter() - start
    if names == ["identity"]:
        return found, seconds, seconds
    predict_with_views(model, few, ["identity"])
    start = time.perf_counter()
    for face_set in sets.values():
        predict_with_views(model, face_set, ["identity"])
    return found, seconds, time.perf_counter() - start


if __name__ == "__main__":
    app()
