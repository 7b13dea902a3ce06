"""What evaluate writes besides scores, on the made-up tree of test_report: calibration, seeds, answers to each face."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from test_report import CLASSES, PREDICTORS, TEST, K, build, run, write_predictor

from fer_core.evaluation.calibration import expected_calibration_error, scaled
from fer_core.evaluation.metrics import COMMON
from stages.evaluate import app as evaluate


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The tree after evaluate, with subjects, a second seed and a run of leave-one-out; tests only read it."""
    root = tmp_path_factory.mktemp("tree")
    build(root, subjects=True)
    manifest = pd.read_parquet(root / "data/join_aus/manifest.parquet")
    path = root / "data/ingest/test_truth.parquet"
    table = pd.read_parquet(path)
    rare = table.index[table.emotion == K - 1]
    table.loc[rare[3:], "emotion"] = 0  # three test pictures are left of the rare class
    table.to_parquet(path)
    truth = table.set_index("sample_id")["emotion"]
    labels = truth.reindex(manifest.sample_id).fillna(manifest.set_index("sample_id")["emotion"]).to_numpy(int)
    for name, seed in (("train/baseline/seed-1", 90), ("without/vit", 91)):
        write_predictor(root / "data" / name, manifest.sample_id, manifest.split, labels, 0.4, {}, seed, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        result = run(evaluate)
    assert result.exit_code == 0, result.output
    return root


def runs_of(root):
    return json.loads((root / "metrics/runs.json").read_text())


def predictions(root, name, split):
    """(labels, log-probabilities) by a plain merge."""
    table = pd.read_parquet(root / "data" / name / "predictions.parquet")
    truth = pd.read_parquet(root / "data/ingest/test_truth.parquet")
    if split == "validation":
        truth = pd.read_parquet(root / "data/join_aus/manifest.parquet")
        truth = truth[truth.split == "validation"][["sample_id", "emotion"]]
    both = truth.merge(table[table.split == split], on="sample_id").sort_values("sample_id")
    return both.emotion.to_numpy(int), np.stack(both.log_probabilities.to_list())


def test_seeds_and_leave_one_out_are_scored(built):
    runs = runs_of(built)
    for name in ("train/baseline/seed-1", "without/vit"):
        assert runs[name]["state"] == "done" and runs[name]["test"]["n"] == TEST


def test_the_temperature_is_that_of_validation_and_lowers_its_likelihood(built):
    runs = runs_of(built)
    assert len({runs[name]["temperature"] for name in PREDICTORS}) > 5, "each has its own"
    for name in PREDICTORS:
        run_, temperature = runs[name], runs[name]["temperature"]
        labels, logs = predictions(built, name, "validation")

        def loss(t, labels=labels, logs=logs):
            return -scaled(logs, t)[np.arange(len(labels)), labels].mean()

        assert run_["validation"]["nll_scaled"] == pytest.approx(loss(temperature))
        assert run_["validation"]["nll_scaled"] <= min(run_["validation"]["nll"], loss(0.99 * temperature))
        assert run_["validation"]["nll_scaled"] <= loss(1.01 * temperature)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_calibration_before_and_after(built, split):
    for name in PREDICTORS:
        found = runs_of(built)[name]
        labels, logs = predictions(built, name, split)
        softened = scaled(logs, found["temperature"])
        assert found[split]["ece"] == pytest.approx(expected_calibration_error(labels, logs))
        assert found[split]["ece_scaled"] == pytest.approx(expected_calibration_error(labels, softened))
        nll = -softened[np.arange(len(labels)), labels].mean()
        assert found[split]["nll_scaled"] == pytest.approx(nll)


def test_common_classes_are_those_with_five_test_pictures(built):
    labels, logs = predictions(built, "train/baseline", "test")
    common = [k for k in range(K) if (labels == k).sum() >= COMMON]
    assert 1 < len(common) < K, "the rare class is left out"
    test = runs_of(built)["train/baseline"]["test"]
    assert test["classes_common"] == len(common)
    recalls = [(logs.argmax(axis=1)[labels == k] == k).mean() for k in common]
    assert test["uar_common"] == pytest.approx(np.mean(recalls))
    assert test["macro_f1_common"] > test["macro_f1"]


def test_what_has_no_predictions_has_no_temperature(built):
    entry = runs_of(built)["train/alone-face_pretraining"]
    assert entry["temperature"] is None and entry["test"] is None


def test_every_answer_to_every_test_face_is_kept(built):
    faces = pd.read_parquet(built / "data/evaluate/faces.parquet")
    runs = runs_of(built)
    done = [name for name, entry in runs.items() if entry["state"] == "done"]
    assert list(faces.columns) == ["sample_id", "track", "subject", "label", *done]
    assert len(faces) == TEST and set(faces.track) == {"still"}
    assert faces.label.dtype == "int16" and {str(faces[name].dtype) for name in done} == {"Int16"}
    manifest = pd.read_parquet(built / "data/join_aus/manifest.parquet").set_index("sample_id")
    assert faces.subject.tolist() == manifest.loc[faces.sample_id, "subject"].tolist()
    in_order = faces.sort_values("sample_id")
    for name in done:
        labels, logs = predictions(built, name, "test")
        assert in_order.label.tolist() == labels.tolist()
        assert in_order[name].tolist() == logs.argmax(axis=1).tolist()
        assert (faces[name] == faces.label).mean() == pytest.approx(runs[name]["test"]["accuracy"])


def test_about_says_what_the_data_are(built):
    about = json.loads((built / "data/evaluate/about.json").read_text())
    assert about == {"data": "standin", "title": "Made-up faces", "classes": CLASSES}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    build(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_unknown_subjects_are_null_and_out_faces_moves_the_folder(tree):
    assert run(evaluate, "--out-faces", "elsewhere").exit_code == 0
    assert not (tree / "data/evaluate").exists()
    assert pd.read_parquet(tree / "elsewhere/faces.parquet").subject.isna().all()


def test_alarms_of_histories_and_splits_reach_the_runs(tree):
    folder = tree / "data/train/alone-vit"
    rows = [{"epoch": n, "train_loss": loss, "validation_loss": loss} for n, loss in enumerate([2, 1, 3, 4, 5], 1)]
    rows[-1] |= {"emotion_loss": 4.0, "au_loss": 0.01}
    (folder / "history.json").write_text(json.dumps(rows))
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"au_weight": 0.5}))
    labels = pd.read_parquet(tree / "data/join_aus/manifest.parquet").set_index("sample_id")["emotion"]
    path = folder / "predictions.parquet"
    table = pd.read_parquet(path)
    good = np.log(np.full((K, K), 0.01) + (1 - 0.01 * K) * np.eye(K)).astype(np.float32)
    table["log_probabilities"] = [
        good[labels[name]] if split == "validation" else values
        for name, split, values in zip(table.sample_id, table.split, table.log_probabilities, strict=True)
    ]
    table.to_parquet(path)
    assert run(evaluate).exit_code == 0
    told = runs_of(tree)["train/alone-vit"]["alarms"]
    for beginning in ("validation and test disagree beyond", "diverging: train loss", "loss terms 800 times apart"):
        assert sum(text.startswith(beginning) for text in told) == 1, told
    others = {text for name, entry in runs_of(tree).items() if "vit" not in name for text in entry["alarms"]}
    assert not [text for text in others if text.startswith(("validation and", "diverging", "loss terms"))]


def test_a_predictor_of_impossible_truths_has_no_temperature_and_no_broken_numbers(tree):
    path = tree / "data/train/alone-vit/predictions.parquet"
    table = pd.read_parquet(path)
    certain = np.full(K, -np.inf)
    certain[0] = 0.0
    table["log_probabilities"] = [certain] * len(table)
    table.to_parquet(path)
    result = run(evaluate)
    assert result.exit_code == 0, result.output
    entry = runs_of(tree)["train/alone-vit"]
    assert entry["temperature"] is None and entry["test"]["nll"] is None and entry["test"]["nll_scaled"] is None
    assert entry["test"]["ece"] == pytest.approx(1 - entry["test"]["accuracy"])
    assert entry["test"]["ece_scaled"] is None
