"""Add one column per Action Unit to the manifest.

Reads  data/align/manifest.parquet, the AU labels and intensities in data/raw/<data>/ where the set has them, and the
       params data and au_labels.
Writes data/join_aus/: manifest.parquet (test rows null), test_aus.parquet (the test split's AUs) and aus.json
       (names, coverage, positives, what was left out, weak). Without AU labels the names are [] and nothing is added.
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
    out: Path = typer.Option(DATA / "join_aus", help="Folder to write."),
    debug: bool = DEBUG,
) -> None:
    """Join Action Unit labels to the manifest; the test split's are locked away."""
    from fer_core.aus import SOURCES
    from fer_core.aus.intensity import read_intensities
    from fer_core.aus.join import ALONE, join, join_prototypes, without_aus
    from fer_core.choices import AU_LABELS
    from fer_core.errors import unknown_name
    from fer_core.files import write_json, write_parquet
    from fer_core.labels import label_set
    from fer_core.manifest import read_manifest, write_manifest

    params = read_params()
    data, kind = str(params.get("data")), params.get("au_labels", AU_LABELS[0])
    if kind not in AU_LABELS:
        raise unknown_name("au_labels", kind, AU_LABELS)
    classes = label_set(data).classes  # refuses an unknown set, which would otherwise look like one without AUs
    table = read_manifest(manifest)
    folder = raw or DATA / "raw" / data
    labels = SOURCES[data](folder) if data in SOURCES else None
    intensities = read_intensities(folder) if data in SOURCES else None
    if kind == "prototypes":
        joined = join_prototypes(table, classes, replaced=labels is not None or intensities is not None)
    elif labels:
        joined = join(table, labels, intensities=intensities)
    else:
        joined = without_aus(table, *([ALONE] if intensities is not None else []))
    write_manifest(out / "manifest.parquet", joined.manifest, "join_aus")
    write_parquet(out / "test_aus.parquet", joined.test_aus)
    write_json(out / "aus.json", joined.report)


if __name__ == "__main__":
    app()
