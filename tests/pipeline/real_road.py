"""A clone of this repository in which the road is run for real, and how its commands are called."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock

from fer_core.files import read_json, write_json

ROOT = Path(__file__).parents[2]


def environment(clone: Path) -> dict[str, str]:
    """The clone's own code, its own MLflow, this environment's `dvc`; one thread, as other tests may run beside it."""
    left_out = ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI")
    kept = {key: value for key, value in os.environ.items() if key not in left_out}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone),
        "OMP_NUM_THREADS": "1",
        "DVC_NO_ANALYTICS": "1",
    }


def shell(clone: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    pipe = subprocess.PIPE
    return subprocess.run(
        command, cwd=clone, env=environment(clone), stdout=pipe, stderr=subprocess.STDOUT, text=True, check=False
    )


def stage(clone: Path, name: str, *arguments: str) -> str:
    result = shell(clone, sys.executable, "-m", f"stages.{name}", *arguments)
    assert result.returncode == 0, result.stdout
    return result.stdout


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def clone(folder: Path) -> Path:
    """Make `folder` a repository with this one's files as they lie here, without any results."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git repository, so there is no list of its files to clone")
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, folder / name
        if name.startswith(("metrics/", "reports/")) or name == "dvc.lock":
            continue  # a road that was run here; the clone runs its own
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    for arguments in (["init", "--quiet"], ["add", "--all"]):
        shell(folder, "git", *arguments)
    commit(folder, "start")
    return folder


def commit(folder: Path, message: str) -> None:
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    result = shell(folder, "git", *author, "commit", "--quiet", "--message", message)
    assert result.returncode == 0, result.stdout


def set_params(folder: Path, **values: object) -> None:
    """Change top-level keys of params.yaml; comments and layout stay as they are."""
    path = folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^{key}: *\S+", f"{key}: {value}", text, count=1)
        assert count == 1, key
    path.write_text(text, encoding="utf-8")


MEASURED = {"train_seconds", "pretrain_seconds", "before", "seconds"}
MEASURED |= {"milliseconds_per_face", "milliseconds_per_face_plain"}


def without_times(value: Any) -> Any:
    """Plain values without the times that were measured: clocks differ."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in MEASURED}
    return [without_times(item) for item in value] if isinstance(value, list) else value


class Road(NamedTuple):
    """A finished road: the clone, params.yaml as it was before, and what the command printed and ended with."""

    clone: Path
    params: bytes
    printed: str
    status: int


def finished_road(folder: Path) -> Road:
    """The road in `folder`, which the first process that asks for it runs while the others wait."""
    place, params, told = folder / "road", folder / "params.yaml", folder / "told.json"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not told.exists():  # it is written last
            shutil.rmtree(place, ignore_errors=True)  # of a process that was killed at it
            clone(place)
            shutil.copyfile(place / "params.yaml", params)
            done = shell(place, sys.executable, "-m", "stages.run", "--profile", "smoke")
            write_json(told, {"printed": done.stdout, "status": done.returncode})
    return Road(place, params.read_bytes(), **read_json(told))


def copied(road: Road, folder: Path) -> Road:
    """A copy to change at will; only MLflow's database still names the original, where its artifacts are."""
    shutil.copytree(road.clone, folder, symlinks=True)
    return road._replace(clone=folder)
