"""Put several data sets into one folder, for `data: rafce+rafdb`.

Reads  data/raw/<name> of each set.
Writes data/raw/<name>+<name>, files hard-linked.
"""

from pathlib import Path

import typer

from stages.lib.common import DATA, DEBUG, stage

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    names: list[str] = typer.Argument(
        ..., metavar="NAME NAME ...", help="Data sets, in their order; also rafce+rafdb."
    ),
    raw: Path = typer.Option(DATA / "raw", help="Where their folders are."),
    debug: bool = DEBUG,
) -> None:
    """Make data/raw/A+B of data/raw/A and data/raw/B, or bring it up to date; files are linked, not copied."""
    from fer_core.datasets.combine import combine
    from fer_core.datasets.registry import JOIN

    out = combine(raw, [part for name in names for part in name.split(JOIN)])
    print(f"{out} is up to date")
    print(f"next: data: {out.name} in params.yaml, and `classes` if their classes differ")


if __name__ == "__main__":
    app()
