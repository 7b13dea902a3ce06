"""Finished and unfinished runs by fingerprint, in a git-ignored folder outside what DVC owns.

DVC deletes a stage's output before it runs, so checkpoints live here; and two runs with the same recipe,
code, data and initial weights (the ladder's first rung and that technique alone, say) are trained once.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stages.lib.common import work_folder


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Return a 16-digit hash of plain nested values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Slot:
    """One fingerprint's place: `work` holds checkpoints, `done` the outputs once they are whole."""

    def __init__(self, kind: str, key: str) -> None:
        self.folder = work_folder() / kind / key
        self.work = self.folder / "work"
        self.done = self.folder / "done"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait for another process that works on the same fingerprint, an orphan of a killed run, say."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print("another process is at work on this very run; waiting for it", flush=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def finishing(self) -> Iterator[Path]:
        """Yield an empty folder for the outputs; on success it becomes `done` and the checkpoints go."""
        unfinished = self.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.replace(self.done)
        shutil.rmtree(self.work, ignore_errors=True)

    def copy_to(self, target: Path) -> None:
        """Copy the finished outputs to a stage's output folder."""
        replace_folder(target, self.done)


def replace_folder(target: Path, source: Path | None = None) -> None:
    """Make `target` a copy of `source`, or an empty folder."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source is None:
        target.mkdir()
    else:
        shutil.copytree(source, target)
