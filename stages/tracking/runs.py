"""The experiment "runs · <data>": every trained, stacked or TTA predictor once, with curves and weights."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fer_core.files import read_json, read_yaml
from stages.lib.store import fingerprint
from stages.tracking.inputs import Inputs
from stages.tracking.pictures import Pictures
from stages.tracking.record import Point, Record
from stages.tracking.store import Store

_MODEL_FILES = ("weights.safetensors", "recipe.yaml", "weights.json", "labels.json", "alignment.json")
_FACTS = ("train_seconds", "pretrain_seconds", "epochs", "best_epoch", "parameters", "train_accuracy")
_TTA_FACTS = ("views", "milliseconds_per_face")


def runs_title(inputs: Inputs) -> str:
    """Return the name of the experiment that holds every run on these data, whatever the table."""
    return f"runs · {inputs.road['data']}"


def runs_experiment(store: Store, inputs: Inputs) -> str:
    """Return the id of that experiment, created if need be."""
    name = runs_title(inputs)
    found = store.call("get_experiment_by_name", name)
    if found is None:
        note = "Every predictor once, whichever gains tables it stands in: parameters, epoch curves, weights."
        return store.create_experiment(name, {"mlflow.note.content": note})
    if found.lifecycle_stage == "deleted":
        store.call("restore_experiment", found.experiment_id)
    return str(found.experiment_id)


def run_records(inputs: Inputs, pictures: Pictures) -> list[Record]:
    """Describe every predictor; those with one fingerprint (trained once, used twice) are one record."""
    together: dict[str, list[str]] = {}
    for name in inputs.done():
        together.setdefault(run_key(inputs, name), []).append(name)
    return [_record(inputs, pictures, key, names) for key, names in together.items()]


def run_count(inputs: Inputs) -> int:
    """Return how many runs the predictors make, without describing them."""
    return len({run_key(inputs, name) for name in inputs.done()})


def run_key(inputs: Inputs, name: str) -> str:
    """Return the tag `fingerprint` of a predictor's run."""
    return inputs.fingerprint(name) or fingerprint({"predictor": name, "status": inputs.statuses[name]})


def params_of(folder: Path) -> dict[str, str]:
    """Return a predictor's resolved recipe, or a stack's choice, with nested keys joined by dots."""
    recipe = read_yaml(folder / "recipe.yaml") if (folder / "recipe.yaml").exists() else None
    choice = read_json(folder / "weights.json") if (folder / "weights.json").exists() else {}
    plain = {key: choice[key] for key in ("method", "members") if key in choice}
    return {key: str(value)[:6000] for key, value in _flat({**(recipe or {}), **plain}, ".")}


def curves_of(folder: Path) -> list[Point]:
    """Return a run's epoch curves, with the epoch as step; empty for a predictor that was not trained.

    Those of the pretraining that it starts from are called `pretrain/<kind>/<figure>`.
    """
    path, before = folder / "history.json", folder / "pretraining.json"
    histories = {f"pretrain/{kind}/": rows for kind, rows in (read_json(before) if before.exists() else {}).items()}
    histories[""] = read_json(path) if path.exists() else []
    return [
        (prefix + key, float(value), int(entry["epoch"]))
        for prefix, history in histories.items()
        for entry in history
        for key, value in entry.items()
        if key != "epoch" and _is_number(value)
    ]


def _record(inputs: Inputs, pictures: Pictures, key: str, names: list[str]) -> Record:
    name = names[0]
    folder, status, scores = inputs.folder(name), inputs.statuses[name], inputs.runs.get(name, {})
    kind, _, short = name.partition("/")
    points: list[Point] = [
        (f"{split}/{key}", float(value), 0)
        for split in ("validation", "test")
        for key, value in (scores.get(split) or {}).items()
        if _is_number(value)
    ]
    points += [(fact, float(status[fact]), 0) for fact in (*_FACTS, *_TTA_FACTS) if _is_number(status.get(fact))]
    files = [(folder / file, "model") for file in _MODEL_FILES if (folder / file).exists()]
    looks = inputs.places.reports / "attention" / f"{short}.png"
    files += [(looks, "")] if kind == "train" and looks.exists() else []
    params = params_of(folder)
    if params.get("synthesis") == "gan":
        points += [
            (f"synthesis/{key}", float(value), 0) for key, value in inputs.synthesis.items() if _is_number(value)
        ]
        sheet = inputs.places.reports / "synthetic" / "faces.png"
        files += [(sheet, "")] if sheet.exists() else []
    return Record(
        name=short if kind == "train" else f"{kind} {short}",
        key=key,
        seconds=float(status.get("train_seconds") or 0),
        tags={
            "predictor": ", ".join(names),
            "kind": kind,
            "state": str(status.get("state")),
            "alarms": alarms_of(scores),
            "au_labels": "weak: prototypes of the emotion" if status.get("weak_aus") else "",
            "converged": "" if status.get("converged") is None else str(status["converged"]).lower(),
        },
        params=params,
        points=points + curves_of(folder),
        files=files,
        draw=lambda: pictures.confusion(name),
    )


def alarms_of(scores: Mapping[str, Any]) -> str:
    """Return a run's health alarms as one line."""
    return "; ".join(map(str, scores.get("alarms") or []))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _flat(value: Mapping[str, Any], joint: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, joint, f"{prefix}{key}{joint}")
        else:
            yield f"{prefix}{key}", item
