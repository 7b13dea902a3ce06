"""Make faces for the classes that have too few, by a GAN that has seen train faces only.

Reads  plans/synthesis.yaml, the manifest with AU columns, the aligned faces, the card.
Writes data/synthesise/: manifest.parquet (rows of synthetic faces only, `synthetic` is true), faces.npy (uint8
       (N, H, W, C)), generator.safetensors, history.json, status.json; where no run asks for synthetic faces,
       status.json alone.

Like a training run it is known by its fingerprint: an interrupted one goes on from its last checkpoint.
"""

from pathlib import Path
from typing import Any

import typer

from fer_core.files import read_json, read_yaml, write_json
from stages.lib.code import code_hash
from stages.lib.common import DATA, DEBUG, PLANS, stage
from stages.lib.store import Slot, file_hash, fingerprint, replace_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    plan: Path = PLANS / "synthesis.yaml",
    manifest: Path = DATA / "join_aus" / "manifest.parquet",
    faces: Path = DATA / "align" / "faces.npy",
    card: Path = DATA / "ingest" / "card.json",
    out: Path = DATA / "synthesise",
    debug: bool = DEBUG,
) -> None:
    """Train the GAN and make the faces that small classes lack, or say that no run asks for them."""
    planned = read_yaml(plan)
    if not planned["wanted"]:
        replace_folder(out)
        write_json(out / "status.json", {"state": "not_needed", "seconds": 0.0})
        print("no run asks for synthetic faces")
        return
    data = {"manifest": file_hash(manifest), "faces": file_hash(faces), "code": code_hash("stages.synthesise")}
    slot = Slot("synthesise", fingerprint({"plan": planned, **data}))
    with slot.locked():
        if slot.done.exists():
            print("synthetic faces: made before with these settings, code and data")
        else:
            _synthesise(planned, slot, manifest, faces, len(read_json(card)["classes"]))
        slot.copy_to(out)
    status = read_json(out / "status.json")
    print(f"{status['faces']} synthetic faces of {len(status['made'])} classes")


def _synthesise(planned: dict[str, Any], slot: Slot, manifest: Path, faces: Path, classes: int) -> None:
    import numpy as np

    from fer_core.files import replacing
    from fer_core.manifest import au_names, read_manifest, write_manifest
    from fer_core.models.cpu import prepare_cpu
    from fer_core.synthesis.config import GanConfig
    from fer_core.synthesis.minority import minority_faces
    from fer_core.synthesis.rows import synthetic_rows
    from fer_core.synthesis.saved import save_synthesiser
    from fer_core.training.faces import load_faces

    prepare_cpu()
    config = GanConfig(**planned["gan"])
    table = read_manifest(manifest)
    train = load_faces(table, faces, ["train"], au_names(table))
    made = minority_faces(train, classes, config, seed=planned["seed"], work=slot.work)
    labels = made.faces.labels.tolist()
    with slot.finishing() as folder:
        with replacing(folder / "faces.npy") as temporary, temporary.open("wb") as file:
            np.save(file, made.faces.pixels.numpy())
        write_manifest(folder / "manifest.parquet", synthetic_rows(table, made.faces), "synthesise", classes)
        save_synthesiser(folder / "generator.safetensors", made.synthesiser)
        write_json(folder / "history.json", made.synthesiser.history)
        status = {
            "state": "done",
            "fingerprint": slot.folder.name,
            "seconds": round(sum(row["seconds"] for row in made.synthesiser.history), 1),
            "faces": len(labels),
            "made": {str(label): labels.count(label) for label in sorted(set(labels))},
        }
        write_json(folder / "status.json", status)


if __name__ == "__main__":
    app()
