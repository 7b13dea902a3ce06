"""`fer compare` in a small repository of its own: a commit, a DVC experiment, the workspace, and what is refused."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import Result
from real_road import commit, set_params, shell
from typer.testing import CliRunner

from stages.fer import app

pytestmark = pytest.mark.slow

DAG = """
stages:
  evaluate:
    cmd: python make.py
    params: [loss, limit, broken]
    deps: [make.py]
    outs:
      - data/evaluate
      - metrics/gains.json: {cache: false}
      - metrics/summary.json: {cache: false}
"""
PARAMS = "loss: ce\nlimit: 200\nseeds: 1\nbroken: false\nroadmap: {ema: {decay: 0.9}}\n"
MAKE = '''
"""What evaluate and report write: three predictors, of which `loss` changes two."""
import json, pathlib
import numpy as np, pandas as pd, yaml

params = yaml.safe_load(open("params.yaml"))
n = params["limit"]
labels = np.arange(n) % 3

def answers(rate, seed):
    right = np.random.default_rng(seed).random(n) < rate
    return np.where(right, labels, (labels + 1) % 3)

better = params["loss"] == "cb"
found = {"train/baseline": answers(0.7 if better else 0.4, 5 if better else 1), "train/alone-ema": answers(0.5, 2),
         "train/ladder-ema": answers(0.55, 3 if better else 4)}
table = pd.DataFrame({"sample_id": [f"s{k:03d}" for k in range(n)], "track": "still", "subject": None, "label": labels})
folder = pathlib.Path("data/evaluate")
folder.mkdir(parents=True, exist_ok=True)
pathlib.Path("metrics").mkdir(exist_ok=True)
table.assign(**{k: pd.array(v, dtype="Int16") for k, v in found.items()}).to_parquet(folder / "faces.parquet")
about = {"data": "made up", "title": "Made up", "classes": ["anger", "fear", "joy"]}
(folder / "about.json").write_text(json.dumps(about))
rows = []
for view, technique, predictor, kept in (("ladder", "baseline", "train/baseline", None),
                                         ("alone", "ema", "train/alone-ema", None),
                                         ("ladder", "ema", "train/ladder-ema", True)):
    accuracy = float((found[predictor] == labels).mean())
    rows.append({"view": view, "technique": technique, "title": technique.title(), "predictor": predictor,
                 "accuracy": accuracy, "gain": None, "kept": kept, "applicable": True, "reason": None,
                 "seed_sd": 1.5})
if better:
    rows.append(rows[1] | {"technique": "sam", "title": "Sam"})
json.dump(rows, open("metrics/gains.json", "w"))
json.dump({"n_test": n}, open("metrics/summary.json", "w"))
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commits `older` (without results) and main (loss: ce), experiments `cb` and `less`; the workspace is main's."""
    folder = tmp_path_factory.mktemp("compare") / "project"
    folder.mkdir()
    for name, text in {"dvc.yaml": DAG, "params.yaml": PARAMS, "make.py": MAKE}.items():
        (folder / name).write_text(text, encoding="utf-8")
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    for key, value in {"user.name": "test", "user.email": "test@example.org"}.items():
        run(folder, "git", "config", key, value)
    run(folder, "dvc", "init", "--quiet")
    run(folder, "git", "add", "--all")
    commit(folder, "start")
    run(folder, "git", "branch", "older")
    run(folder, "dvc", "repro", "--quiet")
    run(folder, "git", "add", "--all")
    commit(folder, "results")
    run(folder, "dvc", "exp", "run", "--quiet", "--name", "less", "-S", "limit=150")
    run(folder, "dvc", "exp", "run", "--quiet", "--name", "cb", "-S", "loss=cb", "-S", "limit=200")
    run(folder, "git", "checkout", "--quiet", "--force", "main")
    run(folder, "dvc", "checkout", "--quiet")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to change at will, and the current directory."""
    folder = tmp_path / "project"
    shutil.copytree(made, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    done = shell(folder, *command)
    assert done.returncode == 0, done.stdout
    return done


def fer(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", *arguments])


def refused(*arguments: str) -> str:
    result = fer(*arguments)
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def test_an_experiment_against_a_branch(project: Path) -> None:
    start = time.monotonic()
    result = fer("main", "cb", "--json", "out.json", "--markdown", "out.md", "--resamples", "500")
    assert result.exit_code == 0, result.output
    assert time.monotonic() - start < 20
    assert "A = main, B = cb; every difference is B − A: + means that cb is better" in result.output
    assert "loss: ce -> cb" in result.output
    assert "only in B: Sam (alone) – main: has no such row" in result.output
    assert "±2.1 points" in result.output, "√2 · 1.5"
    assert max(map(len, result.output.splitlines())) <= 120
    told = json.loads(Path("out.json").read_text())
    assert told["params"] == {"loss": ["ce", "cb"]}
    assert [row["title"] for row in told["headline"]] == ["Baseline", "End of the ladder"]
    assert told["headline"][0]["verdict"] == "B is better"
    assert told["headline"][0]["difference"] > 15
    assert [row["verdict"] for row in told["rows"]] == ["same answers", "not distinguishable"]
    assert told["commit_a"] != told["commit_b"]
    text = Path("out.md").read_text()
    assert "# cb against main" in text
    assert "loss: ce -> cb" in text
    assert "| Baseline | ladder |" in text


def test_one_name_is_compared_with_the_workspace(project: Path) -> None:
    run(project, "dvc", "exp", "apply", "cb")
    result = fer("main", "--json", "out.json", "--resamples", "200")
    assert result.exit_code == 0, result.output
    assert "workspace against main" in result.output
    told = json.loads(Path("out.json").read_text())
    assert (told["b"], told["commit_b"], told["headline"][0]["verdict"]) == ("workspace", None, "B is better")
    assert fer("workspace", "main", "--resamples", "200").output.count("A is better") >= 1


def test_nothing_changed_is_said(project: Path) -> None:
    result = fer("HEAD", "--resamples", "200")
    assert "no parameter and no source file differs" in result.output
    assert "2 rows: same answers 2" in result.output


def test_parameters_changed_after_the_results_are_a_warning(project: Path) -> None:
    set_params(project, loss="focal")
    output = " ".join(fer("HEAD", "--resamples", "200").output.split())
    assert "! workspace: its results were made before params.yaml changed (loss ce -> focal)" in output


def test_views_and_order(project: Path) -> None:
    result = fer("main", "cb", "--view", "alone", "--all", "--resamples", "200", "--json", "out.json")
    assert [row["view"] for row in json.loads(Path("out.json").read_text())["rows"]] == ["alone"]
    assert "same answers" in result.output
    fer("main", "cb", "--sort", "gain", "--resamples", "200", "--json", "out.json")
    found = [row["difference"] for row in json.loads(Path("out.json").read_text())["rows"]]
    assert found == sorted(found, reverse=True)
    assert "Did you mean 'alone'?" in refused("main", "cb", "--view", "alon")
    assert "Did you mean 'gain'?" in refused("main", "cb", "--sort", "gains")


def test_unknown_and_equal_revisions(project: Path) -> None:
    assert "Did you mean 'main'?" in refused("mian")
    message = refused("main", "cbb")
    assert "Did you mean 'cb'?" in message
    assert "less" in message
    assert "the same commit" in refused("main", "HEAD")
    assert "the same workspace" in refused("workspace", "workspace")


def test_what_a_revision_lacks_is_named(project: Path) -> None:
    assert "older has no metrics/gains.json, which the stage report writes" in refused("older", "main")
    shutil.rmtree("data/evaluate")
    assert "workspace has no data/evaluate/about.json, which the stage evaluate writes; `dvc repro`" in refused("main")
    shutil.rmtree(".dvc/cache")
    message = refused("main", "cb")
    assert "main: data/evaluate/about.json is an output of that revision" in message
    assert "dvc fetch" in message


def test_other_test_faces_are_refused(project: Path) -> None:
    message = refused("main", "less")
    assert "expected the same test faces; got 200 in main and 150 in less, 50 only in main (such as s150)" in message


def test_broken_files_are_named(project: Path) -> None:
    Path("metrics/gains.json").write_text("[{", encoding="utf-8")
    assert "workspace: metrics/gains.json is not valid JSON" in refused("main")
    run(project, "git", "checkout", "metrics/gains.json")
    Path("data/evaluate/faces.parquet").unlink()
    Path("data/evaluate/faces.parquet").write_text("no table", encoding="utf-8")
    assert "workspace: data/evaluate/faces.parquet is no Parquet file" in refused("main")


def test_from_a_folder_below_the_root(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "metrics")
    assert fer("main", "cb", "--resamples", "200", "--json", "out.json").exit_code == 0
    assert (project / "metrics" / "out.json").exists()


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "is in no DVC repository" in refused("main")


def test_help_is_quick_and_clear() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert all(name in result.output for name in ("compare", "ceiling", "gains", "ui"))
