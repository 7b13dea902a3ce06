"""Sides of one comparison, run in turn: pictures a second of every round, and the memory that each side adds."""

import ctypes
import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

from fer_core.errors import DataError

MIB = 2**20
OURS, CEILING = "ours", "ceiling"
SETTLE = 0.3  # seconds between two turns: a loader's processes read ahead for a while after their own
# one turn of a side; returns pictures a second, or those of several sides of which it has steps, by their names
Turn = Callable[[], float | dict[str, float]]
# wall: what a user waits. cpu: seconds of all threads of this process, which other programs change less
clocks = {"of": "wall"}


@dataclass(frozen=True)
class Side:
    """One way of doing the same work.

    Attributes:
        name: `OURS`, `CEILING` or a peer's.
        make: builds all that the side needs and returns its turn. Its first turn is not counted.
        close: ends what `make` began, and returns MiB if the memory is better known by then.
    """

    name: str
    make: Callable[[], Turn]
    close: Callable[[], float | None] = lambda: None


@dataclass
class Comparison:
    """What was measured of one case.

    Attributes:
        part: training, pretraining, evaluation, alignment or aus.
        case: the network and the size, say.
        rates: of each side, pictures (or rows) a second in every round.
        memory: of each side, MiB that it added at its peak; None where that is not known.
        missing: of sides that were not measured, why.
        details: whatever else the file of results should tell.
    """

    part: str
    case: str
    rates: dict[str, list[float]]
    memory: dict[str, float | None] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    details: dict[str, object] = field(default_factory=dict)

    def ratios(self, side: str, other: str) -> list[float]:
        """Return the rate of one side as a multiple of another's, round by round; empty where one is missing."""
        if side not in self.rates or other not in self.rates:
            return []
        return [own / beside for own, beside in zip(self.rates[side], self.rates[other], strict=True)]


@dataclass(frozen=True)
class Spread:
    """The median, least and most of some values.

    Example:
        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, least=1.0, most=3.0)
    """

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Raises ValueError (statistics.StatisticsError) when there are none."""
        return cls(median(values), min(values), max(values))


def compare(part: str, case: str, sides: Sequence[Side], rounds: int) -> Comparison:
    """Build every side, run each twice uncounted, then all in turn for `rounds` rounds.

    The order is rotated by one each round and turned round every second time, so that no side always runs first or
    behind the same neighbour. A side that cannot be built because a package or file is missing is left out with why.
    """
    turns: dict[str, Turn] = {}
    found = Comparison(part, case, {})
    try:
        for side in sides:
            with added_memory() as added:
                try:
                    turns[side.name] = side.make()
                    turns[side.name]()
                except Missing as reason:
                    turns.pop(side.name, None)
                    found.missing[side.name] = str(reason)
                    continue
            found.memory[side.name] = added.get("mib")
        in_turn(turns, 1)
        found.rates = in_turn(turns, rounds)
    finally:
        for side in sides:
            if (mib := side.close()) is not None:
                found.memory[side.name] = mib
    return found


class Missing(Exception):
    """A side cannot be measured here; the text says what it needs."""


def in_turn(turns: dict[str, Turn], rounds: int) -> dict[str, list[float]]:
    """Run every turn once a round; return the rates of each."""
    rates: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds):
        for name in order(list(turns), number):
            time.sleep(SETTLE)
            found = turns[name]()
            for side, rate in (found if isinstance(found, dict) else {name: found}).items():
                rates[side].append(rate)
    return rates


def order(names: list[str], number: int) -> list[str]:
    """Return the order of round `number`.

    Example:
        >>> [order(["a", "b", "c"], number) for number in range(3)]
        [['a', 'b', 'c'], ['a', 'c', 'b'], ['c', 'a', 'b']]
    """
    start = number % max(1, len(names))
    turned = names[start:] + names[:start]
    return turned[::-1] if number % 2 else turned


def clock(device: torch.device) -> float:
    """Return seconds on the chosen clock, once the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.process_time() if clocks["of"] == "cpu" else time.perf_counter()


def timed(work: Callable[[], int], device: torch.device) -> Callable[[], float]:
    """Return the turn that does `work`, which says how many pictures it went through."""

    def turn() -> float:
        start = clock(device)
        count = work()
        return count / (clock(device) - start)

    return turn


def steps_for(step: Callable[[], object], seconds: float, device: torch.device, least: int = 3) -> int:
    """Return how many of `step` fill `seconds`, at least `least`, as those of a fifth of it tell."""
    step()
    step()
    start, count = clock(device), 0
    while not count or clock(device) - start < seconds / 5:
        step()
        count += 1
    return max(least, round(seconds * count / max(1e-6, clock(device) - start)))


def repeat(step: Callable[[], object], steps: int, batch: int) -> Callable[[], int]:
    """Return the work of taking `step` so many times on `batch` pictures."""

    def work() -> int:
        for _ in range(steps):
            step()
        return steps * batch

    return work


def through(
    batches: Iterable[Any], step: Callable[[Any], object], skip: int, count: int, device: torch.device
) -> float:
    """Step through `skip` batches, which a loader may have ready, and `count` more; return batches a second of these.

    Raises:
        DataError: there are not so many batches.
    """
    start = clock(device)
    for number, batch in enumerate(batches, start=1):
        step(batch)
        if number == skip:
            start = clock(device)
        if number == skip + count:
            return count / (clock(device) - start)
    raise DataError(f"Expected {skip + count} batches or more to measure a loader by; got fewer.")


@contextmanager
def added_memory() -> Iterator[dict[str, float]]:
    """Tell in `mib` by how much memory rose at its peak: the GPU's where there is one, else resident memory.

    What was freed before is given back to the system first: a side would else hide in its neighbour's leavings.
    """
    added: dict[str, float] = {}
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield added
        added["mib"] = (torch.cuda.max_memory_allocated() - before) / MIB
        return
    known = _forget_peak()
    start = resident("VmRSS")
    yield added
    if known and start is not None:
        added["mib"] = ((resident("VmHWM") or start) - start) / 1024


def resident(field_name: str, process: int | str = "self") -> int | None:
    """Return VmRSS (resident memory) or VmHWM (its peak) of a process in KiB; None where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field_name}:")), None)


def _forget_peak() -> bool:
    """Give freed memory back and let the peak start from now; False where the system cannot."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return False
    return True
