"""Decode every picture once and write aligned faces of one size.

Reads  data/ingest/ (manifest.parquet, pictures.parquet) and the params align, profile, profiles.<profile>.size.
Writes data/align/: manifest.parquet (with crop_index, aligned_landmarks,
detection_score) and faces.npy (uint8, N x H x W x C).
"""

from pathlib import Path

import typer

from stages.lib.common import DATA, DEBUG, read_params, stage

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    source: Path = typer.Option(DATA / "ingest", help="Folder that ingest wrote."),
    out: Path = typer.Option(DATA / "align", help="Folder to write."),
    debug: bool = DEBUG,
) -> None:
    """Align faces by five landmarks, annotated or detected, or resize pictures that come cropped."""
    from fer_core.datasets.store import read_pictures
    from fer_core.errors import unknown_name
    from fer_core.faces.align import align, all_grey
    from fer_core.faces.config import read_config
    from fer_core.manifest import read_manifest, stills, write_manifest

    params = read_params()
    profile, profiles = params.get("profile"), params.get("profiles") or {}
    if profile not in profiles:
        raise unknown_name("profile", profile, profiles)
    config = read_config(params.get("align"), profiles[profile].get("size"))
    manifest, pictures = read_manifest(source / "manifest.parquet"), source / "pictures.parquet"
    own = set(stills(manifest)["sample_id"])  # a colourful clip does not make stills of grey pictures coloured
    grey = all_grey([(name, data) for name, data in batch if name in own] for batch in read_pictures(pictures))
    table = align(manifest, read_pictures(pictures), grey, config, out / "faces.npy")
    write_manifest(out / "manifest.parquet", table, "align")


if __name__ == "__main__":
    app()
