"""Whatever is killed goes on where it was, and ends with the same bytes as a road that nothing interrupted."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from real_road import clone, environment, files, ran, set_params

from stages.lib.warm import warm_process

pytestmark = pytest.mark.slow

TARGET = "train@alone-face_pretraining"  # stands on everything before: generated faces, pretraining, training
SECONDS = 200
MEASURED = ("status.json", "history.json")  # hold seconds


def start(folder: Path, output_file: str = "killed.txt") -> "subprocess.Popen[bytes]":
    with (folder / output_file).open("ab") as output:  # a pipe would break for an orphan
        return subprocess.Popen(
            ["dvc", "repro", TARGET],
            cwd=folder,
            env=environment(folder),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group that can be killed whole
        )


def prepared(folder: Path) -> Path:
    clone(folder)
    set_params(folder, profile="smoke", epochs=80)  # long enough for a second trainer to meet the first
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(text.replace("identity_epochs: 2", "identity_epochs: 16", 1), encoding="utf-8")
    return folder


def kill_when(folder: Path, ready: Callable[[], bool], group: bool = True) -> None:
    """Start the road, and kill it (signal 9) as soon as `ready`: with all its processes, or DVC alone."""
    process = start(folder)
    end = time.monotonic() + SECONDS
    while not ready():
        assert process.poll() is None and time.monotonic() < end, (folder / "killed.txt").read_text()[-3000:]
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL


def outputs(folder: Path) -> dict[str, bytes]:
    """Every byte that the stages up to the target wrote, but for times."""
    found = {}
    for name in ("data/raw/standin", "data/align", "data/pretrain/resnet", "data/train/alone-face_pretraining"):
        for file, content in files(folder / name).items():
            if file not in MEASURED:
                found[f"{name}/{file}"] = content
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = prepared(tmp_path_factory.mktemp("whole"))
    with warm_process(environment(folder)) as warm:
        result = subprocess.run(
            ["dvc", "repro", TARGET],
            cwd=folder,
            env=warm,
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stdout[-3000:]
    return outputs(folder)


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}


def epochs(folder: Path, kind: str) -> Callable[[], bool]:
    """Whether a run of this kind has finished its second epoch, as a kept earlier checkpoint tells."""
    return lambda: any((folder / ".work" / kind).glob("*/work/previous.pt"))


def test_killed_at_every_long_stage_it_ends_with_the_same_bytes(whole: dict[str, bytes], tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    kill_when(folder, lambda: any((folder / ".work/standin").glob("*/done/*.txt")))
    assert not (folder / "data/raw/standin").exists()
    chunk = next((folder / ".work/standin").glob("*/done/*.txt"))
    names = [line.split()[0] for line in chunk.read_text().splitlines()]
    drawn = {name: times(folder / ".work/standin")[name] for name in names}

    kill_when(folder, epochs(folder, "pretrain"))
    found = times(folder / "data/raw/standin")
    assert drawn and drawn == {name: found[name] for name in names}, "finished pictures were not drawn again"
    kill_when(folder, epochs(folder, "train"))
    checkpoint = next((folder / ".work/train").glob("*/work/last.pt"))
    written = checkpoint.stat().st_mtime_ns

    # DVC alone is killed: the trainer goes on as an orphan, and a second one waits for it
    kill_when(folder, lambda: checkpoint.stat().st_mtime_ns > written, group=False)
    assert start(folder, "last.txt").wait(SECONDS) == 0
    output = (folder / "last.txt").read_text()
    assert ran(output) == [TARGET]
    assert "another process is at work on this very run" in output
    assert "trained before with this recipe, code and data" in output
    assert outputs(folder) == whole
