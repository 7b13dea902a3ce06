"""Decode every picture once and write aligned faces of one size.

Reads  data/ingest/ (manifest.parquet, pictures.parquet) and the params align, profile, profiles.<profile>.size.
Writes data/align/: manifest.parquet (with the crops' place and quality), faces.npy (uint8, N x H x W x C), rejects.csv,
alignment.json (how it was done, for predictions). Where too many pictures were lost only the list is written, and the
contact sheet reports/align.html, to see why. Unfinished work waits in .work/align: the same command goes on there.
"""

from pathlib import Path

import typer

from stages.lib.common import DATA, DEBUG, REPORTS, stage, work_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    source: Path = typer.Option(DATA / "ingest", help="Folder that ingest wrote."),
    out: Path = typer.Option(DATA / "align", help="Folder to write."),
    debug: bool = DEBUG,
) -> None:
    """Align faces by five landmarks, annotated or detected, cut boxes out, or resize pictures that come cropped."""
    import shutil
    from dataclasses import asdict

    from fer_core.datasets.store import read_pictures
    from fer_core.errors import DataError
    from fer_core.faces.align import Pass, all_grey, load_detector
    from fer_core.faces.alignment import alignment, write_alignment
    from fer_core.faces.rejects import write_rejects
    from fer_core.manifest import read_manifest, stills, write_manifest
    from stages.lib.alignment import align_config
    from stages.lib.store import Slot, file_hash, fingerprint

    config = align_config()
    manifest, pictures = read_manifest(source / "manifest.parquet"), source / "pictures.parquet"
    own = set(stills(manifest)["sample_id"])  # a colourful clip does not make stills of grey pictures coloured
    grey = all_grey([(name, data) for name, data in batch if name in own] for batch in read_pictures(pictures))
    how = alignment(config, manifest, grey)
    code, facts = DATA / "code" / "align.json", pictures.stat()
    parts = {
        "manifest": file_hash(source / "manifest.parquet"),
        "pictures": [facts.st_size, facts.st_mtime_ns],
        "alignment": asdict(how),  # without max_dropped: who allows more losses need not align again
        "code": file_hash(code) if code.exists() else None,
    }
    slot = Slot("align", fingerprint(parts))
    _remove_others(slot.folder)
    with slot.locked():
        done = Pass(manifest, read_pictures(pictures), how, load_detector(how, config.model), slot.work)
        write_rejects(out / "rejects.csv", done.table)
        try:
            done.refuse_losses(config.max_dropped)
        except DataError:
            write_manifest(slot.work / "manifest.parquet", done.table, "align")
            _draw(slot.work, source)
            raise
        write_manifest(out / "manifest.parquet", done.table, "align")
        write_alignment(out / "alignment.json", how)
        done.move(out / "faces.npy")
        shutil.rmtree(slot.folder, ignore_errors=True)


def _draw(aligned: Path, source: Path) -> None:
    """Draw the contact sheet where align fails, so that its own stage will not run."""
    import subprocess
    import sys

    # not imported: else a change of the page's look would align all pictures again
    command = [sys.executable, "-m", "stages.contact_sheet", "--aligned", str(aligned), "--source", str(source)]
    if subprocess.run(command, check=False).returncode == 0:
        print(f"{REPORTS / 'align.html'} shows what was lost", file=sys.stderr)


def _remove_others(folder: Path) -> None:
    """Remove the unfinished work of other data or params, unless another process is at it."""
    import shutil

    from filelock import FileLock, Timeout

    for other in (work_folder() / "align").glob("*"):
        if other == folder or not other.is_dir():
            continue
        try:
            with FileLock(other / "lock", timeout=0):
                shutil.rmtree(other, ignore_errors=True)
        except Timeout:
            continue


if __name__ == "__main__":
    app()
