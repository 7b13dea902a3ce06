"""The real road runs once for all tests of a process that look at it: a minute or two on two cores."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from real_road import Road, clone, commit, environment, set_params
from road_lab import Lab

from stages.lib.warm import warm_process


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    return Road(clone(tmp_path_factory.mktemp("road")))


@pytest.fixture(scope="module")
def lab(road: Road, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A copy of the finished road, committed, whose params.yaml says smoke."""
    assert road.first.returncode == 0, road.first.stdout[-3000:]
    folder = tmp_path_factory.mktemp("lab") / "road"
    shutil.copytree(road.clone, folder, symlinks=True)
    (folder / "mlflow.db").unlink()  # it names artifacts by their whole paths
    shutil.rmtree(folder / "mlartifacts")
    set_params(folder, profile="smoke")
    with warm_process(environment(folder)) as warm:
        lab = Lab(folder, warm)
        lab.shell("dvc", "repro")
        lab.shell("git", "add", "params.yaml", "dvc.lock", "metrics", "reports")
        commit(folder, "the road")
        yield lab
        subprocess.run(["dvc", "queue", "stop", "--kill"], cwd=folder, env=lab.environment, check=False)
