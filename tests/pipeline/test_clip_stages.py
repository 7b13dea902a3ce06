"""`train_clips` in a small repository whose manifest has clips: what it leaves, starts from, and does not apply to."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_project import CLASSES, SIZE, Project
from test_stages import call, files, on_the_cpu, run, train  # noqa: F401

from fer_core.files import read_json, read_yaml, write_json
from fer_core.manifest import read_manifest, write_manifest

CLIPS = {"train": 8, "validation": 6, "test": 5}
FRAMES = 3


class ClipProject(Project):
    """A small repository with clips behind the stills; their frames look like stills of their class."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        stills = len(self.table)
        rows: list[dict[str, Any]] = []
        for split, count in CLIPS.items():
            for number in range(count):
                clip = f"clips/{split}{number}"
                rows += [
                    {"sample_id": f"{clip}/{frame}", "split": split, "subject": f"c{split}{number}", "clip_id": clip}
                    | {"frame": frame, "emotion": None if split == "test" else number % len(CLASSES)}
                    for frame in range(FRAMES)
                ]
        more = pd.DataFrame(rows)
        more["source"], more["picture"] = "made up", more["sample_id"] + ".png"
        more["crop_index"] = np.arange(stills, stills + len(more))
        joined = read_manifest(root / "data/join_aus/manifest.parquet")
        table = pd.concat([joined, more.reindex(columns=joined.columns)], ignore_index=True)
        table = table.astype({"emotion": "Int16", "frame": "Int16", "crop_index": "Int32"})
        write_manifest(root / "data/join_aus/manifest.parquet", table, "join_aus", len(CLASSES))
        labels = np.array([int(name.split("/")[1].strip("abcdefghijklmnopqrstuvwxyz")) for name in more["sample_id"]])
        np.save(root / "data/align/faces.npy", np.concatenate([self.pixels, self._draw(labels % len(CLASSES))]))
        card = read_json(root / "data/ingest/card.json")
        write_json(root / "data/ingest/card.json", card | {"clips": True})


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClipProject:
    monkeypatch.chdir(tmp_path)
    project = ClipProject(tmp_path)
    run("plan")
    train("baseline")
    return project


def train_clips(name: str) -> str:
    return run("train_clips", name, "--plan", f"plans/clips/{name}.yaml")


def status_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(Path("data/clips") / name / "status.json")
    return found


def test_a_run_leaves_one_prediction_a_clip_and_no_label(clips: ClipProject) -> None:
    for name in ("baseline", "lstm", "still"):
        train_clips(name)
        folder = Path("data/clips") / name
        assert set(files(folder)) == {
            *("weights.safetensors", "recipe.yaml", "history.json", "predictions.parquet", "status.json")
        }
        table = pd.read_parquet(folder / "predictions.parquet")
        assert list(table) == ["sample_id", "split", "log_probabilities"]
        assert table["split"].value_counts().to_dict() == {"validation": 6, "test": 5}
        assert table["sample_id"].str.fullmatch(r"clips/(validation|test)\d").all()
        probabilities = np.exp(np.stack(table["log_probabilities"].tolist()))
        assert np.allclose(probabilities.sum(1), 1, atol=1e-4)
        assert status_of(name)["clips"] == CLIPS
    assert status_of("still")["train_seconds"] == 0 == status_of("still")["epochs"]
    recipe = read_yaml(Path("data/clips/lstm/recipe.yaml"))
    assert status_of("lstm")["epochs"] == recipe["epochs"] == 3 and recipe["size"] == SIZE


def test_stills_of_the_baseline_are_averaged_as_they_are(clips: ClipProject) -> None:
    """By the baseline's own predictions of the frames, one after another."""
    import torch

    from fer_core.labels import from_card
    from fer_core.recipe import Recipe
    from fer_core.training.runs import load_run

    train_clips("still")
    folder = Path("data/train/baseline")
    labels = from_card(read_json(Path("data/ingest/card.json")))
    recipe = Recipe.from_dict(read_yaml(folder / "recipe.yaml"))
    model = load_run(recipe, folder / "weights.safetensors", 1, labels, 2).eval()
    table = read_manifest(Path("data/join_aus/manifest.parquet"))
    rows = table[table["clip_id"] == "clips/test1"]
    pixels = np.load("data/align/faces.npy")[rows["crop_index"].to_numpy(np.int64)]
    with torch.inference_mode():
        frames = model(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255).logits.softmax(1)
    found = pd.read_parquet("data/clips/still/predictions.parquet").set_index("sample_id")
    mean = frames.mean(0).numpy()
    assert np.allclose(np.exp(found.loc["clips/test1", "log_probabilities"]), mean, atol=1e-5)


def test_runs_start_from_the_stills_baseline_and_are_trained_once(clips: ClipProject) -> None:
    train_clips("lstm")
    first = status_of("lstm")["fingerprint"]
    assert "trained before" in train_clips("lstm")
    clips.write_params(epochs=2)
    run("plan")
    train("baseline")
    train_clips("lstm")
    assert status_of("lstm")["fingerprint"] != first
    before = status_of("lstm")["fingerprint"]
    clips.write_params(epochs=2, au_weight=0.5)  # other weights of the baseline, and nothing of clips
    run("plan")
    train("baseline")
    train_clips("lstm")
    assert status_of("lstm")["fingerprint"] != before


def test_a_set_without_clips_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Project(tmp_path)
    run("plan")
    assert "not applicable, no clips" in train_clips("lstm")
    assert set(files(Path("data/clips/lstm"))) == {"status.json"}
    assert status_of("lstm") == {"state": "not_applicable", "reason": "no clips"}


def test_clips_that_align_lost_leave_the_track_not_applicable(clips: ClipProject) -> None:
    path = Path("data/join_aus/manifest.parquet")
    table = read_manifest(path)
    lost = table["split"].eq("validation") & table["clip_id"].notna()
    table.loc[lost, "drop_reason"] = "made up"
    table.loc[lost, "crop_index"] = pd.NA
    kept = table["crop_index"].notna()
    table.loc[kept, "crop_index"] = np.arange(kept.sum())
    write_manifest(path, table, "join_aus", len(CLASSES))
    assert "not applicable, no clip of validation with a frame that can be used" in train_clips("lstm")


def test_without_the_baseline_it_says_what_is_missing(clips: ClipProject) -> None:
    Path("data/train/baseline/weights.safetensors").unlink()
    result = call("train_clips", "lstm", "--plan", "plans/clips/lstm.yaml")
    assert result.exit_code == 1 and "data/train/baseline/weights.safetensors" in result.output
    assert not Path("data/clips/lstm").exists()
