"""Independent stages side by side: what `dvc repro` runs, with up to N stages at once.

DVC itself runs one stage after the other, but several of its processes may work in one repository: its locks keep them
right. So this process asks DVC for the graph, looks which stages changed as soon as their upstream stages are finished,
and hands those to a few processes (`crew.py`) that reproduce them. Whatever waits longest for its turn at the end,
being the first of the longest chain, starts first; short chains fill the gaps.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stages.lib.crew import Crew, Done
from stages.lib.hardware import shares, visible_gpus
from stages.lib.interrupt import Interrupt
from stages.lib.quick_dvc import quicken
from stages.lib.warm import warm_process

FAILED = 255  # what `dvc repro` ends with when a stage fails
LAST_LINES = 15  # of a failed stage's log
# DVC looks again after a sixth of this whether its lock is free. Seconds; its own 3 s let processes wait for nothing.
PATIENCE = 0.06


class Schedule:
    """Which stages may start: those whose upstream stages are all finished, those of the longest chains first.

    Args:
        upstream: stage -> the stages whose outputs it needs, all of them keys too, in an order of preference.

    Example: of ``{"a": [], "b": [], "c": ["b"]}``, b starts before a, since c follows it.

    """

    def __init__(self, upstream: Mapping[str, Iterable[str]]) -> None:
        self._missing = {name: set(needed) for name, needed in upstream.items()}
        self._downstream: dict[str, list[str]] = {name: [] for name in upstream}
        for name, needed in upstream.items():
            for other in needed:
                self._downstream[other].append(name)
        self._length: dict[str, int] = {}
        for name in upstream:
            self._measure(name)
        self._order = {name: place for place, name in enumerate(upstream)}
        self.total = len(self._missing)
        self.finished = 0

    def _measure(self, first: str) -> None:
        """Count the stages of the longest chain that begins with each stage from `first` on; no recursion limit."""
        path = [first]
        while path:
            unknown = [name for name in self._downstream[path[-1]] if name not in self._length]
            if unknown:
                path.append(unknown[0])
            else:
                name = path.pop()
                self._length[name] = 1 + max((self._length[after] for after in self._downstream[name]), default=0)

    def rank(self, name: str) -> tuple[int, int]:
        """Return what to sort by: the first is to start first."""
        return -self._length[name], self._order[name]

    def take(self) -> list[str]:
        """Return the stages that may start and were not taken before, best first."""
        free = sorted((name for name, missing in self._missing.items() if not missing), key=self.rank)
        for name in free:
            del self._missing[name]
        return free

    def finish(self, name: str) -> None:
        """Note that a taken stage is finished, which frees what waits for it."""
        self.finished += 1
        for other in self._downstream[name]:
            self._missing[other].discard(name)


def run_jobs(jobs: int) -> int:
    """Run what `dvc repro` would, up to `jobs` stages at once, and return its exit status: 0, or 255 after a failure.

    A stage's output goes to `.work/jobs/<stage>.log`, the terminal shows when it starts and ends. After a failure no
    stage starts any more, and those that run are waited for; after Ctrl-C they are interrupted and waited for.

    Raises KeyboardInterrupt after Ctrl-C, when the last stage has ended.
    """
    gpus = visible_gpus(os.environ)
    slots = shares(jobs, os.environ, gpus)
    with warm_process({**os.environ, **slots[0]}) as environment, Interrupt() as interrupt:
        from dvc.exceptions import DvcException

        try:
            repo, stages, upstream = _graph()
        except DvcException as error:
            print(f"ERROR: {error}", file=sys.stderr)
            return FAILED
        slots = [{**environment, **slot} for slot in slots[: len(stages)]]
        with Crew(repo, stages, slots) as crew:
            status = _Road(repo, stages, Schedule(upstream), crew, interrupt).run(_told(slots, gpus))
    if interrupt.count:
        raise KeyboardInterrupt
    return status


def _told(slots: Sequence[Mapping[str, str]], gpus: Sequence[str]) -> str:
    threads = slots[0]["OMP_NUM_THREADS"] if slots else "1"
    cards = f"; GPUs: {len(gpus)}" if gpus else ""
    return f"up to {len(slots)} stages at once, {threads} thread{'s' * (threads != '1')} each{cards}"


def _graph() -> tuple[Any, dict[str, Any], dict[str, list[str]]]:
    """Return DVC's repository, its stages by name in the order of `dvc repro`, and for each the stages before it.

    A frozen stage waits for those before it too, though DVC does not need them: nothing is read while it is written.
    """
    import dvc.lock
    from dvc.repo import Repo, lock_repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    quicken()  # the crew forks from this process
    repo = Repo(".")
    with lock_repo(repo):  # another DVC that is at work here is an error now, and waited for later
        graph = repo.index.graph
        steps = plan_repro(get_active_graph(graph), collect_stages(repo, ["dvc.yaml"]))
    dvc.lock.DEFAULT_TIMEOUT = PATIENCE
    hardlink = repo.config["core"].get("hardlink_lock", False)
    repo.lock = dvc.lock.make_lock(repo.lock.lockfile, tmp_dir=repo.tmp_dir, hardlink_lock=hardlink, wait=True)
    upstream = {step.addressing: [other.addressing for other in steps if graph.has_edge(step, other)] for step in steps}
    return repo, {step.addressing: step for step in steps}, upstream


class _Road:
    """The stages' way through the crew, and what the terminal shows of it."""

    def __init__(
        self, repo: Any, stages: Mapping[str, Any], schedule: Schedule, crew: Crew, interrupt: Interrupt
    ) -> None:
        self._repo, self._stages, self._schedule, self._crew, self._interrupt = repo, stages, schedule, crew, interrupt
        self._width = min(40, max(map(len, stages), default=0))
        self._counts = {"done": 0, "restored": 0, "unchanged": 0}
        self._failed = False

    def run(self, told: str) -> int:
        """Run every stage that changed; return the exit status."""
        print(told, flush=True)
        queue: list[str] = []
        while True:
            if not self._failed:
                queue = sorted(queue + self._changed(), key=self._schedule.rank)
            while queue and self._crew.free and not self._failed and not self._interrupt.count:
                self._say(queue[0], "started")
                self._crew.start(queue.pop(0))
            if not self._crew.busy:
                break
            for done in self._crew.wait(self._interrupt.wake):
                self._end(done)
            self._interrupt.each(self._crew.interrupt)
        ran, restored, unchanged = self._counts.values()
        print(
            f"{self._schedule.finished} of {self._schedule.total} stages finished: {ran} run, "
            f"{restored} restored from DVC's cache, {unchanged} unchanged",
            flush=True,
        )
        return FAILED if self._failed or self._interrupt.count else 0

    def _changed(self) -> list[str]:
        """Return the stages that are to run among those that may start; one that did not change is finished."""
        from dvc.exceptions import DvcException
        from dvc.repo import lock_repo

        found: list[str] = []
        fresh = self._schedule.take()
        if not fresh:
            return found
        with lock_repo(self._repo):
            while fresh and not self._interrupt.count:
                for name in fresh:
                    try:
                        changed = self._stages[name].changed()
                    except DvcException:
                        changed = True  # the crew meets it again, and tells it in the stage's log
                    if changed:
                        found.append(name)
                    else:
                        self._counts["unchanged"] += 1
                        self._schedule.finish(name)
                fresh = self._schedule.take()
        return found

    def _end(self, done: Done) -> None:
        seconds = f"{done.seconds:.0f} s"
        if done.error is None:
            word = "done" if done.ran else "restored"
            self._counts[word] += 1
            self._schedule.finish(done.stage)
            self._say(done.stage, word, seconds, f"({self._schedule.finished} of {self._schedule.total})")
        elif self._interrupt.count:
            self._say(done.stage, "interrupted", seconds)
        else:
            self._failed = True
            self._say(done.stage, "failed", seconds)
            lines = done.log.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"the last lines of {done.log}:", file=sys.stderr)
            for line in lines[-LAST_LINES:]:
                print(f"    {line}", file=sys.stderr)
            if self._crew.busy:
                print(f"waited for: {', '.join(self._crew.busy)}", file=sys.stderr)
            sys.stderr.flush()

    def _say(self, name: str, *words: str) -> None:
        print("  ".join([name.ljust(self._width), *words]), flush=True)
