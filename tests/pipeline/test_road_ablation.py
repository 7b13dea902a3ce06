"""Ablations on the real road: an experiment costs what it changes, has a gains table of its own, and loses nothing."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_road import Road, commit, environment, ran, set_params

from fer_core.files import read_json, read_yaml
from stages.lib.warm import warm_process

pytestmark = pytest.mark.slow

BEFORE_PLAN = ("generate", "ingest", "align", "join_aus", "pretrain")
QUEUE_SECONDS = 400


class Lab:
    """The finished road under the smoke profile, committed, and what `dvc` does there."""

    def __init__(self, clone: Path, environment: dict[str, str]) -> None:
        self.clone, self.environment = clone, environment

    def shell(self, *command: str) -> str:
        pipe = subprocess.PIPE
        result = subprocess.run(
            command, cwd=self.clone, env=self.environment, stdout=pipe, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert result.returncode == 0, result.stdout[-4000:]
        return result.stdout

    def experiment(self, *arguments: str) -> "Done":
        before = self.recipes()
        return Done(self.shell("dvc", "exp", "run", *arguments), before, self.recipes())

    def recipes(self) -> dict[str, Any]:
        """The resolved recipe of every run that was trained."""
        folders = (self.clone / "data/train").glob("[!.]*/recipe.yaml")
        return {path.parent.name: read_yaml(path) for path in folders}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Every gains table in MLflow: the experiment's name to its rows."""
        script = (
            "import json; from mlflow import MlflowClient; c = MlflowClient('sqlite:///mlflow.db')\n"
            "print('FOUND', json.dumps({e.name: [{**r.data.params, **r.data.tags} for r in "
            "c.search_runs([e.experiment_id], max_results=1000)] for e in c.search_experiments()}))"
        )
        found = self.shell(sys.executable, "-c", script).split("FOUND", 1)[1]
        experiments: dict[str, list[dict[str, Any]]] = json.loads(found)
        return experiments


class Done:
    """One experiment: the stages that ran, the runs that were trained, and those whose recipe changed."""

    def __init__(self, output: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        self.output, self.stages = output, ran(output)
        self.trained = set(re.findall(r"^train (\S+): epoch \d+/\d+", output, re.MULTILINE))
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        self.changed, self.after = changed & set(after), after

    def ran(self, stage: str) -> set[str]:
        return {name.partition("@")[2] for name in self.stages if name.startswith(f"{stage}@")}


@pytest.fixture(scope="module")
def lab(road: Road, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    assert road.first.returncode == 0, road.first.stdout[-3000:]
    clone = tmp_path_factory.mktemp("lab") / "road"
    shutil.copytree(road.clone, clone, symlinks=True)
    (clone / "mlflow.db").unlink()  # it names artifacts by their whole paths
    shutil.rmtree(clone / "mlartifacts")
    set_params(clone, profile="smoke")
    with warm_process(environment(clone)) as warm:
        lab = Lab(clone, warm)
        lab.shell("dvc", "repro")
        lab.shell("git", "add", "params.yaml", "dvc.lock", "metrics", "reports")
        commit(clone, "the road")
        yield lab
        subprocess.run(["dvc", "queue", "stop", "--kill"], cwd=clone, env=lab.environment, check=False)


@pytest.fixture(scope="module")
def plain(lab: Lab) -> dict[str, Any]:
    summary: dict[str, Any] = read_json(lab.clone / "metrics/summary.json")
    return summary


@pytest.fixture(scope="module")
def focal(lab: Lab, plain: dict[str, Any]) -> Done:
    return lab.experiment("--name", "focal", "-S", "loss=focal")


def test_another_loss_trains_what_it_changes_and_nothing_upstream(lab: Lab, focal: Done) -> None:
    assert not [name for name in focal.stages if name.split("@")[0] in BEFORE_PLAN]
    assert focal.stages[0] == "plan" and focal.stages[-1] == "track"
    # in the smoke profile no technique sets the loss itself: every run has another recipe now
    assert focal.changed == set(focal.after) and all(recipe["loss"] == "focal" for recipe in focal.after.values())
    assert focal.trained and focal.trained <= focal.changed <= focal.ran("train")
    idle = {path.parent.name for path in (lab.clone / "data/train").glob("*/status.json")} - set(focal.after)
    unplanned = {name for name in idle if name.partition("-")[0] in ("alone", "base")}
    assert unplanned and not unplanned & focal.ran("train"), "a run that does not apply has nothing to do"


def test_equal_recipes_are_trained_once(focal: Done) -> None:
    distinct = {str(sorted(recipe.items())) for recipe in focal.after.values()}
    assert len(focal.trained) == len(distinct)


def test_back_at_the_earlier_loss_nothing_is_trained(lab: Lab, focal: Done, plain: dict[str, Any]) -> None:
    back = lab.experiment("--name", "back", "-S", "loss=ce")
    assert not back.trained and back.changed
    assert read_json(lab.clone / "metrics/summary.json") == plain


@pytest.fixture(scope="module")
def lighter(lab: Lab, focal: Done) -> Done:
    lab.shell("git", "checkout", "--quiet", "--", ".")
    lab.shell("dvc", "checkout", "--quiet")
    return lab.experiment("--name", "lighter", "-S", "roadmap.au_multitask.set.au_weight=0.3")


def test_another_setting_of_one_technique_trains_that_rung_and_what_builds_on_it(lighter: Done) -> None:
    assert not [name for name in lighter.stages if name.split("@")[0] in BEFORE_PLAN]
    assert {"alone-au_multitask", "ladder-au_multitask"} <= lighter.changed
    assert lighter.trained <= lighter.changed
    apart = {"baseline", "alone-face_pretraining", "alone-self_supervised", "base-current", "base-resnet", "base-vit"}
    assert apart <= set(lighter.after) and not apart & lighter.ran("train")
    assert lighter.after["alone-au_multitask"]["au_weight"] == 0.3


def test_experiments_are_listed_with_the_summarys_columns(lab: Lab, focal: Done, lighter: Done) -> None:
    shown = list(csv.DictReader(io.StringIO(lab.shell("dvc", "exp", "show", "--csv", "--precision", "10"))))
    rows = {row["Experiment"]: row for row in shown}
    assert {"focal", "lighter"} <= set(rows)
    for key, value in read_json(lab.clone / "metrics/summary.json").items():
        assert value is None or float(rows["lighter"][key]) == pytest.approx(value), key
    assert rows["focal"]["loss"] == "focal" and rows["lighter"]["loss"] == "ce"


@pytest.fixture(scope="module")
def queued(lab: Lab, focal: Done) -> str:
    """Two experiments side by side, in copies of the repository."""
    lab.shell("git", "checkout", "--quiet", "--", ".")
    lab.shell("dvc", "exp", "run", "--queue", "-S", "loss=focal,cb", "-S", "sampler=none")
    lab.shell("dvc", "queue", "start", "--jobs", "2")
    end = time.monotonic() + QUEUE_SECONDS
    while True:
        status = lab.shell("dvc", "queue", "status")
        if not re.search(r"\b(Queued|Running)\b", status):
            return status
        assert time.monotonic() < end, status
        time.sleep(2)


def test_the_queue_runs_two_experiments_side_by_side(lab: Lab, queued: str) -> None:
    tasks = re.findall(r"^(\w+)\s+(\S*)\s+.*\b(Success|Failed)\b", queued, re.MULTILINE)
    logs = [lab.shell("dvc", "queue", "logs", task) for task, _, state in tasks if state == "Failed"]
    assert [state for _, _, state in tasks] == ["Success", "Success"], "".join(logs)[-4000:]


def test_a_copy_of_the_repository_takes_what_was_trained_before(lab: Lab, queued: str) -> None:
    again = lab.experiment("--temp", "--name", "temp", "-S", "loss=cb", "-S", "sampler=none")
    assert set(again.stages) <= {"plan", "evaluate", "report", "track"}, "all else comes from DVC's cache"
    assert again.stages[-1] == "track" and not again.trained and not again.changed


def test_every_experiment_has_one_gains_table_of_its_own(lab: Lab, queued: str, lighter: Done) -> None:
    tables = {name: rows for name, rows in lab.tables().items() if name.startswith("gains · ")}
    baselines = {}
    for name, rows in tables.items():
        by_name = {row["mlflow.runName"]: row for row in rows}
        assert len(by_name) == len(rows) == len(read_json(lab.clone / "metrics/gains.json")), name
        baselines[name] = (by_name["Baseline"]["loss"], by_name["Baseline"]["sampler"])
    assert sorted(baselines.values()) == [
        ("cb", "none"),
        ("ce", "weighted"),  # the road itself, to which "back" led, and "lighter"
        ("ce", "weighted"),
        ("focal", "none"),
        ("focal", "weighted"),
    ]
    (rows,) = [rows for name, rows in tables.items() if name.endswith("lighter")]
    (row,) = [row for row in rows if row["mlflow.runName"] == "alone: AU multi-task"]
    assert row["au_weight"] == "0.3"


def test_a_lost_database_is_written_again_without_training(lab: Lab, queued: str) -> None:
    lab.shell("git", "checkout", "--quiet", "--", ".")
    lab.shell("dvc", "checkout", "--quiet")
    (lab.clone / "mlflow.db").unlink()
    shutil.rmtree(lab.clone / "mlartifacts")
    output = lab.shell("dvc", "repro")
    assert ran(output) == ["track"]
    tables = lab.tables()
    (gains,) = [rows for name, rows in tables.items() if name.startswith("gains · ")]
    assert len(gains) == len(read_json(lab.clone / "metrics/gains.json"))
