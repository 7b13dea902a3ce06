"""Add one column per Action Unit to the manifest.

Reads  data/align/manifest.parquet, the AU labels in data/raw/<data>/ where the set has them, and the param data.
Writes data/join_aus/: manifest.parquet (test rows null), test_aus.parquet (the test split's AUs) and aus.json
       (names, coverage, positives, what was left out). Without AU labels the names are [] and nothing is added.
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
    manifest: Path = typer.Option(DATA / "align" / "manifest.parquet", help="The manifest of align."),
    out: Path = typer.Option(DATA / "join_aus", help="Folder to write."),
    debug: bool = DEBUG,
) -> None:
    """Join Action Unit labels to the manifest; the test split's are locked away."""
    from fer_core.aus import SOURCES
    from fer_core.aus.join import join, without_aus
    from fer_core.files import write_json, write_parquet
    from fer_core.labels import label_set
    from fer_core.manifest import read_manifest, write_manifest

    data = str(read_params().get("data"))
    label_set(data)  # refuses a set that is not known, which would otherwise look like one without AUs
    table = read_manifest(manifest)
    labels = SOURCES[data](raw or DATA / "raw" / data) if data in SOURCES else None
    joined = join(table, labels) if labels else without_aus(table)
    write_manifest(out / "manifest.parquet", joined.manifest, "join_aus")
    write_parquet(out / "test_aus.parquet", joined.test_aus)
    write_json(out / "aus.json", joined.report)


if __name__ == "__main__":
    app()
