"""Add one column per Action Unit to the manifest.

Reads  data/align/manifest.parquet, the AU labels and intensities in data/raw/<data>/ where the set has them, those that
       OpenFace or Py-Feat estimated beside them, the classes in data/ingest/card.json, and the params data, au_labels,
       au_sides and au_confidence.
Writes data/join_aus/: manifest.parquet (test rows null), test_aus.parquet (the test split's AUs), aus.json
       (names, coverage, positives, what was left out, weak; what each source covers and how far two agree) and
       unmatched.csv (labels without a picture, pictures without a label). Without AU labels the names are [] and
       nothing is added.
       au_labels: prototypes puts the prototype of each train picture's emotion in the place of annotations.
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
    card: Path = typer.Option(DATA / "ingest" / "card.json", help="What ingest says of the data set: its classes."),
    out: Path = typer.Option(DATA / "join_aus", help="Folder to write."),
    debug: bool = DEBUG,
) -> None:
    """Join Action Unit labels to the manifest; the test split's are locked away."""
    from fer_core.aus.agreement import about_sources
    from fer_core.aus.combine import settled
    from fer_core.aus.join import join_sources
    from fer_core.aus.sources import read_sources, unmatched
    from fer_core.choices import check_au_params
    from fer_core.datasets.registry import names_of
    from fer_core.files import read_json, write_json, write_parquet, write_text
    from fer_core.manifest import read_manifest, write_manifest

    params = read_params()
    data = str(params.get("data"))
    kinds, sides, confidence = check_au_params(params)
    names = names_of(data)  # refuses an unknown set, which would otherwise look like one without AUs
    table = read_manifest(manifest)
    parts = read_sources(names, raw or DATA / "raw" / data, table, confidence)
    sources = settled(parts, sides)
    joined = join_sources(table, sources, kinds, read_json(card)["classes"])
    told = about_sources(table, sources) if sources else {}
    write_text(out / "unmatched.csv", unmatched(parts).to_csv(index=False))
    write_manifest(out / "manifest.parquet", joined.manifest, "join_aus")
    write_parquet(out / "test_aus.parquet", joined.test_aus)
    write_json(out / "aus.json", joined.report | told)


if __name__ == "__main__":
    app()
