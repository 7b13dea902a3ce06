"""Processes that reproduce DVC's stages at once, each one stage after the other.

They are forks of a process that has read the repository, so that a stage costs no second import of DVC (1-2 s) and no
second look at dvc.yaml (0.3 s). Each is a process group of its own with the command that it runs: one signal reaches
both, and when whoever started the crew is gone, even by kill -9, each ends its command and itself.
"""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import quote

from stages.lib.common import work_folder

GRACE = 20  # seconds that an interrupted stage has before it gets the next, harder signal


class Done(NamedTuple):
    """A stage that has ended: its error in one line or None, whether its command ran, seconds, and its log."""

    stage: str
    error: str | None
    ran: bool
    seconds: float
    log: Path


def log_file(stage: str) -> Path:
    """Return where the stage's output goes: its name, with what a file's name cannot hold written as %2F."""
    return work_folder() / "jobs" / f"{quote(stage, safe='@+=,')}.log"


class Crew:
    """As many processes as there are environments; enter it before anything of the repository is held open.

    Args:
        repo: DVC's repository; its lock waits.
        stages: DVC's stages by name.
        environments: the variables of each process, on top of this one's.

    Attributes:
        free: the processes without a stage. busy: the stages that run, by name.

    """

    def __init__(self, repo: Any, stages: Mapping[str, Any], environments: Sequence[Mapping[str, str]]) -> None:
        self._repo, self._stages, self._environments = repo, stages, environments
        self.free: list[int] = []
        self.busy: dict[str, tuple[int, float]] = {}  # to the process and the time of its start

    def __enter__(self) -> "Crew":
        context = multiprocessing.get_context("fork")
        self._members = []
        # who holds the writing end is this process alone: the reading end tells the others when it is gone
        reading, self._life = os.pipe()
        for number, environment in enumerate(self._environments):
            ours, theirs = context.Pipe()
            arguments = (self._repo, self._stages, environment, theirs, reading, self._life)
            process = context.Process(target=_member, args=arguments, name=f"job {number}")
            process.start()
            theirs.close()
            with suppress(OSError):  # it may have done so itself, or be gone
                os.setpgid(process.pid or 0, process.pid or 0)
            self._members.append((process, ours))
            self.free.append(number)
        os.close(reading)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._life)
        for process, connection in self._members:
            process.join()
            connection.close()

    def start(self, stage: str) -> None:
        """Let a free process reproduce the stage."""
        number = self.free.pop(0)
        self.busy[stage] = (number, time.monotonic())
        with suppress(OSError):  # it was killed meanwhile: wait() tells
            self._members[number][1].send(stage)

    def wait(self, wake: int) -> list[Done]:
        """Wait until a stage ends or the file descriptor `wake` can be read, and return the stages that have ended."""
        ready = wait([wake, *(self._members[number][1] for number, _ in self.busy.values())])
        ended = []
        for stage, (number, start) in list(self.busy.items()):
            process, connection = self._members[number]
            if connection not in ready:
                continue
            try:
                error, ran = connection.recv()
            except (EOFError, OSError):
                error, ran = "the process that ran it was killed", True
                with log_file(stage).open("a", encoding="utf-8") as log:
                    log.write(f"ERROR: {error}\n")
                _signal_group(process.pid, signal.SIGTERM)  # its command, which nobody would wait for
            else:
                self.free.append(number)
            del self.busy[stage]
            ended.append(Done(stage, error, ran, time.monotonic() - start, log_file(stage)))
        return ended

    def interrupt(self, number: int) -> None:
        """Send the signal to the commands that run; a command that was about to start does not."""
        for member, _ in self.busy.values():
            _signal_group(self._members[member][0].pid, number)


def _signal_group(group: int | None, number: int) -> None:
    with suppress(OSError):
        os.killpg(group or 0, number)


class _Member:
    """One process's state: whether it works, whether it is to stop, and whether a command was started."""

    def __init__(self) -> None:
        self.busy = self.stopped = self.ran = False

    def stop(self, *_: Any) -> None:
        self.stopped = True  # DVC's own work goes on: dvc.lock is never left half written

    def audit(self, event: str, _: Any) -> None:
        if event == "subprocess.Popen":
            if self.stopped:
                raise KeyboardInterrupt
            self.ran = True

    def follow(self, life: int) -> None:
        """Wait until who started the crew is gone, then end the command that runs, if need be by force."""
        os.read(life, 1)
        self.stopped = True
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + GRACE
            if self.busy:
                os.killpg(0, number)
            while self.busy and time.monotonic() < end:
                time.sleep(0.1)


def _member(
    repo: Any, stages: Mapping[str, Any], environment: Mapping[str, str], orders: Connection, life: int, held: int
) -> None:
    """Reproduce the stages that `orders` names, and answer each with its error and whether a command ran."""
    os.close(held)
    with suppress(OSError):
        os.setpgid(0, 0)
    os.environ.update(environment)
    member = _Member()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, member.stop)  # a handler, not SIG_IGN: a command would inherit that
    sys.addaudithook(member.audit)
    Thread(target=member.follow, args=[life], daemon=True).start()
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    while life not in wait([orders, life]):
        name = orders.recv()
        member.busy, member.ran = True, False
        error = _reproduce(repo, stages[name], log_file(name))
        member.busy = False
        with suppress(OSError):
            orders.send((error, member.ran))


def _reproduce(repo: Any, stage: Any, log: Path) -> str | None:
    """Do what `dvc repro --single-item` does, with its output in `log`; return the error in one line or None."""
    from dvc.exceptions import DvcException
    from dvc.repo import lock_repo

    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        for number, stream in ((1, sys.stdout), (2, sys.stderr)):
            stream.flush()
            os.dup2(file.fileno(), number)
    try:
        with lock_repo(repo), repo.scm_context(quiet=True):
            if stage.frozen and not stage.is_import:
                print(f"{stage} is frozen. Its dependencies are not going to be reproduced.")
            if stage.reproduce():
                stage.dump(update_pipeline=False)
    except KeyboardInterrupt:
        return "interrupted"
    except DvcException as error:
        cause = "".join(f": {why}" for why in [error.__cause__] if why)
        print(f"ERROR: failed to reproduce '{stage.addressing}': {error}{cause}", file=sys.stderr)
        return str(error)
    except Exception as error:
        traceback.print_exc()
        return str(error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return None
