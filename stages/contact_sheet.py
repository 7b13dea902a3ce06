"""Draw the contact sheet of what align did: crops to look at, the worst by each measure, and the rejects.

Reads  data/align/ (manifest.parquet, faces.npy), data/ingest/pictures.parquet and the params align, profile,
       profiles.<profile>.size.
Writes reports/align.html. A stage of its own, so that another look of the page aligns no picture again.
"""

from pathlib import Path

import typer

from stages.lib.common import DATA, DEBUG, REPORTS, stage

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    aligned: Path = typer.Option(DATA / "align", help="Folder that align wrote."),
    source: Path = typer.Option(DATA / "ingest", help="Folder that ingest wrote."),
    out: Path = typer.Option(REPORTS / "align.html", help="Page to write."),
    debug: bool = DEBUG,
) -> None:
    """Draw the contact sheet of the aligned faces and the rejects."""
    import numpy as np

    from fer_core.errors import DataError
    from fer_core.faces.rejects import published
    from fer_core.faces.sheet import write_sheet
    from fer_core.manifest import read_manifest
    from stages.lib.alignment import align_config

    table = read_manifest(aligned / "manifest.parquet")
    try:
        faces = np.load(aligned / "faces.npy", mmap_mode="r")
    except FileNotFoundError:
        raise DataError(f"{aligned / 'faces.npy'} does not exist; run the align stage first.") from None
    write_sheet(out, table, faces, published(source / "pictures.parquet"), align_config())


if __name__ == "__main__":
    app()
