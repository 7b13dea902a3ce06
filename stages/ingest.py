"""Read a data set as published and write it as one manifest.

Reads  data/raw/<data>/ and the params data, sets, classes, limit, seed, folds, fold, hold_out, leakage.
Writes data/ingest/: manifest.parquet, pictures.parquet (encoded pictures in manifest order),
       test_truth.parquet (the test split's emotion and votes, which stand nowhere else) and card.json
       (what the set has: classes, counts, votes, AUs, identities, landmarks); leakage.csv and leakage.json: subjects
       and pictures that stand in two splits, which are refused unless `leakage` says otherwise.
"""

from pathlib import Path
from typing import Optional

import typer

from stages.lib.common import DATA, DEBUG, read_params, stage

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    raw: Optional[Path] = typer.Option(None, help="The published files.", show_default="data/raw/<data>"),  # noqa: UP045
    out: Path = typer.Option(DATA / "ingest", help="Folder to write."),
    debug: bool = DEBUG,
) -> None:
    """Read a data set as published: manifest, pictures, locked test truth and card."""
    from fer_core.choices import LEAKAGE
    from fer_core.datasets.ingest import ingest, reading_of

    params = read_params()
    data = str(params.get("data"))
    leakage = str(params.get("leakage", LEAKAGE[0]))
    ingest(data, raw or DATA / "raw" / data, out, reading_of(params), leakage=leakage)


if __name__ == "__main__":
    app()
