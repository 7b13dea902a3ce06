"""Keep or drop one rung of the ladder, by validation macro-F1 alone, and plan what builds on it.

Reads  what the ladder stood on (state.yaml), the rung's candidate (predictions), validation labels.
Writes data/select/<rung>/: state.yaml, and the plan of every run that starts from here.
"""

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
    """Keep the rung if its validation macro-F1 is not below that of what stands, else drop it."""
    from fer_core.evaluation.validation import macro_f1_on_validation

    out = out or DATA / "select" / rung
    layout, before = read_yaml(road), read_yaml(after / "state.yaml")
    status = read_json(DATA / candidate / "status.json")
    applicable = status["state"] == "done"
    score, kept = None, False
    if applicable:
        score = macro_f1_on_validation(DATA / candidate / "predictions.parquet", manifest)
        kept = before["current"] is None or score >= before["macro_f1"]
    change = layout["techniques"][rung]["set"] if rung != "baseline" else {}
    recipe = merged(before["recipe"], change) if kept else before["recipe"]
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
            "macro_f1": score if kept else before.get("macro_f1"),
            "validation": {"reference": before.get("macro_f1"), "candidate": score},
            "recipe": recipe,
            "kept_rungs": names,
        },
    )
    # the names of the kept rungs decide whether the last rung re-trains one model or the whole ensemble
    for run, plan in plans_from(f"data/select/{rung}", layout, recipe, ensemble="ensemble" in names).items():
        write_yaml(out / f"{run}.yaml", plan)
    if not applicable:
        print(f"{rung}: not applicable, {status['reason']}")
    else:
        stood = "" if before["current"] is None else f" against {before['macro_f1']:.4f} before"
        print(f"{rung}: validation macro-F1 {score:.4f}{stood}: {'kept' if kept else 'not kept'}")


if __name__ == "__main__":
    app()
