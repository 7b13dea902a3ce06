"""Judge the synthetic faces: how far from real ones as a whole, and whether they are copies of train faces.

Reads  data/synthesise, the baseline's model (its features are the measure), the manifest, the aligned faces, the card.
Writes metrics/synthesis.json and reports/synthetic/: faces.png, real faces beside synthetic ones and the train faces
       nearest to them; faces.md, which shows it, or says that there are none.

Validation faces serve as the real ones that the GAN never saw. Test faces are not looked at.
"""

from pathlib import Path
from typing import Any

import typer

from fer_core.evaluation.synthesis_lines import synthesis_lines
from fer_core.files import read_json, read_yaml, write_json, write_text
from stages.lib.common import DATA, DEBUG, METRICS, REPORTS, stage
from stages.lib.store import replace_folder

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    synthetic: Path = DATA / "synthesise",
    baseline: Path = DATA / "train" / "baseline",
    joined: Path = typer.Option(DATA / "join_aus", help="Folder with manifest.parquet and aus.json."),
    faces: Path = DATA / "align" / "faces.npy",
    card: Path = DATA / "ingest" / "card.json",
    metrics: Path = METRICS,
    reports: Path = REPORTS,
    debug: bool = DEBUG,
) -> None:
    """Measure the synthetic faces and draw them, or say that there are none."""
    folder = reports / "synthetic"
    replace_folder(folder)
    if read_json(synthetic / "status.json")["state"] != "done":
        write_json(metrics / "synthesis.json", {"state": "not_needed"})
        write_text(folder / "faces.md", "# Synthetic faces\n\nNo run asks for synthetic faces.\n")
        return
    figures = _judge(synthetic, baseline, joined, faces, read_json(card), folder)
    write_json(metrics / "synthesis.json", {"state": "done", **figures})
    print("\n".join(synthesis_lines(read_json(metrics / "synthesis.json"))[2:-1]))


def _judge(
    synthetic: Path, baseline: Path, joined: Path, faces: Path, card: dict[str, Any], folder: Path
) -> dict[str, Any]:
    from fer_core.evaluation.plots.synthetic import draw_synthetic
    from fer_core.labels import from_card
    from fer_core.manifest import read_manifest
    from fer_core.models.cpu import prepare_cpu
    from fer_core.recipe import Recipe
    from fer_core.synthesis.quality import judge
    from fer_core.synthesis.saved import load_synthesiser
    from fer_core.training.faces import load_faces
    from fer_core.training.runs import load_run

    prepare_cpu()
    names = read_json(joined / "aus.json")["names"]
    table = read_manifest(joined / "manifest.parquet")
    train, validation = (load_faces(table, faces, [split], names) for split in ("train", "validation"))
    made = load_faces(read_manifest(synthetic / "manifest.parquet"), synthetic / "faces.npy", ["train"], names)
    recipe = Recipe.from_dict(read_yaml(baseline / "recipe.yaml"))
    weights = baseline / "weights.safetensors"
    model = load_run(recipe, weights, train.pixels.shape[3], from_card(card), len(names))
    synthesiser = load_synthesiser(synthetic / "generator.safetensors")
    quality = judge(synthesiser, made.pixels, model.encoder, train, validation, seed=recipe.seed)
    rows = {}
    for label in made.labels.unique().tolist():
        own = made.labels == label
        real = train.pixels[train.labels == label]
        near = train.pixels[quality.features.nearest[own]]
        rows[card["classes"][label]] = (real.numpy(), made.pixels[own].numpy(), near.numpy())
    note = " ".join(f"{said[0].upper()}{said[1:]}." for said in [*card["notes"], "nearest by the baseline's features"])
    page = "No class had too few faces.\n"  # alignment may leave other counts than were planned for
    if rows:
        draw_synthetic(folder / "faces.png", rows, "Synthetic faces of the GAN", note)
        page = "![Real, synthetic and nearest train faces](faces.png)\n"
    write_text(folder / "faces.md", f"# Synthetic faces\n\n{page}")
    knows = recipe.synthesis != "none"  # then its features were learned from these very faces
    return {**quality.to_dict(), "faces": len(made), "classes": len(rows), "features_know_them": knows}


if __name__ == "__main__":
    app()
