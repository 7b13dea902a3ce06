"""List the data sets that `data` in params.yaml may name.

Reads and writes nothing.
"""

from typing import Optional

import typer

from stages.lib.common import DEBUG, stage

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    name: Optional[str] = typer.Argument(None, help="Of this one only."),  # noqa: UP045
    debug: bool = DEBUG,
) -> None:
    """List the data sets: files expected, licence, how to obtain them, on what each was verified."""
    from rich.text import Text

    from fer_core.datasets.registry import DATASETS
    from fer_core.errors import unknown_name
    from stages.lib.console import console, fill

    if name is not None and name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    out = console()
    for key in [name] if name else DATASETS:
        info = DATASETS[key].info
        out.print(Text.assemble((key, "bold"), f"  {info.title}"))
        for told, lines in (
            ("files", info.files),
            ("licence", (info.page,)),
            ("to obtain", (info.obtain,)),
            ("verified", (info.verified,)),
        ):
            for number, line in enumerate(lines):
                first = f"  {told if number == 0 else '':<11}"
                out.print(Text(fill(line, out.width, first)), soft_wrap=True)
        out.print()
    out.print(
        Text("Files go, or are linked, into data/raw/<name>; `fer check FOLDER` tells what it finds in a folder.")
    )


if __name__ == "__main__":
    app()
