"""Write MLflow from the files that the other stages left; what is there already is left as it is.

Reads  metrics/, reports/, plans/road.yaml and the folders under data/train, data/stack, data/tta and data/clips.
Writes to the server that MLFLOW_TRACKING_URI names, or to mlflow.db and mlartifacts/ in the repository: the
       experiment "gains · <data> · <profile>", whose run table is the gains table, and "runs · <data>", every
       run with its curves and weights.

DVC may restore a stage from its cache without running it, so no other stage writes to MLflow. Tracking never
stops the pipeline: a server that is down costs seconds and one sentence, and the next `dvc repro` logs what is
missing.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from stages.lib.common import DATA, DEBUG, METRICS, PLANS, REPORTS, stage

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    data: Path = typer.Option(DATA, help="Folder that holds train/, stack/, tta/ and clips/."),
    plans: Path = typer.Option(PLANS, help="Holds road.yaml."),
    metrics: Path = typer.Option(
        METRICS, help="Holds gains.json, runs.json, summary.json, slices.json and synthesis.json."
    ),
    reports: Path = typer.Option(REPORTS, help="The report and its pictures."),
    debug: bool = DEBUG,
) -> None:
    """Write the gains table and every run to MLflow, once."""
    from stages.tracking.gains import (
        describe,
        experiment_name,
        gains_experiment,
        gains_records,
        plain_title,
    )
    from stages.tracking.inputs import Places, read_inputs
    from stages.tracking.pictures import Pictures
    from stages.tracking.record import write_records
    from stages.tracking.runs import run_count, run_records, runs_experiment, runs_title
    from stages.tracking.shortcut import sealed_table
    from stages.tracking.store import LOCAL_PAGE, TrackingError, opened, repository_root, tracking_uri
    from stages.tracking.view import view_path

    start = time.monotonic()
    inputs = read_inputs(Places(data, plans, metrics, reports))
    root = repository_root()
    name = None if experiment_name() else plain_title(inputs)
    known = sealed_table(tracking_uri(root), inputs, name, len(inputs.rows), runs_title(inputs), run_count(inputs))
    if known is not None:
        print(f"MLflow: everything is there already\nmake ui   # {LOCAL_PAGE}{view_path(known)}")
        return
    try:
        with opened(root) as store, TemporaryDirectory() as folder:
            pictures = Pictures(inputs, Path(folder))
            experiment = runs_experiment(store, inputs)
            runs = write_records(store, experiment, run_records(inputs, pictures), "track runs")
            links = {key: f"#/experiments/{experiment}/runs/{run_id}" for key, run_id in runs.ids.items()}
            table = gains_experiment(store, inputs)
            rows = write_records(store, table, gains_records(inputs, pictures, links), "track gains")
            describe(store, inputs, table)
            address = store.page + view_path(table)
    except TrackingError as error:
        if debug:
            raise
        print(f"MLflow was not written: {error}; the next `dvc repro` logs it.", file=sys.stderr)
        return
    created, updated = runs.created + rows.created, runs.updated + rows.updated
    print(f"MLflow: {created} runs written, {updated} brought up to date, in {time.monotonic() - start:.1f} s")
    print(f"make ui   # {address}")


if __name__ == "__main__":
    app()
