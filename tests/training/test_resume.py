"""A run that is killed goes on from its last epoch and ends with the same bytes as one that was not."""

import math
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import EPOCHS, RUNS

from fer_core.progress import Bar
from fer_core.training import checkpoint as checkpoints
from fer_core.training import loop
from fer_core.training.checkpoint import Checkpoint
from fer_core.training.learner import Learner

SURVIVED = 3


@pytest.fixture(autouse=True)
def at_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save as often as possible: these epochs take no longer than a save does."""
    monkeypatch.setattr(checkpoints, "SHARE", math.inf)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What runs end with that nothing interrupts."""
    return {kind: run(tmp_path_factory.mktemp(kind)) for kind, run in RUNS.items()}


def kill_after(kind: str, folder: Path, epochs: int) -> None:
    """Start a training in a process of its own and kill it (signal 9) some epochs later, in the middle of one."""
    child = os.fork()
    if child == 0:
        try:
            plain = Bar.advance

            def advance(self: Bar, steps: int = 1, **figures: float) -> None:
                plain(self, steps, **figures)
                if self.done == epochs:
                    threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()

            Bar.advance = advance  # type: ignore[method-assign]
            RUNS[kind](folder)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("kind", sorted(RUNS))
def test_killed_and_resumed_ends_with_the_same_bytes(
    kind: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "killed"
    kill_after(kind, folder, SURVIVED)
    state = Checkpoint(folder).load()
    assert state is not None and SURVIVED <= len(state["history"]) < EPOCHS
    steps = count_epochs(monkeypatch)
    resumed = RUNS[kind](folder)
    assert len(steps) == EPOCHS - len(state["history"]), "only the epochs that were missing"
    assert resumed == whole[kind]


def count_epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    steps: list[int] = []
    plain = Bar.advance

    def advance(self: Bar, steps_done: int = 1, **figures: float) -> None:
        steps.append(steps_done)
        plain(self, steps_done, **figures)

    monkeypatch.setattr(Bar, "advance", advance)
    return steps


@pytest.mark.parametrize("kind", sorted(RUNS))
def test_the_state_matters(kind: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    """The comparison above would notice a resumed run that lost its optimiser's memory."""
    folder = tmp_path / "interrupted"
    interrupt(kind, folder, after=SURVIVED)
    state = Checkpoint(folder).load()
    assert state is not None
    learner = state.get("learner", {})
    optimizer = learner["optimizer"] if "optimizer" in learner else state["optimizer"]
    for moments in optimizer["state"].values():
        moments["exp_avg"].zero_()
    Checkpoint(folder).save(state)
    assert RUNS[kind](folder) != whole[kind]


def interrupt(kind: str, folder: Path, after: int) -> None:
    """As Ctrl-C does: raise when an epoch has just been saved."""

    def advance(self: Bar, steps: int = 1, **figures: float) -> None:
        self.done += steps
        if self.done == after:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Bar, "advance", advance)
        RUNS[kind](folder)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"no tensors"])
def test_a_broken_last_checkpoint_falls_back_to_the_one_before(
    damage: Any, whole: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "interrupted"
    interrupt("train", folder, after=SURVIVED)
    checkpoint = Checkpoint(folder)
    checkpoint.last.write_bytes(damage(checkpoint.last.read_bytes()))
    state = checkpoint.load()
    assert state is not None and len(state["history"]) == SURVIVED - 1
    assert RUNS["train"](folder) == whole["train"]


def test_killed_between_the_two_renames_goes_on_from_the_one_before(whole: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "interrupted"
    interrupt("train", folder, after=SURVIVED)
    Checkpoint(folder).last.unlink()
    assert RUNS["train"](folder) == whole["train"]


def test_every_length_of_a_truncated_checkpoint_is_noticed(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save({"epoch": 1, "tensor": torch.arange(20)})
    checkpoint.save({"epoch": 2, "tensor": torch.arange(20)})
    whole = checkpoint.last.read_bytes()
    for length in range(0, len(whole), 37):
        checkpoint.last.write_bytes(whole[:length])
        state = checkpoint.load()
        assert state is not None and state["epoch"] == 1, length
    checkpoint.previous.unlink()
    assert checkpoint.load() is None


def test_a_checkpoint_runs_no_code_when_it_is_read(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    checkpoint = Checkpoint(tmp_path)
    torch.save({"trap": Trap()}, checkpoint.last)
    assert checkpoint.load() is None
    assert not (tmp_path / "sprung").exists()


def test_clearing_removes_both(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "new")
    assert checkpoint.load() is None
    for epoch in range(3):
        checkpoint.save({"epoch": epoch})
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["last.pt", "previous.pt"]
    checkpoint.clear()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_save_is_due_when_a_hundred_times_its_seconds_have_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(checkpoints, "SHARE", 0.01)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.is_due, "the first one is"
    plain = torch.save

    def slow(state: Any, path: Path) -> None:
        plain(state, path)
        now[0] += 0.5

    monkeypatch.setattr(torch, "save", slow)
    checkpoint.save({"epoch": 1})
    assert not checkpoint.is_due
    now[0] += 49.9
    assert not checkpoint.is_due
    now[0] += 0.2
    assert checkpoint.is_due


@pytest.mark.parametrize("kind", ["train", "simclr"])
def test_a_run_that_seldom_saves_still_saves_its_end(
    kind: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SHARE", 1e-9)
    saved: list[int] = []
    plain = Checkpoint.save

    def save(self: Checkpoint, state: dict[str, Any]) -> None:
        saved.append(len(state["history"]))
        plain(self, state)

    monkeypatch.setattr(Checkpoint, "save", save)
    assert RUNS[kind](tmp_path) == whole[kind]
    assert saved == [1, EPOCHS]


def test_checksums_are_left_out_of_checkpoints_only(tmp_path: Path) -> None:
    Checkpoint(tmp_path).save({"epoch": 1})
    assert torch.serialization.get_crc32_options(), "other files have them"


@pytest.mark.parametrize("kind", ["train", "everything"])
def test_how_many_batches_are_augmented_in_a_row_changes_nothing(
    kind: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    for name in ("sample", "step"):
        plain = getattr(Learner, name)

        def told(*args: Any, plain: Any = plain, name: str = name) -> Any:
            made.append(name)
            return plain(*args)

        monkeypatch.setattr(Learner, name, told)
    assert RUNS[kind](tmp_path / "in a row") == whole[kind]
    assert made[:2] == ["sample", "sample"], "small batches are"
    made.clear()
    monkeypatch.setattr(loop, "IN_A_ROW", 0)
    assert RUNS[kind](tmp_path / "one by one") == whole[kind]
    assert made[:3] == ["sample", "step", "sample"]
