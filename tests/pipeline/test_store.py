"""Runs by fingerprint: done is whole or absent, one process at a time, and the key is what decides a result."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.lib.common import work_folder
from stages.lib.store import Slot, file_hash, fingerprint, replace_folder

RECIPE = {"loss": "ce", "ssl": {"method": "none", "lr": 0.0}, "epochs": 3}
USED = {"recipe": RECIPE, "code": "c0de", "manifest": "11", "faces": "22", "initial": None}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_work_stands_in_the_repository_also_from_an_experiments_copy(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert work_folder() == here / ".work"
    monkeypatch.setenv("DVC_ROOT", str(here / "original"))
    assert work_folder() == here / "original" / ".work"


def test_outputs_are_done_all_at_once(here: Path) -> None:
    slot = Slot("train", "key")
    slot.work.mkdir(parents=True)
    (slot.work / "last.pt").write_text("state")
    with slot.finishing() as folder:
        (folder / "a").write_text("1")
        assert not slot.done.exists() and slot.work.exists()
        (folder / "b").write_text("2")
    assert sorted(path.name for path in slot.done.iterdir()) == ["a", "b"]
    assert not slot.work.exists(), "checkpoints of a finished run go"
    assert sorted(path.name for path in slot.folder.iterdir()) == ["done"]


def test_a_failure_on_the_way_leaves_the_checkpoints_and_nothing_done(here: Path) -> None:
    slot = Slot("train", "key")
    slot.work.mkdir(parents=True)
    with pytest.raises(OSError, match="full"), slot.finishing() as folder:
        (folder / "half").write_text("1")
        raise OSError("disk full")
    assert not slot.done.exists() and slot.work.exists()
    with slot.finishing() as folder:
        assert list(folder.iterdir()) == [], "the next try starts empty"
        (folder / "whole").write_text("1")
    assert [path.name for path in slot.done.iterdir()] == ["whole"]


def test_copying_replaces_what_stood_there(here: Path) -> None:
    slot = Slot("train", "key")
    with slot.finishing() as folder:
        (folder / "a").write_text("new")
    target = here / "data" / "train" / "run"
    target.mkdir(parents=True)
    (target / "stale").write_text("old")
    slot.copy_to(target)
    assert [path.name for path in target.iterdir()] == ["a"]
    (target / "a").write_text("changed by hand")
    slot.copy_to(here / "other")
    assert (here / "other" / "a").read_text() == "new", "a copy, not a link"


def test_replacing_a_folder_by_nothing_empties_it(here: Path) -> None:
    (here / "x").mkdir()
    (here / "x" / "old").write_text("")
    replace_folder(here / "x")
    replace_folder(here / "deep" / "er")
    assert list((here / "x").iterdir()) == [] and (here / "deep" / "er").is_dir()


def _work(key: str, log: str) -> None:
    slot = Slot("train", key)
    with slot.locked():
        with Path(log).open("a") as file:
            file.write(f"in {os.getpid()}\n")
        time.sleep(0.3)
        with Path(log).open("a") as file:
            file.write(f"out {os.getpid()}\n")


def _both(keys: tuple[str, str], log: Path) -> list[str]:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_work, args=(key, str(log))) for key in keys]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
        assert process.exitcode == 0
    return log.read_text().splitlines()


def test_two_processes_never_work_on_the_same_run(here: Path) -> None:
    lines = _both(("same", "same"), here / "log")
    assert [line.split()[0] for line in lines] == ["in", "out", "in", "out"]
    assert lines[0].split()[1] == lines[1].split()[1] != lines[2].split()[1]


def test_different_runs_do_not_wait_for_each_other(here: Path) -> None:
    lines = _both(("one", "two"), here / "log")
    assert [line.split()[0] for line in lines] == ["in", "in", "out", "out"]


def test_a_killed_process_gives_its_lock_back(here: Path) -> None:
    script = "import time\nfrom stages.lib.store import Slot\nwith Slot('train', 'key').locked():\n"
    script += " print('in', flush=True)\n time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "in\n"
    process.kill()
    process.wait()
    start = time.monotonic()
    with Slot("train", "key").locked():
        pass
    assert time.monotonic() - start < 5


def test_who_waits_is_told(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _both(("same", "same"), here / "log")
    assert capfd.readouterr().out == "another process is at work on this very run; waiting for it\n"


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    other = dict(reversed(USED.items())) | {"recipe": dict(reversed(RECIPE.items()))}
    assert list(other) != list(USED)
    assert fingerprint(other) == fingerprint(USED) == fingerprint(json.loads(json.dumps(USED)))
    assert len(fingerprint(USED)) == 16


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": RECIPE | {"loss": "cb"}},
        {"recipe": RECIPE | {"epochs": 4}},
        {"recipe": RECIPE | {"ssl": {"method": "none", "lr": 0.1}}},
        {"code": "c0df"},
        {"manifest": "12"},
        {"faces": "23"},
        {"initial": "33"},
    ],
)
def test_a_changed_recipe_code_or_data_never_meets_an_old_checkpoint(change: dict[str, object]) -> None:
    assert fingerprint(USED | change) != fingerprint(USED)


def test_a_files_hash_is_of_its_bytes(here: Path) -> None:
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (here / name).write_text(text)
    assert file_hash(here / "a") == file_hash(here / "b") != file_hash(here / "c")
