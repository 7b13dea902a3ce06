"""The whole road in miniature, with the real DVC and MLflow: `python -m stages.run --profile smoke` on a fresh copy."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
KEYS = [
    "technique",
    "view",
    "phase",
    "accuracy",
    "uar",
    "macro_f1",
    "gain",
    "gain_low",
    "gain_high",
    "claimed_low",
    "claimed_high",
    "reference",
    "p_value",
    "verdict",
    "kept",
    "train_seconds",
    "n_test",
    "applicable",
    "reason",
]
TECHNIQUES = [
    "au_multitask",
    "attention",
    "face_pretraining",
    "vit",
    "augmentation",
    "imbalance",
    "ensemble",
    "tta",
    "self_supervised",
    "temporal",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None, reason="DVC needs git"),
]


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_"))}
    env |= {"PATH": os.pathsep.join(paths), "PYTHONPATH": str(root), "MLFLOW_DISABLE_TELEMETRY": "true"}
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A copy of the working tree as git sees it, and the road run in it once."""
    root = tmp_path_factory.mktemp("road")
    listed = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z").stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, root / name
        if source.exists() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    (root / "dvc.lock").unlink(missing_ok=True)
    run(root, "git", "init", "-q")
    run(root, "git", "add", "-A")
    run(root, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "copy")
    params = (root / "params.yaml").read_text(encoding="utf-8")
    first = run(root, sys.executable, "-m", "stages.run", "--profile", "smoke")
    restored = (root / "params.yaml").read_text(encoding="utf-8") == params
    (root / "params.yaml").write_text(params.replace("profile: demo", "profile: smoke", 1), encoding="utf-8")
    second = run(root, "dvc", "repro")
    return {"root": root, "first": first, "second": second, "restored": restored}


@pytest.fixture(scope="module")
def rows(road: dict[str, Any]) -> list[dict[str, Any]]:
    assert road["first"].returncode == 0, road["first"].stdout[-3000:] + road["first"].stderr[-3000:]
    found: list[dict[str, Any]] = json.loads((road["root"] / "metrics/gains.json").read_text(encoding="utf-8"))
    return found


def test_the_table_has_every_row_and_key(rows):
    assert rows[0]["technique"] == "baseline"
    assert all(set(KEYS) <= set(row) for row in rows)
    assert [row["technique"] for row in rows if row["view"] == "phase"] == ["phase 1", "phase 2", "phase 3"]
    assert [row["technique"] for row in rows if row["view"] == "alone"] == TECHNIQUES
    assert [row["technique"] for row in rows if row["view"] == "ladder"][-9:] == TECHNIQUES[:-1]


def test_what_applies_has_numbers_and_the_rest_a_reason(rows):
    for row in rows[1:]:
        if row["applicable"]:
            assert row["gain_low"] <= row["gain"] <= row["gain_high"], row
            assert 0 <= row["accuracy"] <= 1 and row["n_test"] > 0 and row["verdict"], row
        else:
            assert row["verdict"] == "not applicable" and row["reason"] and row["accuracy"] is None, row
    by_name = {row["technique"]: row for row in rows if row["view"] == "alone"}
    assert by_name["temporal"]["reason"] == "no clips"
    assert by_name["vit"]["reason"] == "not in the smoke profile"
    for name in ("au_multitask", "face_pretraining", "ensemble", "tta", "self_supervised"):
        assert by_name[name]["applicable"], by_name[name]


def test_a_rung_is_kept_by_validation_alone(road, rows):
    runs = json.loads((road["root"] / "metrics/runs.json").read_text(encoding="utf-8"))
    for row in rows:
        if row["view"] == "ladder" and row["applicable"] and row["kept"] is not None:
            better = (
                runs[row["predictor"]]["validation"]["macro_f1"] >= runs[row["reference"]]["validation"]["macro_f1"]
            )
            assert row["kept"] == better, row


def test_the_summary_is_flat_and_dvc_shows_it(road, rows):
    summary = json.loads((road["root"] / "metrics/summary.json").read_text(encoding="utf-8"))
    assert all(value is None or isinstance(value, int | float | str) for value in summary.values())
    shown = run(road["root"], "dvc", "metrics", "show")
    assert shown.returncode == 0 and "baseline_accuracy" in shown.stdout


def test_the_report_says_what_the_faces_are(road, rows):
    text = (road["root"] / "reports/gains.md").read_text(encoding="utf-8")
    assert "enerated faces, not people" in text
    for picture in ("ladder.png", "learning_curves.png", "confusion/baseline.png", "confusion/final.png"):
        assert (road["root"] / "reports" / picture).read_bytes().startswith(b"\x89PNG")


def test_the_terminal_shows_the_table_and_the_way_to_mlflow(road, rows):
    out = road["first"].stdout
    assert "AU multi-task" in out and "make ui" in out
    assert (road["root"] / "mlflow.db").exists()


def test_params_are_put_back(road, rows):
    assert road["restored"]


def test_a_second_repro_runs_track_alone(road, rows):
    assert road["second"].returncode == 0, road["second"].stderr
    started = [line for line in road["second"].stdout.splitlines() if line.startswith("Running stage")]
    assert started == ["Running stage 'track':"], started
    assert "everything is there already" in road["second"].stdout


def test_training_needs_no_test_label(road, rows, tmp_path):
    root = road["root"]
    for name in ("data/ingest/test_truth.parquet", "data/join_aus/test_aus.parquet"):
        (root / name).unlink()
    shutil.rmtree(root / ".work")  # so that the baseline is really trained again
    for stage, out, done in (
        (["stages.train", "baseline", "--plan", "plans/baseline.yaml"], "train", "data/train/baseline"),
        (["stages.stack", "alone", "--group", "base"], "stack", "data/stack/alone"),
    ):
        again = run(root, sys.executable, "-m", *stage, "--out", str(tmp_path / out))
        assert again.returncode == 0, again.stderr
        file = "predictions.parquet"
        assert (tmp_path / out / file).read_bytes() == (root / done / file).read_bytes(), stage
