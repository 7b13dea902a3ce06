"""The command `fer`: what one asks of data before a road is run, and of a road that is finished."""

from pathlib import Path
from typing import Optional

import typer

from stages import check, combine, compare, datasets, predict, ui, unpack
from stages.lib.common import DEBUG, stage

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Look at data before a road is run on them: datasets, check, unpack, combine. Ask a finished road: compare "
    "experiments, show its table, predict on new pictures, tell what its labels allow at best.",
)
app.command("datasets")(datasets.main)
app.command("check")(check.main)
app.command("unpack")(unpack.main)
app.command("combine")(combine.main)
app.command("compare")(compare.main)
app.command("predict")(predict.main)
app.command("ui")(ui.main)


@app.command()
def gains(
    where: Optional[list[str]] = typer.Option(  # noqa: UP045
        None, help="Only the test faces of this attribute, as skin=dark; may be repeated."
    ),
) -> None:
    """Show the gains table of the last run (the same as `make gains`)."""
    from stages.report import app as report

    report(["--print-only", *(part for condition in where or [] for part in ("--where", condition))])


@app.command()
@stage
def ceiling(
    folder: Path = typer.Argument(..., help="Folder with label files as RAF-CE publishes them, as data/raw/rafce."),
    seeds: int = typer.Option(5, min=1, help="Forests of each kind, seeds 0, 1, ..."),
    trees: int = typer.Option(500, min=1, help="Trees a forest."),
    json_file: Optional[Path] = typer.Option(None, "--json", help="Write the numbers."),  # noqa: UP045
    debug: bool = DEBUG,
) -> None:
    """Tell what a classifier reaches that is given a face's AU labels, or its votes, never the picture."""
    from dataclasses import asdict

    from fer_core.datasets.label_ceiling import label_ceilings, text_table
    from fer_core.files import write_json

    found = label_ceilings(folder, range(seeds), trees)
    print(text_table(found))
    if json_file:
        write_json(json_file, [asdict(row) for row in found])


if __name__ == "__main__":
    app()
