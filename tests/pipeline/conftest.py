"""The real road runs once for all tests that look at it, which takes minutes; each module looks at its own copy."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from real_road import Road, commit, copied, environment, finished_road, set_params
from road_lab import Lab

from stages.lib.warm import warm_process


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Road:
    """The finished road itself, for copies only: other processes of this test session take theirs from it too."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    return finished_road(shared / "finished_road")


@pytest.fixture(scope="module")
def road(original: Road, tmp_path_factory: pytest.TempPathFactory) -> Road:
    return copied(original, tmp_path_factory.mktemp("copy") / "road")


@pytest.fixture(scope="module")
def lab(original: Road, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A copy of the finished road, committed, whose params.yaml says smoke."""
    assert original.status == 0, original.printed[-3000:]
    folder = copied(original, tmp_path_factory.mktemp("lab") / "road").clone
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
