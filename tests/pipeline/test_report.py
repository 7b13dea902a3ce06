"""evaluate and report on a small made-up tree of folders: the table's numbers against a naive computation."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import save_file
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, f1_score
from typer.testing import CliRunner

from fer_core.evaluation.predictions import read_truth
from fer_core.manifest import without_clips
from stages.evaluate import app as evaluate
from stages.report import app as report

CLASSES = [f"Emotion {letter}" for letter in "abcde"]
K, VALIDATION, TEST = len(CLASSES), 120, 300
ISSUE_KEYS = {
    *("technique", "view", "phase", "accuracy", "uar", "macro_f1", "gain", "gain_low", "gain_high"),
    *("claimed_low", "claimed_high", "reference", "p_value", "verdict", "kept", "train_seconds", "n_test"),
    *("applicable", "reason"),
}

# predictor -> (share of right answers, what status.json adds)
PREDICTORS = {
    "train/baseline": (0.45, {"train_seconds": 60.0}),
    "train/alone-au_multitask": (0.62, {"train_seconds": 70.0, "fingerprint": "same"}),
    "train/ladder-au_multitask": (0.62, {"train_seconds": 70.0, "fingerprint": "same"}),
    "train/alone-attention": (0.47, {"train_seconds": 80.0, "converged": False}),
    "train/ladder-attention": (0.58, {"train_seconds": 81.0, "train_accuracy": 0.97}),
    "train/alone-vit": (0.30, {"train_seconds": 90.0}),
    "train/ladder-vit": (0.70, {"train_seconds": 91.0, "pretrain_seconds": 40.0, "before": {"a": 40.0}}),
    "stack/alone": (0.55, {"members": ["train/baseline", "train/alone-vit"], "train_seconds": 150.0}),
    "stack/ladder": (0.72, {"members": ["train/ladder-vit", "train/ladder-attention"]}),
    "tta/baseline": (0.46, {"members": ["train/baseline"], "train_seconds": 60.0, "views": 8}),
    "tta/ladder": (0.73, {"members": ["train/ladder-vit", "train/ladder-attention"], "views": 8}),
}
LADDER = ["au_multitask", "attention", "face_pretraining", "vit", "ensemble", "tta"]
PHASES = {"au_multitask": 1, "attention": 1, "face_pretraining": 1, "vit": 2, "ensemble": 3, "tta": 3}
CLAIMS = {
    "au_multitask": [10, 20],
    "attention": [3, 8],
    "face_pretraining": [5, 10],
    "vit": [5, 12],
    "ensemble": [3, 7],
    "tta": [1, 3],
    "temporal": [10, 20],
}
QUALITY = {  # of synthetic faces, as `judge` leaves it
    **{"state": "done", "faces": 280, "classes": 4, "frechet": 12.345, "frechet_floor": 1.2, "frechet_faces": 150},
    **{"copies_features": 0.25, "copies_pixels": 0.0, "copies_held_out": 300, "features_know_them": False},
}
ALONE = {"ensemble": "stack/alone", "tta": "tta/baseline", "temporal": None}
CANDIDATES = {"ensemble": "stack/ladder", "tta": "tta/ladder"}


def build(root: Path, subjects: bool = False, aus: bool = True) -> None:
    """Write a whole tree below `root`: data/, plans/ and the labels of validation and test."""
    rng = np.random.default_rng(5)
    labels = rng.choice(K, size=VALIDATION + TEST, p=[0.4, 0.3, 0.2, 0.09, 0.01])
    labels[-4:] = [4, 3, 2, 4]  # the rare class has test pictures
    ids = [f"{i:04d}" for i in range(len(labels))]
    split = ["validation"] * VALIDATION + ["test"] * TEST
    manifest = without_clips(pd.DataFrame({"sample_id": ids, "split": split, "drop_reason": None}))
    manifest["subject"] = [f"s{i // 3}" for i in range(len(ids))] if subjects else None
    manifest["emotion"] = pd.array([*labels[:VALIDATION], *[None] * TEST], dtype="Int16")
    au_names = ["AU1", "AU12"] if aus else []
    au_labels = {
        name: np.where(rng.random(len(ids)) < 0.1, np.nan, (rng.random(len(ids)) < 0.3) * 1.0) for name in au_names
    }
    for name, values in au_labels.items():
        manifest[name] = np.where(np.array(split) == "test", np.nan, values).astype(np.float32)
    test = pd.DataFrame({"sample_id": ids[VALIDATION:], "emotion": labels[VALIDATION:], "votes": None})
    test_aus = pd.DataFrame({"sample_id": ids[VALIDATION:]} | {n: v[VALIDATION:] for n, v in au_labels.items()})
    for path in ("data/ingest", "data/join_aus", "plans", "metrics"):
        (root / path).mkdir(parents=True)
    manifest.to_parquet(root / "data/join_aus/manifest.parquet")
    test.sample(frac=1, random_state=0).to_parquet(root / "data/ingest/test_truth.parquet")
    test_aus.to_parquet(root / "data/join_aus/test_aus.parquet")
    (root / "metrics/synthesis.json").write_text(json.dumps(QUALITY))
    card = {"data": "standin", "title": "Made-up faces", "classes": CLASSES, "notes": ["generated faces, not people"]}
    card["clips"] = False
    (root / "data/ingest/card.json").write_text(json.dumps(card))
    for number, (name, (right, extra)) in enumerate(PREDICTORS.items()):
        seed = 7 if extra.get("fingerprint") else number + 10  # equal fingerprints, equal predictions
        write_predictor(root / "data" / name, ids, split, labels, right, extra, seed, len(au_names))
    looked = {"faces": np.full((4, 16, 16, 1), 99, np.uint8), "labels": np.arange(4), "maps": np.full((4, 2, 2), 0.5)}
    save_file(looked, root / "data/train/alone-attention/attention.safetensors")
    for name in ("train/alone-face_pretraining", "train/ladder-face_pretraining"):
        (root / "data" / name).mkdir(parents=True)
        status = {"state": "not_applicable", "reason": "no identities"}
        (root / "data" / name / "status.json").write_text(json.dumps(status))
    write_road(root)


def write_predictor(folder, ids, split, labels, right, extra, seed, aus):
    rng = np.random.default_rng(seed)
    answer = np.where(rng.random(len(ids)) < right, labels, rng.integers(0, K, len(ids)))
    logits = rng.normal(size=(len(ids), K)) + 6.0 * np.eye(K)[answer]
    table = pd.DataFrame({"sample_id": ids, "split": split})
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    table["log_probabilities"] = list(logs.astype(np.float32))
    if aus and "au_multitask" in folder.name:
        table["au_probabilities"] = list(rng.random((len(ids), aus)).astype(np.float32))
    folder.mkdir(parents=True)
    table.sample(frac=1, random_state=seed).to_parquet(folder / "predictions.parquet")
    status = {
        "state": "done",
        "reason": None,
        "train_seconds": 0.0,
        "pretrain_seconds": 0.0,
        "fingerprint": str(folder.name),
        "converged": True,
        "epochs": 3,
        "parameters": 1000,
        "train_accuracy": right,
    }
    (folder / "status.json").write_text(json.dumps(status | extra))
    if "members" not in extra:
        history = [
            {"epoch": e, "train_loss": 1 / e, "validation_loss": 1 / e, "train_accuracy": 0.2 * e}
            | {"validation_macro_f1": 0.15 * e}
            for e in (1, 2, 3)
        ]
        (folder / "history.json").write_text(json.dumps(history))
        (folder / "recipe.yaml").write_text(yaml.safe_dump({"loss": "ce", "sampler": "weighted"}))


def write_road(root: Path) -> None:
    techniques = {
        name: {
            "phase": PHASES.get(name),
            "title": name.replace("_", " "),
            "claimed": claimed,
            "source": "made up",
            "applicable": name not in ("face_pretraining", "temporal"),
            "reason": {"face_pretraining": "no identities", "temporal": "no clips"}.get(name),
            "alone": ALONE.get(name, f"train/alone-{name}"),
            "reference_alone": "train/baseline",
            "candidate": CANDIDATES.get(name, f"train/ladder-{name}") if name in LADDER else None,
        }
        for name, claimed in CLAIMS.items()
    }
    phases = {
        1: {"title": "Phase 1: quick wins", "from": 55, "to": 65, "claimed": [10, 10]},
        2: {"title": "Phase 2: advanced", "from": 65, "to": 75, "claimed": [10, 10]},
        3: {"title": "Phase 3: final", "from": 75, "to": 80, "claimed": [5, None]},
    }
    road = {"data": "standin", "profile": "demo", "seeds": 1, "notes": ["generated faces, not people"]}
    road |= {"phases": phases, "techniques": techniques, "baseline": {"loss": "ce", "au_weight": 0.0}}
    (root / "plans/road.yaml").write_text(yaml.safe_dump(road, sort_keys=False))
    current = "train/baseline"
    for rung in LADDER:
        applicable, reference = rung != "face_pretraining", current
        kept = applicable and rung != "attention"
        candidate = techniques[rung]["candidate"] if applicable else None
        current = candidate if kept else current
        state = {"rung": rung, "applicable": applicable, "reason": None if applicable else "no identities"}
        state |= {
            "recipe": {"loss": "ce", "au_weight": 0.5},
            "kept": kept,
            "candidate": candidate,
            "reference": reference,
            "current": current,
        }
        folder = root / "data/select" / rung
        folder.mkdir(parents=True)
        (folder / "state.yaml").write_text(yaml.safe_dump(state))


def run(app, *args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The tree after both stages; tests only read it."""
    root = tmp_path_factory.mktemp("tree")
    build(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for app in (evaluate, report):
            result = run(app)
            assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A fresh tree, in which the test may break something."""
    build(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def naive_right(root: Path, name: str) -> pd.DataFrame:
    """(truth, prediction) of the test pictures by a plain merge."""
    table = pd.read_parquet(root / "data" / name / "predictions.parquet")
    truth = pd.read_parquet(root / "data/ingest/test_truth.parquet")
    both = truth.merge(table[table.split == "test"], on="sample_id").sort_values("sample_id")
    both["prediction"] = [int(np.argmax(values)) for values in both["log_probabilities"]]
    return both


def rows_of(root: Path) -> list[dict]:
    return json.loads((root / "metrics/gains.json").read_text())


def row_of(root: Path, technique: str, view: str) -> dict:
    (row,) = [row for row in rows_of(root) if (row["technique"], row["view"]) == (technique, view)]
    return row


def test_scores_are_those_of_sklearn(built):
    runs = json.loads((built / "metrics/runs.json").read_text())
    assert set(PREDICTORS) < set(runs)
    for name in PREDICTORS:
        both = naive_right(built, name)
        test = runs[name]["test"]
        assert test["n"] == TEST and test["classes_present"] == K
        assert test["accuracy"] == pytest.approx((both.emotion == both.prediction).mean())
        assert test["uar"] == pytest.approx(balanced_accuracy_score(both.emotion, both.prediction))
        present = sorted(both.emotion.unique())
        macro = f1_score(both.emotion, both.prediction, labels=present, average="macro", zero_division=0)
        assert test["macro_f1"] == pytest.approx(macro)
        nll = -np.mean([logs[label] for logs, label in zip(both.log_probabilities, both.emotion, strict=True)])
        assert test["nll"] == pytest.approx(nll, rel=1e-5)
        assert sum(map(sum, test["confusion"])) == TEST


def test_rows_have_the_issue_keys_in_the_promised_order(built):
    rows = rows_of(built)
    assert all(set(row) >= ISSUE_KEYS for row in rows)
    order = [(row["technique"], row["view"]) for row in rows]
    phases = [(f"phase {n}", "phase") for n in (1, 2, 3)]
    alone = [(name, "alone") for name in CLAIMS]
    assert order == [("baseline", "ladder"), *phases, *alone, *((name, "ladder") for name in LADDER)]


@pytest.mark.parametrize(
    ("technique", "view", "predictor", "reference"),
    [
        ("phase 1", "phase", "train/ladder-au_multitask", "train/baseline"),
        ("phase 2", "phase", "train/ladder-vit", "train/ladder-au_multitask"),
        ("phase 3", "phase", "tta/ladder", "train/ladder-vit"),
        ("vit", "alone", "train/alone-vit", "train/baseline"),
        ("attention", "ladder", "train/ladder-attention", "train/ladder-au_multitask"),
        ("tta", "ladder", "tta/ladder", "stack/ladder"),
    ],
)
def test_gains_equal_a_naive_paired_bootstrap(built, technique, view, predictor, reference):
    row = row_of(built, technique, view)
    new, old = naive_right(built, predictor), naive_right(built, reference)
    gained = (new.prediction == new.emotion).to_numpy(int) - (old.prediction == old.emotion).to_numpy(int)
    assert (row["predictor"], row["reference"]) == (predictor, reference)
    assert row["gain"] == pytest.approx(100 * gained.mean())
    rng = np.random.default_rng(1)
    draws = [100 * rng.choice(gained, TEST).mean() for _ in range(4000)]
    assert [row["gain_low"], row["gain_high"]] == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.7)
    wins, losses = int((gained > 0).sum()), int((gained < 0).sum())
    assert row["p_value"] == pytest.approx(binomtest(wins, wins + losses).pvalue)


def test_verdicts(built):
    verdicts = {(row["technique"], row["view"]): row["verdict"] for row in rows_of(built)}
    assert verdicts["baseline", "ladder"] == "reference"
    assert verdicts["au_multitask", "alone"] == "compatible with the claim"
    assert verdicts["vit", "alone"] == "harmful"
    assert verdicts["tta", "alone"] == "not distinguishable from 0"
    assert verdicts["temporal", "alone"] == "not applicable"


def test_rows_that_do_not_apply_have_a_reason_and_no_numbers(built):
    for view in ("alone", "ladder"):
        row = row_of(built, "face_pretraining", view)
        assert row["applicable"] is False and row["reason"] == "no identities"
        assert all(row[key] is None for key in ("accuracy", "gain", "p_value", "train_seconds", "kept"))
    assert row_of(built, "temporal", "alone")["reason"] == "no clips"


def test_costs_count_each_trained_recipe_once(built):
    assert row_of(built, "ensemble", "alone")["train_seconds"] == 90  # the ViT; the baseline was there
    assert row_of(built, "tta", "alone")["train_seconds"] == 0
    assert row_of(built, "ensemble", "ladder")["train_seconds"] == 81
    assert row_of(built, "phase 1", "phase")["train_seconds"] == 70 + 81  # a rung that was not kept cost too
    assert row_of(built, "phase 2", "phase")["pretrain_seconds"] == 40


def test_alarms_reach_the_table(built):
    assert row_of(built, "attention", "alone")["alarms"] == ["not converged"]
    (gap,) = row_of(built, "attention", "ladder")["alarms"]
    assert gap.startswith("train-validation gap")
    page = (built / "reports/gains.md").read_text()
    assert gap in page


def test_summary_is_flat_short_and_agrees_with_the_rows(built):
    summary = json.loads((built / "metrics/summary.json").read_text())
    assert len(summary) <= 22
    unknown = {key for key, value in summary.items() if value is None}
    assert unknown == {"ceiling_accuracy", "ceiling_macro_f1", "gap_closed", "baseline_seed_sd"}
    assert all(isinstance(value, int | float) for key, value in summary.items() if key not in unknown)
    old, new = naive_right(built, "train/baseline"), naive_right(built, "tta/ladder")
    gain = (new.prediction == new.emotion).mean() - (old.prediction == old.emotion).mean()
    assert summary["final_gain"] == pytest.approx(100 * gain, abs=1e-3)
    assert summary["final_gain_low"] < summary["final_gain"] < summary["final_gain_high"]
    assert summary["phase_3_accuracy"] == summary["final_accuracy"]
    assert summary["rungs_kept"] == 4


def test_the_page_starts_with_the_headline_and_what_the_data_are(built):
    page = (built / "reports/gains.md").read_text()
    tables = [line for line in page.splitlines() if line.startswith("| --- |")]
    assert len(tables) == 3
    head = page[: page.index("##")]
    assert "Generated faces, not people." in head
    assert "the roadmap claims 55 → 80+." in head
    assert f"{TEST} test pictures" in head
    assert page.index("Phase 1: quick wins") < page.index("temporal")
    blocks = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    for block in blocks:
        assert len({line.count("|") for line in block}) == 1


def test_print_only_shows_the_table_and_writes_nothing(built, monkeypatch):
    monkeypatch.chdir(built)
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    result = run(report, "--print-only")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("baseline ")
    assert max(map(len, result.output.splitlines())) <= 120
    for text in ("Phase 1: quick wins", "n/a: no identities", "not converged", "10–20", "Generated faces"):
        assert text in result.output
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == before


def test_the_same_inputs_give_the_same_bytes(built, monkeypatch):
    monkeypatch.chdir(built)
    outputs = [path for folder in ("metrics", "reports") for path in (built / folder).rglob("*") if path.is_file()]
    assert {path.name for path in outputs} == {
        *(
            "synthesis.json",
            "runs.json",
            "gains.json",
            "summary.json",
            "slices.json",
            "gains.md",
        ),
        *("maps.md", "alone-attention.png"),
    }
    before = {path: path.read_bytes() for path in outputs}
    for app in (evaluate, report):
        assert run(app).exit_code == 0
    assert {path: path.read_bytes() for path in outputs} == before


def test_synthetic_faces_are_told_and_ring_where_they_were_trained_on(built, tree):
    table = (built / "reports/gains.md").read_text()
    assert "280 faces of 4 classes" in table and "12.35; between" in table and "25.0 % by features" in table
    recipe = tree / "data/train/alone-vit/recipe.yaml"
    recipe.write_text(yaml.safe_dump({"synthesis": "gan"}))
    assert run(evaluate).exit_code == 0
    runs = json.loads((tree / "metrics/runs.json").read_text())
    for alarm in ("look copied: 25 % by features", "are unlike real ones: Fréchet distance 12.3 against 1.2"):
        told = {name for name, entry in runs.items() if f"synthetic faces {alarm}" in entry["alarms"]}
        assert told == {"train/alone-vit"}
    (tree / "metrics/synthesis.json").unlink()
    result = run(evaluate)
    assert result.exit_code == 1 and "metrics/synthesis.json does not exist" in result.output


def test_attention_is_drawn_for_runs_that_left_it_and_for_no_other(built, tree):
    folder = built / "reports/attention"
    assert {path.name for path in folder.iterdir()} == {"maps.md", "alone-attention.png"}
    assert (folder / "alone-attention.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "maps.md").read_text()
    assert page.count("![") == 1 and "(alone-attention.png)" in page
    (tree / "data/train/alone-attention/attention.safetensors").unlink()
    assert run(evaluate).exit_code == 0 and run(report).exit_code == 0
    assert [path.name for path in (tree / "reports/attention").iterdir()] == ["maps.md"], "an old picture goes"
    assert "No run of this table" in (tree / "reports/attention/maps.md").read_text()


def test_subjects_widen_the_interval_of_repeated_pictures(tree):
    """Three equal pictures of each subject carry the information of one: the interval is sqrt(3) as wide."""
    truth_file = tree / "data/ingest/test_truth.parquet"
    truth = pd.read_parquet(truth_file).sort_values("sample_id").reset_index(drop=True)
    truth["emotion"] = truth["emotion"].to_numpy()[::3].repeat(3)
    truth.to_parquet(truth_file)
    for name in PREDICTORS:
        path = tree / "data" / name / "predictions.parquet"
        table = pd.read_parquet(path).sort_values("sample_id").reset_index(drop=True)
        logs = table["log_probabilities"].to_list()
        table["log_probabilities"] = [logs[i // 3 * 3] for i in range(len(logs))]
        table.to_parquet(path)
    manifest_file = tree / "data/join_aus/manifest.parquet"
    manifest = pd.read_parquet(manifest_file)
    widths = []
    for subjects in (None, [f"s{i // 3}" for i in range(len(manifest))]):
        manifest["subject"] = subjects
        manifest.to_parquet(manifest_file)
        assert run(evaluate).exit_code == 0 and run(report).exit_code == 0
        row = row_of(tree, "au_multitask", "alone")
        widths.append(row["gain_high"] - row["gain_low"])
    assert widths[1] / widths[0] == pytest.approx(3**0.5, rel=0.12)
    assert "resamples of the subjects" in (tree / "reports/gains.md").read_text()


def change(path: Path, edit) -> None:
    edit(pd.read_parquet(path)).to_parquet(path)


BROKEN = {
    "lacks 1 of 300 pictures": lambda t: t.drop(t[t.split == "test"].index[:1]),
    "holds 1 pictures more than once": lambda t: pd.concat([t, t[t.split == "test"].head(1)]),
    "belongs to other data": lambda t: pd.concat([t, t[t.split == "test"].head(1).assign(sample_id="someone else's")]),
    "Expected 5 values a picture": lambda t: t.assign(log_probabilities=[[0.0]] * len(t)),
    "to sum to 1": lambda t: t.assign(log_probabilities=[[0.0] * K] * len(t)),
    "lacks the columns log_probabilities": lambda t: t.drop(columns="log_probabilities"),
}


@pytest.mark.parametrize("message", BROKEN)
def test_broken_predictions_are_refused_by_name(tree, message):
    path = tree / "data/train/alone-vit/predictions.parquet"
    change(path, BROKEN[message])
    result = run(evaluate)
    assert result.exit_code == 1
    assert message in result.output and "alone-vit" in result.output
    assert not (tree / "metrics/runs.json").exists()


@pytest.mark.parametrize(
    "missing",
    [
        "data/train/alone-vit/predictions.parquet",
        "data/train/alone-vit/status.json",
        "data/ingest/test_truth.parquet",
        "data/join_aus/test_aus.parquet",
        "data/ingest/card.json",
    ],
)
def test_missing_files_are_named_in_one_sentence(tree, missing):
    (tree / missing).unlink()
    result = run(evaluate)
    assert result.exit_code == 1
    assert missing in result.output and "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_labels_outside_the_set_are_refused(tree):
    change(tree / "data/ingest/test_truth.parquet", lambda t: t.assign(emotion=[K, *t.emotion[1:]]))
    result = run(evaluate)
    assert result.exit_code == 1 and "Expected an emotion in 0..4" in result.output


def test_the_report_refuses_predictions_that_changed_after_evaluate(tree):
    assert run(evaluate).exit_code == 0
    path = tree / "data/train/alone-vit/predictions.parquet"
    change(path, lambda t: t.assign(log_probabilities=np.roll(t.log_probabilities, 1)))
    result = run(report)
    assert result.exit_code == 1 and "alone-vit" in result.output and "must run again" in result.output


def test_a_missing_rung_is_named(tree):
    assert run(evaluate).exit_code == 0
    (tree / "data/select/vit/state.yaml").unlink()
    result = run(report)
    assert result.exit_code == 1 and "data/select/vit/state.yaml" in result.output


def test_a_phase_without_an_applicable_rung_is_not_applicable_and_the_next_goes_on(tree):
    for rung in ("ensemble", "tta"):
        file = tree / "data/select" / rung / "state.yaml"
        state = yaml.safe_load(file.read_text())
        state |= {"applicable": False, "kept": False, "candidate": None, "reason": "switched off"}
        state |= {"reference": "train/ladder-vit", "current": "train/ladder-vit"}
        file.write_text(yaml.safe_dump(state))
    assert run(evaluate).exit_code == 0 and run(report).exit_code == 0
    row = row_of(tree, "phase 3", "phase")
    assert (row["applicable"], row["reason"], row["gain"]) == (False, "switched off", None)
    summary = json.loads((tree / "metrics/summary.json").read_text())
    assert summary["phase_3_accuracy"] == summary["phase_2_accuracy"] == summary["final_accuracy"]


def test_a_dropped_test_picture_is_not_scored_and_the_table_says_so(tree):
    manifest = tree / "data/join_aus/manifest.parquet"
    change(manifest, lambda t: t.assign(drop_reason=[*t.drop_reason[:-1], "does not decode"]))
    last = pd.read_parquet(manifest)["sample_id"].iloc[-1]
    for name in PREDICTORS:
        change(tree / "data" / name / "predictions.parquet", lambda t: t[t.sample_id != last])
    for app in (evaluate, report):
        result = run(app)
        assert result.exit_code == 0, result.output
    assert row_of(tree, "baseline", "ladder")["n_test"] == TEST - 1
    assert "are not scored: 1." in (tree / "reports/gains.md").read_text()


def test_no_torch_and_no_mlflow_are_imported():
    import subprocess
    import sys

    modules = ["stages.evaluate", "stages.report", "stages.show_gains", "fer_core.evaluation.paired"]
    modules += ["fer_core.evaluation.table", "fer_core.evaluation.figures.ladder", "fer_core.evaluation.page.build"]
    code = f"import sys, {', '.join(modules)}\n"
    code += "assert not {'torch', 'mlflow', 'dvc', 'sklearn'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_truth_follows_the_manifest_whatever_the_order_of_the_truth_file(tree):
    truth = read_truth(
        tree / "data/join_aus/manifest.parquet",
        tree / "data/ingest/test_truth.parquet",
        tree / "data/join_aus/test_aus.parquet",
        K,
    )["test"]
    table = pd.read_parquet(tree / "data/ingest/test_truth.parquet").set_index("sample_id")["emotion"]
    assert truth.labels.tolist() == [table[name] for name in truth.ids]
    assert truth.aus.shape == (TEST, 2) and np.isnan(truth.aus).any()
