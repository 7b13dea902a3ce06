"""Experiments in copies of the repository: DVC's queue, two at a time, and `--temp`; and a database that was lost."""

import re
import shutil
import time

import pytest
from real_road import ran
from road_lab import Lab

from fer_core.files import read_json

pytestmark = pytest.mark.slow

QUEUE_SECONDS = 400


@pytest.fixture(scope="module")
def queued(lab: Lab) -> str:
    """Two experiments side by side, in copies of the repository."""
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
    assert set(again.stages) <= {"plan", "evaluate", "report", "page", "track"}, "all else comes from DVC's cache"
    assert again.stages[-1] == "track" and not again.trained and not again.changed


def test_every_experiment_has_one_gains_table_of_its_own(lab: Lab, queued: str) -> None:
    found = lab.baselines()
    assert sorted(found.values()) == [("cb", "none"), ("ce", "weighted"), ("focal", "none")]


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
