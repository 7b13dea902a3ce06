"""Train one run as its plan says.

Reads  the plan, the manifest with AU columns, the aligned faces, the card, pretrained weights, synthetic faces.
Writes data/train/<run>/: weights.safetensors, recipe.yaml, history.json, predictions.parquet (validation and
       test pictures, no labels), status.json, labels.json and alignment.json (what the answers mean and how faces
       were cut, for `fer predict`); attention.safetensors (where it looks in a few validation faces) if its
       attention weighs places; pretraining.json (the history of its first weights) if it was pretrained here. A
       run that does not apply leaves status.json alone. With several seeds (`seeds` in params.yaml; the baseline has
       three or more) the others stand in seed-1/, seed-2/ ..., each like the first.

With FER_PROCESSES=8 in the environment the stage starts itself anew as eight processes under torchrun; on several
machines, torchrun starts it: docs/scaling.md.

A run is known by its fingerprint (recipe, code, data, initial weights): an interrupted one goes on from its
last epoch, and one that was trained before is taken from the store.
"""

import sys
from pathlib import Path

import typer

from fer_core.files import read_yaml
from stages.lib.common import DATA, DEBUG, stage
from stages.lib.processes import joined as joined_processes
from stages.lib.processes import under_torchrun, wanted
from stages.lib.training import Inputs, one_process_only, train_plan

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
    inputs = Inputs(joined=joined, faces=faces, card=card, pretrained=pretrained, synthetic=synthetic)
    planned = read_yaml(plan)
    count = wanted()
    if count > 1 and (alone := one_process_only(planned)):
        print(f"{run}: one process instead of {count}, {alone}")
    elif count > 1 and planned["applicable"]:
        raise typer.Exit(under_torchrun("stages.train", sys.argv[1:], count))
    with joined_processes():
        train_plan(run, planned, out or DATA / "train" / run, inputs)


if __name__ == "__main__":
    app()
