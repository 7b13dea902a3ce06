"""The stage `train` on two processes: FER_PROCESSES=2, or torchrun by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from small_project import ROOT, Project

from fer_core.errors import ConfigError
from stages.lib.processes import wanted

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run(root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Project(tmp_path_factory.mktemp("processes"))
    made.write_params(optimizer="sgd", lr=0.05, epochs=2)
    done = run(made.root, "-m", "stages.plan")
    assert done.returncode == 0, done.stderr
    return made.root


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], pd.DataFrame]:
    status, history = (json.loads((folder / name).read_text()) for name in ("status.json", "history.json"))
    return status, history, pd.read_parquet(folder / "predictions.parquet")


@pytest.mark.slow
def test_a_run_by_two_processes_is_the_run_by_one(project: Path) -> None:
    plan = ["baseline", "--plan", "plans/baseline.yaml"]
    both = run(project, "-m", "stages.train", *plan, "--out", "two", FER_PROCESSES="2")
    assert both.returncode == 0, both.stderr[-3000:]
    assert both.stderr.count("epoch 2/2") == 3  # its three seeds, told by one process
    store = project / ".work" / "train"
    store.rename(project / "store-of-two")
    alone = run(project, "-m", "stages.train", *plan, "--out", "one")
    assert alone.returncode == 0, alone.stderr[-3000:]
    (one, curve, answers), (two, other_curve, other_answers) = read(project / "one"), read(project / "two")
    assert two["fingerprint"] == one["fingerprint"]
    for row, other in zip(curve, other_curve, strict=True):
        assert {**other, "seconds": 0} == pytest.approx({**row, "seconds": 0}, rel=5e-3, abs=1e-3)
    assert other_answers["sample_id"].tolist() == answers["sample_id"].tolist()
    for found, expected in zip(other_answers["log_probabilities"], answers["log_probabilities"], strict=True):
        np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.05)
    assert (project / "two" / "seed-1" / "weights.safetensors").exists()
    # two processes add up in another order than one: equal bytes would mean that one did it all
    by_one, by_two = ((project / name / "weights.safetensors").read_bytes() for name in ("one", "two"))
    assert by_one != by_two


@pytest.mark.slow
def test_torchrun_by_hand_takes_what_the_store_has(project: Path) -> None:
    words = ["-m", "stages.train", "baseline", "--plan", "plans/baseline.yaml"]
    first = run(project, *words, "--out", "first")
    again = run(project, *TORCHRUN, *words, "--out", "again")
    assert first.returncode == again.returncode == 0, again.stderr[-3000:]
    assert again.stdout.count("trained before") == 3
    assert (project / "again" / "weights.safetensors").read_bytes() == (
        project / "first" / "weights.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_an_error_is_told_once(project: Path) -> None:
    plan = yaml.safe_load((project / "plans" / "baseline.yaml").read_text())
    plan["recipe"]["weights"], plan["recipe"]["init"] = "nowhere.pth", "face"
    (project / "broken.yaml").write_text(yaml.safe_dump(plan))
    done = run(project, "-m", "stages.train", "baseline", "--plan", "broken.yaml", "--out", "x", FER_PROCESSES="2")
    assert done.returncode == 1
    assert done.stderr.count("error: `weights` in params.yaml names nowhere.pth, which does not exist.") == 1
    assert "Traceback" not in done.stderr
    assert not (project / "x").exists()


@pytest.mark.slow
def test_what_needs_the_whole_batch_runs_in_one_process(project: Path) -> None:
    plan = yaml.safe_load((project / "plans" / "baseline.yaml").read_text()) | {"seeds": 1}
    plan["recipe"]["head"] = "prototype"
    (project / "prototype.yaml").write_text(yaml.safe_dump(plan))
    done = run(project, "-m", "stages.train", "p", "--plan", "prototype.yaml", "--out", "p", FER_PROCESSES="2")
    assert done.returncode == 0, done.stderr
    assert "p: one process instead of 2, as `head: prototype` compares all pictures" in done.stdout
    assert (project / "p" / "weights.safetensors").exists()


def test_the_number_of_processes() -> None:
    assert wanted({}) == wanted({"FER_PROCESSES": ""}) == 1
    assert wanted({"FER_PROCESSES": "8"}) == 8
    assert wanted({"FER_PROCESSES": "8", "TORCHELASTIC_RUN_ID": "x"}) == 1  # they are running
    for text in ("0", "-1", "two", "1.5"):
        with pytest.raises(ConfigError, match=f"FER_PROCESSES to be a whole number from 1 on; got '{text}'"):
            wanted({"FER_PROCESSES": text})
