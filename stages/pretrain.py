"""Pretrain one backbone in every way that some run asks for: self-supervised, on identities, or both.

Reads  plans/pretrain/<backbone>.yaml, the manifest, the aligned faces.
Writes data/pretrain/<backbone>/: ssl.safetensors, identity.safetensors, ssl_identity.safetensors (identity
       training that starts from ssl), as far as they are asked for; history.json, status.json.

Only pool pictures are trained on, or train pictures where the data set has no pool. In self-supervised training, probes
fitted on labelled train faces and scored on validation faces say in the history what the features know of the emotions;
nothing is learned or chosen by them. Test pictures are never looked at.
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
    backbone: str = typer.Argument(help="A key of the profile's models, e.g. resnet."),
    plan: Path = typer.Option(None, help="The plan; default plans/pretrain/<backbone>.yaml."),
    manifest: Path = DATA / "align" / "manifest.parquet",
    faces: Path = DATA / "align" / "faces.npy",
    out: Path = typer.Option(None, help="Output folder; default data/pretrain/<backbone>."),
    debug: bool = DEBUG,
) -> None:
    """Make the pretrained weights of one backbone."""
    out = out or DATA / "pretrain" / backbone
    planned = read_yaml(plan or PLANS / "pretrain" / f"{backbone}.yaml")
    replace_folder(out)
    history: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    data = {"manifest": file_hash(manifest), "faces": file_hash(faces), "code": code_hash("stages.pretrain")}
    keys: dict[str, str] = {}
    for kind in planned["kinds"]:
        settings = {
            "ssl": None if kind == "identity" else planned["ssl"],
            "identity": None if kind == "ssl" else planned["identity"],
        }
        start = out / "ssl.safetensors" if kind == "ssl_identity" else None
        used = {"model": planned["model"], "seed": planned["seed"], "kind": kind, **settings, **data}
        slot = Slot("pretrain", fingerprint(used))
        with slot.locked():
            if slot.done.exists():
                print(f"{kind} of {backbone}: made before with these settings, code and data")
            else:
                _pretrain(kind, planned, slot, manifest, faces, start)
            slot_history = read_json(slot.done / "history.json")
            (out / f"{kind}.safetensors").write_bytes((slot.done / "weights.safetensors").read_bytes())
        history[kind] = slot_history
        keys[kind] = slot.folder.name
        own = sum(row["seconds"] for row in slot_history)
        seconds[kind] = round(own + (seconds["ssl"] if kind == "ssl_identity" else 0.0), 1)
    write_json(out / "history.json", history)
    state = "done" if planned["kinds"] else "not_needed"
    write_json(out / "status.json", {"state": state, "fingerprints": keys, "seconds": seconds})
    print(f"{backbone}: {', '.join(planned['kinds']) or 'no run asks for pretrained weights'}")


def _pretrain(kind: str, planned: dict[str, Any], slot: Slot, manifest: Path, faces: Path, start: Path | None) -> None:
    import pandas as pd

    from fer_core.pretraining.weights import save_backbone
    from fer_core.training.faces import load_faces
    from fer_core.training.pretrain import new_encoder, pretrain_identity, pretrain_self_supervised

    table = pd.read_parquet(manifest)
    usable = table["split"].eq("pool") & table["crop_index"].notna()
    if kind != "ssl":
        usable &= table["subject"].notna()
    pictures = load_faces(table, faces, ["pool" if usable.any() else "train"])
    model, seed = planned["model"], planned["seed"]
    encoder = new_encoder(model, pictures.pixels.shape[3], seed, start)
    common = {"precision": model["precision"], "seed": seed, "work": slot.work}
    title = f"pretrain {planned['backbone']} {kind}"
    if kind == "ssl":
        labelled = {split: load_faces(table, faces, [split]) for split in ("train", "validation")}
        history = pretrain_self_supervised(encoder, pictures, planned["ssl"], labelled=labelled, title=title, **common)
    else:
        history = pretrain_identity(encoder, pictures, planned["identity"], title=title, **common)
    with slot.finishing() as folder:
        save_backbone(encoder.backbone, folder / "weights.safetensors")
        write_json(folder / "history.json", history)


if __name__ == "__main__":
    app()
