"""Keep or drop one rung of the ladder, by validation macro-F1 alone, and plan what builds on it.

A rung is kept unless it scores lower than what stands by more than one standard error of the difference; the score is
macro-F1 over the classes with five or more validation pictures, the mean over a run's seeds.

Reads  what the ladder stood on (state.yaml), the rung's candidate (predictions), validation labels.
Writes data/select/<rung>/: state.yaml, and the plan of every run that starts from here.
"""

from dataclasses import asdict
from pathlib import Path

import typer

from fer_core.files import read_json, read_yaml, write_yaml
from fer_core.recipe import merged
from fer_core.roadmap import plans_from
from stages.lib.common import DATA, DEBUG, PLANS, stage
from stages.lib.store import replace_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    rung: str = typer.Argument(help="Name of the rung, e.g. attention; `baseline` starts the ladder."),
    after: Path = typer.Option(..., help="Folder with the state.yaml that this rung stands on."),
    candidate: str = typer.Option(..., help="The rung's predictor, relative to data/, e.g. train/ladder-vit."),
    road: Path = PLANS / "road.yaml",
    manifest: Path = DATA / "join_aus" / "manifest.parquet",
    out: Path = typer.Option(None, help="Output folder; default data/select/<rung>."),
    debug: bool = DEBUG,
) -> None:
    """Keep the rung unless its validation macro-F1 is below that of what stands by more than a standard error."""
    from fer_core.evaluation.validation import change_on_validation

    out = out or DATA / "select" / rung
    layout, before = read_yaml(road), read_yaml(after / "state.yaml")
    status = read_json(DATA / candidate / "status.json")
    applicable = status["state"] == "done"
    change, kept, count = None, False, layout["seeds"]
    if applicable:
        standing = before["current"]
        found = change_on_validation(_seeds(candidate, count), _seeds(standing, count) if standing else [], manifest)
        change, kept = found, found.kept
    sets = layout["techniques"][rung]["set"] if rung != "baseline" else {}
    recipe = merged(before["recipe"], sets) if kept else before["recipe"]
    names = [*before["kept_rungs"], rung] if kept else before["kept_rungs"]
    replace_folder(out)
    write_yaml(
        out / "state.yaml",
        {
            "rung": rung,
            "applicable": applicable,
            "reason": None if applicable else status["reason"],
            "kept": kept,
            "candidate": candidate if applicable else None,
            "reference": before["current"],
            "current": candidate if kept else before["current"],
            "validation": asdict(change) if change else None,
            "recipe": recipe,
            "kept_rungs": names,
        },
    )
    # the names of the kept rungs decide whether the last rung re-trains one model or the whole ensemble
    for run, plan in plans_from(f"data/select/{rung}", layout, recipe, ensemble="ensemble" in names).items():
        write_yaml(out / f"{run}.yaml", plan)
    if change is None:
        print(f"{rung}: not applicable, {status['reason']}")
    else:
        stood = f" against {change.before:.4f} before (standard error {change.error:.4f})" if change.before else ""
        print(f"{rung}: validation macro-F1 {change.score:.4f}{stood}: {'kept' if kept else 'not kept'}")


def _seeds(predictor: str, count: int) -> list[Path]:
    """Return the predictions of a predictor's first `count` seeds; a stack or TTA has one."""
    folder = DATA / predictor
    others = [folder / f"seed-{index}" for index in range(1, count)]
    return [path / "predictions.parquet" for path in (folder, *others) if path == folder or path.exists()]


if __name__ == "__main__":
    app()
