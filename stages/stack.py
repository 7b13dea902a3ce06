"""Stack an ensemble's members: the way they vote is chosen and fitted on validation alone.

Reads  the members' predictions (data/train/<run>), validation labels. Test labels are not looked at.
Writes data/stack/<name>/: predictions.parquet (validation: cross-fitted; test), weights.json (each method's weights and
       scores, each member's, how differently they err), status.json; and the same predictions and status of every
       method in a folder of its own, data/stack/<name>/<method>/.

A member with the same recipe as another one (`current` and the ResNet, say) counts once. Of one member there is
nothing to vote on: it stands as it is, and the methods' folders say so.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from fer_core.config import STACK_METHODS, StackConfig, build, check_stack
from fer_core.errors import ConfigError, DataError, unknown_name
from fer_core.files import read_json, read_yaml, write_json
from stages.lib.common import DATA, DEBUG, PLANS, read_params, stage
from stages.lib.store import fingerprint, replace_folder

LIBRARY = "all"  # the group of every trained run
METHODS = tuple(name for name in STACK_METHODS if name != "auto")

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    name: str = typer.Argument(help="Name of the stack: alone, ladder, final, library or one of your own."),
    group: str = typer.Option(None, help="Prefix of its members' runs: base, member or final; all: every trained run."),
    members: list[str] = typer.Option(
        [], help="A trained run, such as train/alone-vit; several times, not with --group."
    ),
    runs: Path = DATA / "train",
    road: Path = PLANS / "road.yaml",
    manifest: Path = DATA / "join_aus" / "manifest.parquet",
    params: Path = Path("params.yaml"),
    out: Path = typer.Option(None, help="Output folder; default data/stack/<name>."),
    debug: bool = DEBUG,
) -> None:
    """Combine the members of one group, or those that are named."""
    stack(name, group=group, members=members, runs=runs, road=road, manifest=manifest, params=params, out=out)


def stack(
    name: str,
    *,
    group: str | None = None,
    members: Sequence[str] = (),
    runs: Path = DATA / "train",
    road: Path = PLANS / "road.yaml",
    manifest: Path = DATA / "join_aus" / "manifest.parquet",
    params: Path = Path("params.yaml"),
    out: Path | None = None,
) -> None:
    """Do what the command does; see its options.

    Raises:
        ConfigError: a name is unknown, a named run was not trained, or not exactly one of group and members is given.
        DataError: a file is missing, or the members' predictions are of different faces.
    """
    out = out or DATA / "stack" / name
    values = read_params(params)
    config = build(StackConfig, values["stack"], "stack")
    check_stack(config)
    if bool(group) == bool(members):
        raise ConfigError(
            f"Expected either `--group` or `--members` for stack {name}; got {'both' if members else 'neither'}."
        )
    method, reasons = config.method, [""]
    if members:
        found = named_members(runs, members)
    else:
        layout = read_yaml(road)
        found, reasons = members_of(runs, str(group), layout["runs"])
        kind = "library" if group == LIBRARY else "ensemble"
        technique = next((t for t in layout["techniques"].values() if t["kind"] == kind), None)
        if technique is None or not technique["applicable"]:
            why = technique["reason"] if technique else f"`roadmap` has no row of kind {kind}"
            if group != "final":  # the last rung stacks whatever was re-trained
                found, reasons = {}, [why]
        if group == LIBRARY and method == "auto":  # a library is what ensemble selection was made for
            method = "greedy"
    replace_folder(out)
    if not found:
        for folder in (out, *(out / each for each in METHODS)):
            write_json(folder / "status.json", {"state": "not_applicable", "reason": reasons[0]})
        print(f"stack {name}: not applicable, {reasons[0]}")
        return
    _stack(name, found, method, config.folds, values["seed"], manifest, out)


def members_of(runs: Path, group: str, planned: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """Return the group's trained members, each recipe once, and why the others were not trained.

    Only runs that are `planned` count: folders of earlier roads may still lie there. `current` comes last: a member
    with the same recipe names it better.

    Raises:
        ConfigError: no planned run belongs to the group.
    """
    groups = list(dict.fromkeys(run.partition("-")[0] for run in planned if "-" in run))
    if group not in (LIBRARY, *groups):
        raise unknown_name("--group", group, [LIBRARY, *groups])
    names = [run for run in planned if group == LIBRARY or run.startswith(f"{group}-")]
    folders = [runs / name for name in names if (runs / name / "status.json").exists()]
    members, reasons = _distinct(sorted(folders, key=lambda path: (path.name.endswith("-current"), path.name)))
    return members, reasons or ["no member was planned"]


def named_members(runs: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the runs that were named, as `train/<run>`, each recipe once.

    Raises:
        ConfigError: a run is unknown, or was not trained.
    """
    known = {f"train/{file.parent.name}": file.parent for file in sorted(runs.glob("[!.]*/status.json"))}
    for name in names:
        if name not in known:
            raise unknown_name("--members", name, known)
        status = read_json(known[name] / "status.json")
        if status["state"] != "done":
            raise ConfigError(
                f"Expected `--members` to name trained runs; got {name}, which was not trained: {status['reason']}."
            )
    return _distinct([known[name] for name in names])[0]


def _distinct(folders: list[Path]) -> tuple[dict[str, Path], list[str]]:
    """Return the trained ones by name, each fingerprint once, and the reasons of those that were not trained."""
    members: dict[str, Path] = {}
    seen: set[str] = set()
    reasons = []
    for folder in folders:
        status: dict[str, Any] = read_json(folder / "status.json")
        if status["state"] != "done":
            reasons.append(status["reason"])
        elif status["fingerprint"] not in seen:
            seen.add(status["fingerprint"])
            members[f"train/{folder.name}"] = folder
    return members, reasons


def _stack(name: str, members: dict[str, Path], method: str, folds: int, seed: int, manifest: Path, out: Path) -> None:
    import numpy as np

    from fer_core.ensemble import best_member, diversity, member_scores, pairs
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
    both = zip(validation, test, strict=True)
    sound = np.array([bool(np.isfinite(one).all() and np.isfinite(two).all()) for one, two in both])
    diverged = [member for member, fine in zip(members, sound, strict=True) if not fine]
    if len(diverged) == len(members):
        raise DataError(f"No member of stack {name} predicts numbers: {', '.join(diverged)} diverged.")
    if diverged:
        print(f"stack {name}: left out, as their predictions are not numbers: {', '.join(diverged)}")
    members = {member: folder for member, folder in members.items() if member not in diverged}
    validation, test = validation[sound], test[sound]
    result = vote(validation, test, truth.labels, list(members), method, seed=seed, folds=folds)

    alone = member_scores(validation, truth.labels, list(members))
    best = best_member(alone)
    several = len(members) > 1
    shared = {
        "members": list(members),
        "left_out": diverged,
        "best_member": best,
        "validation": {key: one.macro_f1 for key, one in result.results.items()},
        "diversity": diversity(validation, truth.labels) if several else None,
    }
    status = _status([read_json(folder / "status.json") for folder in members.values()]) | shared
    for key in (None, *METHODS):
        folder, chosen = (out, result.method) if key is None else (out / key, key)
        if chosen not in result.results:
            reason = "one member only: there is nothing to vote on"
            write_json(folder / "status.json", {"state": "not_applicable", "reason": reason})
            continue
        one = result.results[chosen]
        table = prediction_table({"validation": (truth.ids, one.validation), "test": (ids, one.test)})
        write_parquet(folder / "predictions.parquet", table)
        # in points, of validation; the best member was picked among them all by the same faces, so it reads high
        gain = {score: 100 * (getattr(one, score) - alone[best][score]) for score in ("macro_f1", "accuracy")}
        made = {"of": status["fingerprint"], "method": chosen, "folds": folds, "seed": seed}
        own = {"fingerprint": fingerprint(made), "method": chosen, "gain_over_best": gain}
        write_json(folder / "status.json", status | own)
    report = shared | {
        "method": result.method,
        "weights": result.result.weights,
        "methods": {
            key: {"macro_f1": one.macro_f1, "accuracy": one.accuracy, "weights": one.weights}
            for key, one in result.results.items()
        },
        "member_scores": alone,
        "gain_over_best": read_json(out / "status.json")["gain_over_best"],
        "pairs": pairs(validation, truth.labels, list(members)) if several else None,
    }
    write_json(out / "weights.json", report)
    print(f"stack {name}: {result.method} of {', '.join(folder.name for folder in members.values())}")
    for key, one in result.results.items():
        print(f"  {key}: cross-fitted validation macro-F1 {one.macro_f1:.4f}, accuracy {one.accuracy:.4f}")
    print(f"  best member: {best}, macro-F1 {alone[best]['macro_f1']:.4f}, accuracy {alone[best]['accuracy']:.4f}")


def _status(statuses: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the members' statuses add up to."""
    return {
        "state": "done",
        "reason": None,
        "fingerprint": "+".join(status["fingerprint"] for status in statuses),
        "train_seconds": round(sum(status["train_seconds"] for status in statuses), 1),
        "pretrain_seconds": round(sum(status["pretrain_seconds"] for status in statuses), 1),
        "parameters": sum(status["parameters"] for status in statuses),
        "converged": all(status["converged"] is not False for status in statuses),
        "weak_aus": any(status.get("weak_aus") for status in statuses),
    }


if __name__ == "__main__":
    app()
