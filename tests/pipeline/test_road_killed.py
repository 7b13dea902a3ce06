"""Whatever is killed goes on where it was, and ends with the same bytes as a road that nothing interrupted."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from real_road import clone, environment, ran, set_params, without_times

from fer_core.files import read_json, write_json
from fer_core.training.checkpoint import Checkpoint
from stages.lib.warm import warm_process

pytestmark = pytest.mark.slow

TARGET = "train@alone-face_pretraining"  # stands on everything before: generated faces, pretraining, training
WRITTEN = ("data/raw", "data/ingest", "plans", "data/align", "data/join_aus", "data/pretrain", "data/train")
SECONDS = 200
EPOCHS, SSL_EPOCHS = 24, 10  # enough to be killed in the midst of them


def start(folder: Path, output_file: str = "killed.txt", **more: str) -> "subprocess.Popen[bytes]":
    with (folder / output_file).open("ab") as output:  # a pipe would break for an orphan
        return subprocess.Popen(
            ["dvc", "repro", TARGET],
            cwd=folder,
            env=environment(folder) | more,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group that can be killed whole
        )


def wait_for(folder: Path, condition: Callable[[], Any]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, (folder / "killed.txt").read_text()[-3000:]
        time.sleep(0.01)


def prepared(folder: Path) -> Path:
    clone(folder)
    set_params(folder, profile="smoke", epochs=EPOCHS)
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(text.replace("ssl_epochs: 2", f"ssl_epochs: {SSL_EPOCHS}", 1), encoding="utf-8")
    return folder


def kill_when(folder: Path, ready: Callable[[], bool], **more: str) -> None:
    """Start the road, and kill it with all its processes (signal 9) as soon as `ready`."""
    process = start(folder, **more)
    wait_for(folder, lambda: ready() or process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, (folder / "killed.txt").read_text()[-3000:]


def outputs(folder: Path) -> Mapping[str, Any]:
    """Everything that the stages up to the target wrote, but for the seconds that it took."""
    found: dict[str, Any] = {}
    for path in (path for name in WRITTEN for path in sorted((folder / name).rglob("*")) if path.is_file()):
        name = path.relative_to(folder).as_posix()
        found[name] = without_times(read_json(path)) if path.suffix == ".json" else path.read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    folder = prepared(tmp_path_factory.mktemp("whole"))
    with warm_process(environment(folder)) as warm:
        done = subprocess.run(
            ["dvc", "repro", TARGET], cwd=folder, env=warm, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout[-3000:]
    return outputs(folder)


def saved(folder: Path, kind: str) -> Callable[[], bool]:
    """Whether a run of this kind has kept its first epoch; the next save may be due when the run ends."""
    return lambda: any((folder / ".work" / kind).glob("*/work/last.pt"))


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}


def trainer(folder: Path) -> int:
    """The process that trains in `folder`."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if (process / "cwd").samefile(folder) and b"stages.train" in words:  # a word: not its shell
                return int(process.name)
        except OSError:
            continue
    raise AssertionError("nobody trains")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A road that is killed while it generates, pretrains and trains."""
    folder = prepared(tmp_path_factory.mktemp("killed"))
    kill_when(folder, lambda: any((folder / ".work/standin").glob("*/done/*.txt")))
    assert not (folder / "data/raw/standin").exists()
    chunk = next((folder / ".work/standin").glob("*/done/*.txt"))
    names = [line.split()[0] for line in chunk.read_text().splitlines()]
    before = times(folder / ".work/standin")

    with warm_process(environment(folder)) as warm:  # as under `make repro`: the one that computes is a fork
        kill_when(folder, saved(folder, "pretrain"), **warm)
    remember(folder, "pretrain")
    after = times(folder / "data/raw/standin")
    assert names and all(after[name] == before[name] for name in names), "finished pictures were not drawn again"
    kill_when(folder, saved(folder, "train"))
    remember(folder, "train")
    return folder


def remember(folder: Path, kind: str) -> None:
    """Keep the epochs that the killed run had done, with their measured seconds, which no repetition would give."""
    (checkpoints,) = (folder / ".work" / kind).glob("*/work")
    state = Checkpoint(checkpoints).load()
    assert state is not None and len(state["history"]) >= 1
    write_json(folder / f"{kind}.json", state["history"])


def test_an_orphan_and_a_new_trainer_never_work_on_one_run(killed: Path) -> None:
    """DVC alone is killed, and its trainer goes on; the next one waits for it and takes what it made."""
    checkpoints = next((killed / ".work/train").glob("*/work"))
    written = checkpoints.stat().st_mtime_ns
    dvc = start(killed)
    wait_for(killed, lambda: checkpoints.stat().st_mtime_ns > written)
    orphan = trainer(killed)
    os.kill(orphan, signal.SIGSTOP)  # so that it does not end before the next one comes
    try:
        dvc.kill()
        dvc.wait()
        again = start(killed, "last.txt")
        wait_for(killed, lambda: b"another process is at work" in (killed / "last.txt").read_bytes())
    finally:
        os.kill(orphan, signal.SIGCONT)
    assert again.wait(SECONDS) == 0
    output = (killed / "last.txt").read_text()
    assert ran(output) == [TARGET]
    assert "trained before with this recipe, code and data" in output


def test_what_was_killed_ends_with_the_same_bytes(killed: Path, whole: Mapping[str, Any]) -> None:
    assert start(killed, "last.txt").wait(SECONDS) == 0
    found = outputs(killed)
    assert list(found) == list(whole)
    assert [name for name in found if found[name] != whole[name]] == []
    epochs = read_json(killed / "data/train/alone-face_pretraining/history.json")
    done = read_json(killed / "train.json")
    assert len(done) < len(epochs) == EPOCHS and epochs[: len(done)] == done, "it went on, and did not begin anew"
    done = read_json(killed / "pretrain.json")
    backbones = (killed / "data/pretrain").glob("*/history.json")  # DVC began with any of them
    pretrained = [rows for path in backbones for rows in read_json(path).values()]
    assert [rows for rows in pretrained if rows[: len(done)] == done]
