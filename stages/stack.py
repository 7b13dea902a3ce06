"""Stack an ensemble's members: the way they vote is chosen and fitted on validation alone.

Reads  the members' predictions (data/train/<group>-<member>), validation labels.
Writes data/stack/<name>/: predictions.parquet (validation: cross-fitted; test), weights.json, status.json.

A member with the same recipe as another one (`current` and the ResNet, say) counts once.
"""

from pathlib import Path
from typing import Any

import typer

from fer_core.config import StackConfig, build
from fer_core.files import read_json, read_yaml, write_json
from stages.lib.common import DATA, DEBUG, PLANS, read_params, stage
from stages.lib.store import replace_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    name: str = typer.Argument(help="Name of the stack: alone, ladder or final."),
    group: str = typer.Option(..., help="Prefix of its members' runs: base, member or final."),
    runs: Path = DATA / "train",
    road: Path = PLANS / "road.yaml",
    manifest: Path = DATA / "join_aus" / "manifest.parquet",
    params: Path = Path("params.yaml"),
    out: Path = typer.Option(None, help="Output folder; default data/stack/<name>."),
    debug: bool = DEBUG,
) -> None:
    """Combine the members of one group."""
    out = out or DATA / "stack" / name
    values = read_params(params)
    config = build(StackConfig, values["stack"], "stack")
    replace_folder(out)
    members, reasons = members_of(runs, group)
    technique = read_yaml(road)["techniques"]["ensemble"]
    if group != "final" and not technique["applicable"]:  # the last rung stacks whatever was re-trained
        members, reasons = {}, [technique["reason"]]
    if not members:
        write_json(out / "status.json", {"state": "not_applicable", "reason": reasons[0]})
        print(f"stack {name}: not applicable, {reasons[0]}")
        return
    _stack(name, members, config, values["seed"], manifest, out)


def members_of(runs: Path, group: str) -> tuple[dict[str, Path], list[str]]:
    """Return the group's trained members, each recipe once, and why the others were not trained.

    `current` comes last: a member with the same recipe names it better.
    """
    members: dict[str, Path] = {}
    by_fingerprint: dict[str, str] = {}
    reasons = []
    for folder in sorted(runs.glob(f"{group}-*"), key=lambda path: (path.name.endswith("-current"), path.name)):
        status: dict[str, Any] = read_json(folder / "status.json")
        if status["state"] != "done":
            reasons.append(status["reason"])
        elif status["fingerprint"] not in by_fingerprint:
            by_fingerprint[status["fingerprint"]] = folder.name
            members[folder.name] = folder
    return members, reasons or ["no member was planned"]


def _stack(name: str, members: dict[str, Path], config: StackConfig, seed: int, manifest: Path, out: Path) -> None:
    import numpy as np

    from fer_core.ensemble import diversity
    from fer_core.ensemble.vote import vote
    from fer_core.evaluation.validation import (
        log_probabilities_on_test,
        prediction_table,
        read_validation,
        validation_log_probabilities,
    )
    from fer_core.files import write_parquet

    truth = read_validation(manifest)
    files = [folder / "predictions.parquet" for folder in members.values()]
    validation = np.stack([validation_log_probabilities(file, truth) for file in files])
    ids, first = log_probabilities_on_test(files[0])
    test = np.stack([first, *(log_probabilities_on_test(file, ids)[1] for file in files[1:])])
    result = vote(validation, test, truth.labels, list(members), config.methods, seed=seed, folds=config.folds)
    table = prediction_table({"validation": (truth.ids, result.validation), "test": (ids, result.test)})
    write_parquet(out / "predictions.parquet", table)
    report = {
        "method": result.method,
        "members": [f"train/{member}" for member in members],
        "weights": result.weights,
        "validation": result.macro_f1,
        "diversity": diversity(validation, truth.labels) if len(members) > 1 else None,
    }
    write_json(out / "weights.json", report)
    statuses = [read_json(folder / "status.json") for folder in members.values()]
    write_json(
        out / "status.json",
        {
            "state": "done",
            "reason": None,
            "fingerprint": "+".join(status["fingerprint"] for status in statuses),
            "train_seconds": round(sum(status["train_seconds"] for status in statuses), 1),
            "pretrain_seconds": round(sum(status["pretrain_seconds"] for status in statuses), 1),
            "parameters": sum(status["parameters"] for status in statuses),
            "converged": all(status["converged"] is not False for status in statuses),
            "members": report["members"],
            "method": result.method,
        },
    )
    print(f"stack {name}: {result.method} of {', '.join(members)}")
    for method, score in result.macro_f1.items():
        print(f"  {method}: cross-fitted validation macro-F1 {score:.4f}")


if __name__ == "__main__":
    app()
