"""Synthetic faces through the stages: made of train faces, flagged, trained on, judged, and told in the report."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from small_project import CLASSES, Project
from typer.testing import CliRunner

from fer_core.evaluation.synthesis_lines import synthesis_lines
from fer_core.files import read_json, read_yaml, write_yaml
from fer_core.manifest import read_manifest, validate
from fer_core.training.faces import FaceSet

HERE = Path("data/synthesise")


def call(name: str, *arguments: str) -> Result:
    return CliRunner().invoke(importlib.import_module(f"stages.{name}").app, list(arguments))


def run(name: str, *arguments: str) -> str:
    result = call(name, *arguments)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path)
    made.write_params(synthesis="gan")
    run("plan")
    wanted = read_yaml(Path("plans/synthesis.yaml"))
    wanted["gan"] |= {"per_class": 10, "width": 4}
    write_yaml(Path("plans/synthesis.yaml"), wanted)
    return made


def test_every_class_is_raised_and_every_face_flagged(project: Project) -> None:
    assert run("synthesise").endswith("8 synthetic faces of 4 classes\n")
    table = read_manifest(HERE / "manifest.parquet")
    validate(table, "synthesise", len(CLASSES))
    assert table["synthetic"].all() and set(table["split"]) == {"train"}
    assert table["emotion"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3], "eight of ten were there"
    assert table[["AU1", "AU4"]].isna().all().all(), "nobody annotated them"
    assert np.load(HERE / "faces.npy").shape == (8, 32, 32, 1)
    status = read_json(HERE / "status.json")
    assert status["state"] == "done" and status["made"] == {str(k): 2 for k in range(4)}
    assert read_json(HERE / "history.json")[-1]["step"] == 20


def test_it_has_seen_train_faces_only_and_is_made_once(project: Project) -> None:
    run("synthesise")
    before = (HERE / "faces.npy").read_bytes()
    assert "made before" in run("synthesise")
    project.scramble("validation", "test", "pool")
    assert "made before" not in run("synthesise"), "the pictures are other ones"
    assert (HERE / "faces.npy").read_bytes() == before
    project.scramble("train")
    run("synthesise")
    assert (HERE / "faces.npy").read_bytes() != before


def test_a_run_that_asks_for_them_trains_on_them_and_no_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fer_core.training import loop

    shown: list[FaceSet] = []

    def watched(recipe, sets, *arguments):  # type: ignore[no-untyped-def]
        shown.append(sets["train"])
        return train(recipe, sets, *arguments)

    train = loop.train
    monkeypatch.setattr(loop, "train", watched)
    run("synthesise")
    run("train", "baseline", "--plan", "plans/baseline.yaml")
    faces = shown[0]
    assert len(faces) == 40 and faces.synthetic == 8
    assert (faces.pixels[32:].numpy() == np.load(HERE / "faces.npy")).all()
    assert faces.aus[32:].isnan().all() and faces.votes.shape == (40, 0)
    status = read_json(Path("data/train/baseline/status.json"))
    assert status["pretrain_seconds"] == read_json(HERE / "status.json")["seconds"] > 0, "the GAN's time counts"
    assert (32 * status["train_accuracy"]) % 1 == pytest.approx(0), "of the real faces"
    before = status["fingerprint"]
    plan = read_yaml(Path("plans/synthesis.yaml"))
    write_yaml(Path("plans/synthesis.yaml"), plan | {"gan": plan["gan"] | {"noise": 8}})
    run("synthesise")
    run("train", "baseline", "--plan", "plans/baseline.yaml")
    assert read_json(Path("data/train/baseline/status.json"))["fingerprint"] != before
    run("train", "ensemble", "--plan", "plans/base-vit.yaml", "--out", "data/train/base-vit")
    assert shown[-1].synthetic == 8
    write_yaml(Path("plain.yaml"), _without(read_yaml(Path("plans/baseline.yaml"))))
    run("train", "plain", "--plan", "plain.yaml")
    assert shown[-1].synthetic == 0 and len(shown[-1]) == 32


def _without(plan):  # type: ignore[no-untyped-def]
    return plan | {"recipe": plan["recipe"] | {"synthesis": "none"}}


def test_they_are_judged_by_the_baselines_features_beside_real_faces(project: Project) -> None:
    run("synthesise")
    run("train", "baseline", "--plan", "plans/baseline.yaml")
    assert "Fréchet distance" in run("judge")
    figures = read_json(Path("metrics/synthesis.json"))
    assert figures["state"] == "done" and (figures["faces"], figures["classes"]) == (8, 4)
    assert figures["frechet"] > figures["frechet_floor"] >= 0 and figures["frechet_faces"] == 12
    assert 0 <= figures["copies_features"] <= 1 and figures["copies_held_out"] == 24
    assert Path("reports/synthetic/faces.png").stat().st_size > 1000
    told = "\n".join(synthesis_lines(figures))
    assert "8 faces of 4 classes" in told and f"{figures['frechet']:.2f}" in told
    before = Path("metrics/synthesis.json").read_bytes()
    project.scramble("test", "pool")
    run("judge")
    assert Path("metrics/synthesis.json").read_bytes() == before, "test faces are not looked at"


def test_where_no_run_asks_nothing_is_made_and_the_stages_say_so(project: Project) -> None:
    project.write_params()
    run("plan")
    assert read_yaml(Path("plans/synthesis.yaml")) == {"wanted": False}
    assert run("synthesise") == "no run asks for synthetic faces\n"
    assert [path.name for path in HERE.iterdir()] == ["status.json"]
    run("judge")
    assert read_json(Path("metrics/synthesis.json")) == {"state": "not_needed"}
    assert "No run asks" in Path("reports/synthetic/faces.md").read_text()
    assert synthesis_lines({"state": "not_needed"}) == []


def test_what_is_missing_is_named(project: Project) -> None:
    result = call("train", "baseline", "--plan", "plans/baseline.yaml")
    assert result.exit_code == 1 and "data/synthesise/manifest.parquet" in result.output, result.output
    run("synthesise")
    (HERE / "generator.safetensors").unlink()
    run("train", "plain", "--plan", "plans/baseline.yaml", "--out", "data/train/baseline")
    result = call("judge")
    assert result.exit_code == 1 and "generator.safetensors" in result.output, result.output
