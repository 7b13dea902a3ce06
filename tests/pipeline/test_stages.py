"""The stages that plan, train and choose, one after another in a small repository, and how they refuse bad input."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file
from small_project import CLASSES, COUNTS, ROOT, Project
from typer.testing import CliRunner

from fer_core.files import read_json, read_yaml, write_json, write_yaml


def call(name: str, *arguments: str) -> Result:
    """Run a stage in this process, as its command line would."""
    return CliRunner().invoke(importlib.import_module(f"stages.{name}").app, list(arguments))


def run(name: str, *arguments: str) -> str:
    result = call(name, *arguments)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


def shell(folder: Path, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a stage as a process, in `folder`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", f"stages.{name}", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


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
    return Project(tmp_path)


@pytest.fixture
def planned(project: Project) -> Project:
    run("plan")
    return project


def train(name: str, source: str = "plans") -> str:
    return run("train", name, "--plan", f"{source}/{name}.yaml")


def trained(name: str) -> dict[str, Any]:
    status: dict[str, Any] = read_json(Path("data/train") / name / "status.json")
    return status


# ---- plan


def test_planning_writes_every_plan_that_is_known_beforehand(planned: Project) -> None:
    wiring = planned.params()["runs"]
    known = {f"{name}.yaml" for name, item in wiring.items() if item["source"] == "plans"}
    pretrain = {f"pretrain/{name}.yaml" for name in planned.params()["backbones"]}
    pretrain |= {f"clips/{name}.yaml" for name in planned.params()["clip_runs"]}
    assert set(files(Path("plans"))) == known | pretrain | {"road.yaml", "state.yaml", "synthesis.yaml"}
    assert read_yaml(Path("plans/state.yaml"))["current"] is None
    assert read_yaml(Path("plans/baseline.yaml"))["recipe"]["epochs"] == 3


def test_planning_again_writes_the_same_bytes_and_drops_what_is_no_longer_planned(planned: Project) -> None:
    before = files(Path("plans"))
    Path("plans/alone-forgotten.yaml").write_text("run: alone-forgotten\n")
    run("plan")
    assert files(Path("plans")) == before


def test_planning_says_what_does_not_apply(project: Project) -> None:
    card = read_json(Path("data/ingest/card.json"))
    write_json(Path("data/ingest/card.json"), card | {"aus": False})
    assert "au_multitask: not applicable, no AU labels" in run("plan")


# ---- train


def test_a_trained_run_leaves_what_the_contract_says(planned: Project) -> None:
    train("alone-au_multitask")
    folder = Path("data/train/alone-au_multitask")
    assert set(files(folder)) == {
        "weights.safetensors",
        "recipe.yaml",
        "history.json",
        "predictions.parquet",
        "status.json",
        "alignment.json",
        "labels.json",
    }
    table = pd.read_parquet(folder / "predictions.parquet")
    assert set(table.columns) == {"sample_id", "split", "log_probabilities", "au_probabilities"}, "and no label"
    assert table["split"].value_counts().to_dict() == {split: COUNTS[split] for split in ("validation", "test")}
    assert np.allclose(np.exp(np.stack(table["log_probabilities"])).sum(1), 1, atol=1e-5)
    assert np.stack(table["log_probabilities"]).shape[1] == len(CLASSES)
    assert np.stack(table["au_probabilities"]).shape[1] == 2
    status = trained("alone-au_multitask")
    keys = {"state", "reason", "train_seconds", "pretrain_seconds", "fingerprint", "converged", "epochs", "best_epoch"}
    assert keys | {"parameters", "train_accuracy", "au_f1"} <= set(status)
    assert status["state"] == "done" and status["epochs"] == 3 and 1 <= status["best_epoch"] <= 3
    assert status["converged"] is None, "three epochs are too few to tell"
    assert status["train_seconds"] > 0 and 0 <= status["train_accuracy"] <= 1
    assert read_yaml(folder / "recipe.yaml") == read_yaml(Path("plans/alone-au_multitask.yaml"))["recipe"]
    assert len(read_json(folder / "history.json")) == 3


def test_a_run_without_aus_predicts_none(planned: Project) -> None:
    train("baseline")
    assert "au_probabilities" not in pd.read_parquet("data/train/baseline/predictions.parquet").columns
    assert trained("baseline")["au_f1"] is None


def test_a_run_whose_attention_weighs_places_leaves_where_it_looks(planned: Project) -> None:
    planned.write_params(attention="au_guided")
    run("plan")
    train("baseline")
    seen = load_file("data/train/baseline/attention.safetensors")
    shown = planned.table["split"] == "validation"
    crops = planned.pixels[shown.to_numpy()]
    assert seen["labels"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert all((crops == face.numpy()).all(axis=(1, 2, 3)).any() for face in seen["faces"]), "validation faces only"
    assert seen["maps"].shape[0] == seen["taught"].shape[0] == 8
    assert all(row["attention_loss"] > 0 for row in read_json(Path("data/train/baseline/history.json")))


def test_a_run_that_does_not_apply_leaves_its_reason_alone(planned: Project) -> None:
    folder = Path("data/train/alone-vit")
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_text("of an earlier experiment")
    train("alone-vit")
    assert set(files(folder)) == {"status.json"}
    assert trained("alone-vit") == {"state": "not_applicable", "reason": "not in the smoke profile"}


def test_an_equal_recipe_is_trained_once_whatever_the_run_is_called(planned: Project) -> None:
    train("baseline")
    assert "trained before" in train("base-current")
    first = {name: found for name, found in files(Path("data/train/baseline")).items() if "/" not in name}
    assert first == files(Path("data/train/base-current")), "the baseline has more seeds beside its first"
    assert "trained before" not in train("alone-au_multitask")


def test_going_back_to_an_earlier_recipe_trains_nothing(planned: Project) -> None:
    train("baseline")
    before = files(Path("data/train/baseline"))
    planned.write_params(loss="focal")
    run("plan")
    assert "trained before" not in train("baseline")
    planned.write_params()
    run("plan")
    assert "trained before" in train("baseline")
    assert files(Path("data/train/baseline")) == before


def test_training_again_from_nothing_gives_the_same_predictions(planned: Project, monkeypatch: Any) -> None:
    train("baseline")
    monkeypatch.setenv("DVC_ROOT", str(planned.root / "elsewhere"))
    run("train", "baseline", "--plan", "plans/baseline.yaml", "--out", "again")
    for name in ("predictions.parquet", "weights.safetensors", "recipe.yaml"):
        assert Path("again", name).read_bytes() == Path("data/train/baseline", name).read_bytes()


def test_test_pictures_decide_nothing(planned: Project) -> None:
    """Weights and validation predictions are the same whatever the test pictures show."""
    train("baseline")
    before = pd.read_parquet("data/train/baseline/predictions.parquet")
    weights = Path("data/train/baseline/weights.safetensors").read_bytes()
    planned.scramble("test")
    assert "trained before" not in train("baseline")
    after = pd.read_parquet("data/train/baseline/predictions.parquet")
    assert Path("data/train/baseline/weights.safetensors").read_bytes() == weights
    for split, same in (("validation", True), ("test", False)):
        stacks = [np.stack(item[item["split"] == split]["log_probabilities"]) for item in (before, after)]
        assert np.array_equal(*stacks) is same


def test_an_interrupted_run_goes_on(planned: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_core.progress import Bar

    train("baseline")
    whole = files(Path("data/train/baseline"))
    monkeypatch.setenv("DVC_ROOT", str(planned.root / "elsewhere"))

    def interrupt(self: Bar, *steps: int, **figures: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "advance", interrupt)
        result = call("train", "baseline", "--plan", "plans/baseline.yaml")
    assert result.exit_code == 130 and "run the same command to go on" in result.output
    assert list((planned.root / "elsewhere/.work/train").glob("*/work/last.pt"))
    assert not list((planned.root / "elsewhere/.work/train").glob("*/done"))
    skipped: list[int] = []
    monkeypatch.setattr(Bar, "skip", lambda self, steps: skipped.append(steps))
    train("baseline")
    assert skipped == [1, 0, 0], "the first seed goes on, the others begin"
    resumed = files(Path("data/train/baseline"))
    for name in ("predictions.parquet", "weights.safetensors"):
        assert resumed[name] == whole[name]


def test_weights_that_pretrain_has_not_made_are_told(planned: Project) -> None:
    result = call("train", "alone-face_pretraining", "--plan", "plans/alone-face_pretraining.yaml")
    assert result.exit_code == 1
    assert "data/pretrain/resnet/identity.safetensors does not exist; run the pretrain stage of resnet" in result.output


def test_a_missing_file_of_weights_is_told(planned: Project) -> None:
    plan = read_yaml(Path("plans/baseline.yaml"))
    plan["recipe"] |= {"init": "face", "weights": "my_face_model.safetensors"}
    write_yaml(Path("plans/baseline.yaml"), plan)
    result = call("train", "baseline", "--plan", "plans/baseline.yaml")
    assert result.exit_code == 1 and "`weights` in params.yaml names my_face_model.safetensors" in result.output


# ---- pretrain


def test_pretraining_makes_what_is_asked_for_and_runs_start_from_it(planned: Project) -> None:
    run("pretrain", "resnet")
    kinds = ["ssl", "identity", "ssl_identity"]
    assert set(files(Path("data/pretrain/resnet"))) == {
        *(f"{kind}.safetensors" for kind in kinds),
        "history.json",
        "status.json",
    }
    status = read_json(Path("data/pretrain/resnet/status.json"))
    assert set(status["seconds"]) == set(kinds) and len(set(status["fingerprints"].values())) == 3
    assert status["seconds"]["ssl_identity"] >= status["seconds"]["ssl"]
    history = read_json(Path("data/pretrain/resnet/history.json"))
    assert all(0 <= history["ssl"][-1][probe] <= 1 for probe in ("knn_uar", "probe_uar"))
    train("baseline")
    train("alone-face_pretraining")
    before = trained("alone-face_pretraining")
    assert before["pretrain_seconds"] == status["seconds"]["identity"]
    assert trained("baseline")["pretrain_seconds"] == 0
    folder = Path("data/train")
    assert read_json(folder / "alone-face_pretraining/pretraining.json") == {"identity": history["identity"]}
    assert not (folder / "baseline/pretraining.json").exists()
    weights = Path("data/train/baseline/weights.safetensors").read_bytes()
    assert Path("data/train/alone-face_pretraining/weights.safetensors").read_bytes() != weights
    identity = Path("data/pretrain/resnet/identity.safetensors")
    identity.write_bytes(Path("data/pretrain/resnet/ssl.safetensors").read_bytes())
    assert "trained before" not in train("alone-face_pretraining"), "other first weights, another run"


def test_a_backbone_that_nobody_asks_for_is_not_pretrained(planned: Project) -> None:
    assert "no run asks" in run("pretrain", "efficientnet")
    assert set(files(Path("data/pretrain/efficientnet"))) == {"history.json", "status.json"}
    assert read_json(Path("data/pretrain/efficientnet/status.json"))["state"] == "not_needed"


@pytest.mark.parametrize("pool", [True, False], ids=["pool", "no pool"])
def test_pretraining_looks_at_the_pool_or_else_at_train_pictures(
    pool: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, pool=pool)
    run("plan")

    def weights() -> dict[str, bytes]:
        run("pretrain", "resnet")
        made = files(Path("data/pretrain/resnet"))
        return {name: content for name, content in made.items() if name.endswith(".safetensors")}

    before = weights()
    project.scramble("validation", "test", *(["train"] if pool else []))
    assert weights() == before
    project.scramble("pool" if pool else "train")
    after = weights()
    assert all(after[name] != before[name] for name in before)


# ---- select


def candidate(name: str, right: float, seed: int = 0) -> None:
    """A predictor that is right on a share of the validation pictures."""
    manifest = pd.read_parquet("data/join_aus/manifest.parquet")
    rows = manifest[manifest["split"].isin(["validation", "test"])]
    labels = rows["emotion"].fillna(0).to_numpy(int)
    rng = np.random.default_rng(seed)
    answers = np.where(rng.permutation(len(labels)) < right * len(labels), labels, (labels + 1) % len(CLASSES))
    logs = np.log(np.full((len(rows), len(CLASSES)), 0.1) + 0.6 * np.eye(len(CLASSES))[answers]).astype(np.float32)
    folder = Path("data") / name
    folder.mkdir(parents=True, exist_ok=True)
    table = rows[["sample_id", "split"]].assign(log_probabilities=list(logs))
    table.to_parquet(folder / "predictions.parquet", index=False)
    status = {"state": "done", "reason": None, "fingerprint": f"{name}-{seed}", "converged": True}
    costs = {"train_seconds": 1.0, "pretrain_seconds": 0.0, "parameters": 10}
    write_json(folder / "status.json", status | costs)


def select(rung: str, after: str, predictor: str) -> dict[str, Any]:
    run("select", rung, "--after", after, "--candidate", predictor)
    state: dict[str, Any] = read_yaml(Path("data/select") / rung / "state.yaml")
    return state


def test_a_rung_is_kept_when_validation_is_not_worse_and_its_recipe_goes_on(planned: Project) -> None:
    candidate("train/baseline", 0.5)
    first = select("baseline", "plans", "train/baseline")
    assert first["kept"] and first["current"] == "train/baseline" and first["reference"] is None
    assert first["recipe"] == read_yaml(Path("plans/road.yaml"))["baseline"]
    assert set(files(Path("data/select/baseline"))) == {"state.yaml", "ladder-au_multitask.yaml"}
    candidate("train/ladder-au_multitask", 0.9)
    better = select("au_multitask", "data/select/baseline", "train/ladder-au_multitask")
    assert better["kept"] and better["current"] == "train/ladder-au_multitask"
    assert better["reference"] == "train/baseline" and better["kept_rungs"] == ["baseline", "au_multitask"]
    assert better["recipe"]["au_weight"] == 0.5
    validation = better["validation"]
    assert validation["score"] > validation["before"] == first["validation"]["score"] and validation["error"] > 0
    assert validation["classes"] == 4
    candidate("train/ladder-au_multitask", 0.2)
    worse = select("au_multitask", "data/select/baseline", "train/ladder-au_multitask")
    assert not worse["kept"] and worse["current"] == "train/baseline" and worse["recipe"]["au_weight"] == 0
    assert worse["candidate"] == "train/ladder-au_multitask"
    assert worse["validation"]["before"] == first["validation"]["score"]


def test_the_next_rungs_plan_builds_on_what_was_kept(planned: Project) -> None:
    candidate("train/baseline", 0.5)
    select("baseline", "plans", "train/baseline")
    plan = read_yaml(Path("data/select/baseline/ladder-au_multitask.yaml"))
    assert plan["recipe"] == read_yaml(Path("plans/alone-au_multitask.yaml"))["recipe"]


def test_a_rung_that_does_not_apply_changes_nothing(planned: Project) -> None:
    candidate("train/baseline", 0.5)
    first = select("baseline", "plans", "train/baseline")
    write_json(Path("data/train/ladder-vit/status.json"), {"state": "not_applicable", "reason": "no clips"})
    state = select("vit", "data/select/baseline", "train/ladder-vit")
    assert (state["applicable"], state["reason"], state["kept"], state["candidate"]) == (False, "no clips", False, None)
    assert state["current"] == "train/baseline" and state["recipe"] == first["recipe"]


@pytest.mark.parametrize("better", [True, False])
def test_the_last_rung_retrains_the_ensemble_only_where_it_was_kept(better: bool, planned: Project) -> None:
    candidate("train/baseline", 0.5)
    select("baseline", "plans", "train/baseline")
    candidate("stack/ladder", 0.9 if better else 0.1)
    select("ensemble", "data/select/baseline", "stack/ladder")
    candidate("tta/ladder", 0.95)
    state = select("tta", "data/select/ensemble", "tta/ladder")
    assert ("ensemble" in state["kept_rungs"]) is better
    plan = read_yaml(Path("data/select/tta/final-vit.yaml"))
    assert plan["applicable"] is better
    assert plan["reason"] == (None if better else "the ensemble was not kept")
    assert read_yaml(Path("data/select/tta/final-current.yaml"))["applicable"]


def test_choosing_needs_no_test_label_and_no_test_prediction(planned: Project) -> None:
    candidate("train/baseline", 0.5)
    before = select("baseline", "plans", "train/baseline")
    path = Path("data/train/baseline/predictions.parquet")
    table = pd.read_parquet(path)
    table[table["split"] == "validation"].to_parquet(path, index=False)
    assert select("baseline", "plans", "train/baseline") == before


# ---- stack and tta


def test_a_member_with_the_same_recipe_counts_once(planned: Project) -> None:
    for seed, member in enumerate(("base-vit", "base-resnet")):
        candidate(f"train/{member}", 0.6, seed)
    candidate("train/base-current", 0.6, 1)
    status = read_json(Path("data/train/base-resnet/status.json"))
    write_json(Path("data/train/base-current/status.json"), status)
    write_json(Path("data/train/base-efficientnet/status.json"), {"state": "not_applicable", "reason": "left out"})
    run("stack", "alone", "--group", "base")
    found = read_json(Path("data/stack/alone/status.json"))
    assert found["members"] == ["train/base-resnet", "train/base-vit"]
    assert found["train_seconds"] == 2.0 and found["parameters"] == 20
    report = read_json(Path("data/stack/alone/weights.json"))
    assert set(report["validation"]) == {"mean", "voting", "weighted", "greedy", "logistic"}
    assert report["method"] == max(report["validation"], key=lambda name: report["validation"][name])
    table = pd.read_parquet("data/stack/alone/predictions.parquet")
    assert list(table.columns) == ["sample_id", "split", "log_probabilities"]
    assert table["split"].value_counts().to_dict() == {split: COUNTS[split] for split in ("validation", "test")}


def test_a_single_member_stands_as_it_is(planned: Project) -> None:
    candidate("train/final-current", 0.6)
    for member in ("resnet", "vit", "efficientnet"):
        path = Path(f"data/train/final-{member}/status.json")
        write_json(path, {"state": "not_applicable", "reason": "the ensemble was not kept"})
    run("stack", "final", "--group", "final")
    assert read_json(Path("data/stack/final/status.json"))["method"] == "single"
    before, after = (
        pd.read_parquet(f"data/{name}/predictions.parquet").set_index("sample_id")["log_probabilities"].sort_index()
        for name in ("train/final-current", "stack/final")
    )
    assert np.array_equal(np.stack(before), np.stack(after))


def test_a_stack_without_members_says_why(planned: Project) -> None:
    for member in ("current", "resnet", "vit", "efficientnet"):
        path = Path(f"data/train/final-{member}/status.json")
        write_json(path, {"state": "not_applicable", "reason": "switched off in params.yaml"})
    run("stack", "final", "--group", "final")
    status = {"state": "not_applicable", "reason": "switched off in params.yaml"}
    assert read_json(Path("data/stack/final/status.json")) == status
    run("tta", "final", "--of", "stack/final", "--only-if-kept")
    assert read_json(Path("data/tta/final/status.json")) == status


def test_several_views_of_a_run_and_of_a_stack(planned: Project) -> None:
    for name in ("baseline", "base-resnet", "base-vit"):
        train(name)
    for name in ("base-current", "base-efficientnet"):
        write_json(Path(f"data/train/{name}/status.json"), {"state": "not_applicable", "reason": "left out"})
    run("stack", "alone", "--group", "base")
    for name, of in (("baseline", "train/baseline"), ("alone", "stack/alone")):
        run("tta", name, "--of", of, "--state", "plans/state.yaml")
        status = read_json(Path(f"data/tta/{name}/status.json"))
        assert status["views"] == planned.params()["tta"]["views"] and status["milliseconds_per_face"] > 0
        assert status["train_seconds"] == read_json(Path(f"data/{of}/status.json"))["train_seconds"]
        tables = [pd.read_parquet(f"data/{path}/predictions.parquet") for path in (of, f"tta/{name}")]
        one, several = (table.set_index("sample_id")["log_probabilities"].sort_index() for table in tables)
        assert set(one.index) == set(several.index)
        assert not np.allclose(np.stack(one), np.stack(several))
        assert np.allclose(np.exp(np.stack(several)).sum(1), 1, atol=1e-5)
    assert read_json(Path("data/tta/alone/status.json"))["members"] == ["train/base-resnet", "train/base-vit"]


def test_where_tta_was_dropped_the_final_predictor_has_one_view(planned: Project) -> None:
    train("baseline")
    state = read_yaml(Path("plans/state.yaml"))
    for kept, views in (([], 1), (["tta"], 8)):
        write_yaml(Path("state.yaml"), state | {"kept_rungs": kept})
        run("tta", "final", "--of", "train/baseline", "--state", "state.yaml", "--only-if-kept")
        assert read_json(Path("data/tta/final/status.json"))["views"] == views
        if views == 1:
            one, same = (
                pd.read_parquet(f"data/{name}/predictions.parquet").set_index("sample_id").sort_index()
                for name in ("train/baseline", "tta/final")
            )
            stacks = [np.stack(table["log_probabilities"]) for table in (one, same)]
            assert np.allclose(*stacks, atol=1e-5)


def test_tta_takes_the_single_model_where_the_ensemble_was_dropped(planned: Project) -> None:
    train("baseline")
    train("base-vit")
    state = read_yaml(Path("plans/state.yaml"))
    for kept, member in (([], "train/base-vit"), (["ensemble"], "train/baseline")):
        write_yaml(Path("state.yaml"), state | {"kept_rungs": kept})
        run("tta", "ladder", "--of", "train/baseline", "--state", "state.yaml", "--single", "train/base-vit")
        assert read_json(Path("data/tta/ladder/status.json"))["members"] == [member]


# ---- bad input


def one_sentence(result: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert result.returncode == 1, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    assert all(word in lines[0] for word in words), result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_stage_in_another_directory_says_where_it_belongs(tmp_path: Path) -> None:
    one_sentence(shell(tmp_path, "plan"), "params.yaml was not found", str(tmp_path), "repository root")
    assert list(tmp_path.iterdir()) == []


def test_a_typo_in_params_is_one_sentence_and_the_old_plans_stay(planned: Project) -> None:
    before = files(Path("plans"))
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("sampler: weighted", "smapler: weighted"))
    one_sentence(shell(planned.root, "plan"), "'smapler'", "Did you mean 'sampler'")
    Path("params.yaml").write_text(text.replace("loss: ce ", "loss: focl "))
    one_sentence(
        shell(planned.root, "plan"), "Expected `loss` to be one of balanced_softmax, cb, ", "Did you mean 'focal'"
    )
    assert files(Path("plans")) == before


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    result = shell(tmp_path, "plan", "--debug")
    assert result.returncode != 0 and "Traceback" in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("loss: [ce", ["params.yaml is not valid YAML"]),
        ("- a list", ["to hold a mapping of keys", "list"]),
        ("", ["to hold a mapping of keys"]),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(text: str, words: list[str], project: Project) -> None:
    Path("params.yaml").write_text(text)
    result = call("plan")
    assert result.exit_code == 1
    assert all(word in result.output for word in words), result.output


@pytest.mark.parametrize(
    ("stage", "arguments", "words"),
    [
        ("train", ["baseline", "--plan", "plans/nowhere.yaml"], ["plans/nowhere.yaml does not exist"]),
        ("train", ["basline", "--plan", "plans/basline.yaml"], ["plans/basline.yaml does not exist"]),
        ("pretrain", ["resnext"], ["plans/pretrain/resnext.yaml does not exist"]),
        ("select", ["baseline", "--after", "plans", "--candidate", "train/baseline"], ["train/baseline/status.json"]),
        ("stack", ["alone", "--group", "base"], []),
        ("tta", ["baseline", "--of", "train/baseline"], ["train/baseline/status.json does not exist"]),
    ],
)
def test_what_has_not_been_made_yet_is_named(
    stage: str, arguments: list[str], words: list[str], planned: Project
) -> None:
    result = call(stage, *arguments)
    if stage == "stack":
        assert result.exit_code == 0
        assert read_json(Path("data/stack/alone/status.json"))["reason"] == "no member was planned"
        return
    assert result.exit_code == 1 and result.output.startswith("error: "), result.output
    assert all(word in result.output for word in words), result.output


def test_a_plan_without_a_card_says_what_has_not_run(project: Project) -> None:
    Path("data/ingest/card.json").unlink()
    one_sentence(shell(project.root, "plan"), "data/ingest/card.json does not exist", "has not run")
    assert not Path("plans").exists()


# ---- run


def test_another_profile_for_one_run_leaves_the_file_as_it_was(project: Project) -> None:
    from fer_core.errors import ConfigError
    from stages.run import under_profile

    path = Path("params.yaml")
    before = path.read_bytes()
    for error in (None, KeyboardInterrupt, RuntimeError):
        try:
            with under_profile("demo", path):
                assert project.params()["profile"] == "demo"
                changed = path.read_text(encoding="utf-8").splitlines()
                plain = before.decode().splitlines()
                assert [a for a, b in zip(plain, changed, strict=True) if a != b] == [
                    next(line for line in plain if line.startswith("profile:"))
                ]
                if error:
                    raise error
        except (KeyboardInterrupt, RuntimeError):
            pass
        assert path.read_bytes() == before
    with pytest.raises(ConfigError, match="Did you mean 'demo'"), under_profile("dmo", path):
        pass
    with under_profile(None, path), under_profile("smoke", path):
        assert path.read_bytes() == before
