"""Unpack an archive safely: whole or not at all.

Reads  the archive.
Writes the folder.
"""

import sys
from pathlib import Path

import typer

from stages.lib.common import DEBUG, stage

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    archive: Path = typer.Argument(..., help="A .zip, .tar, .tar.gz, .tgz or .tar.xz."),
    folder: Path = typer.Argument(..., help="A new folder, as data/raw/rafdb."),
    most: float = typer.Option(50.0, help="GiB that it may unpack to."),
    debug: bool = DEBUG,
) -> None:
    """Unpack an archive into a new folder; nothing is ever written outside of it."""
    from fer_core.datasets.archives import unpack

    try:
        found = unpack(archive, folder, most)
    except KeyboardInterrupt:
        print("interrupted; nothing was unpacked", file=sys.stderr)
        raise typer.Exit(130) from None
    print(f"{found.files} files, {found.size / 1e6:.1f} MB in {folder}")
    for note in found.notes:
        print(f"! {note}")
    inside = folder / found.top[0] if len(found.top) == 1 and (folder / found.top[0]).is_dir() else folder
    print(f"next: fer check {inside}")


if __name__ == "__main__":
    app()
