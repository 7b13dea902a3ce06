"""timm's own train.py as a process beside ours: it sleeps while the others run, and is timed by the lines that it logs.

The script does not come with timm's package. It runs in a process group of its own, which is stopped (SIGSTOP) and goes
on (SIGCONT) when its turn comes, so that it is as warm as the others and takes no time from them. A turn begins with
the second line that it logs: the first tells of a step that the pause cut in two.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.speed.cases import EPOCHS, Case, recipe_of
from benchmarks.speed.machine import ROOT
from benchmarks.speed.made_up import CLASSES
from benchmarks.speed.measure import MIB, Missing, Side, Turn, clocks, resident
from benchmarks.speed.peers import ALPHA, arguments
from benchmarks.speed.settings import Settings

SCRIPT = "timm train.py"
LINE = re.compile(r"Train: (\d+) \[\s*(\d+)/")


def command(case: Case, settings: Settings, precision: str, folder: Path, workers: int, interval: int) -> list[str]:
    """Return the command line that does with train.py what the other sides do."""
    recipe = recipe_of(case)
    line = [sys.executable, "-m", "benchmarks.speed.script_wrapper", str(settings.threads), str(settings.timm_train)]
    line += ["--data-dir", str(folder), "--train-split", "train", "--val-split", "validation"]
    line += ["--model", case.timm, "--num-classes", str(len(CLASSES)), "--input-size", "3", *[str(case.size)] * 2]
    line += ["--batch-size", str(case.batch), "--workers", str(workers), "--channels-last", "--device"]
    line += [settings.device.type, "--opt", "adamw", "--lr", str(recipe.lr), "--weight-decay", str(recipe.weight_decay)]
    line += ["--epochs", str(EPOCHS), "--warmup-epochs", "0", "--scale", "0.8", "1.0", "--ratio", "0.95", "1.05"]
    line += ["--color-jitter", "0.2", "--train-interpolation", "bilinear", "--mixup", str(ALPHA), "--smoothing", "0"]
    line += ["--model-ema", "--model-ema-decay", str(recipe.ema), "--log-interval", str(interval)]
    line += ["--output", str(settings.work / "timm_train"), "--checkpoint-hist", "1"]
    if settings.device.type == "cuda":
        line += ["--pin-mem"]
    if precision != "fp32":
        line += ["--amp", "--amp-dtype", {"bf16": "bfloat16", "fp16": "float16"}[precision]]
    if given := arguments(case):
        line += ["--model-kwargs", *(f"{key}={value}" for key, value in given.items())]
    return line


class Script:
    """The running script."""

    def __init__(self, line: list[str], batch: int, seconds: float) -> None:
        """Start it, wait for its first steps and put it to sleep.

        Raises:
            Missing: it ended before it had trained.
        """
        self.batch, self.seconds = batch, seconds
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        self.said: list[str] = []
        self._next_step()
        self._signal(signal.SIGSTOP)

    def turn(self) -> float:
        """Wake it, time its steps for about `seconds`, put it to sleep; return pictures a second."""
        self._signal(signal.SIGCONT)
        try:
            self._next_step()
            epoch, begin = self._next_step()
            start = now = self._clock()
            while now - start < self.seconds:
                number, step = self._next_step()
                now = self._clock()
                if number != epoch:  # between epochs it validates and saves, which is not counted
                    epoch, begin, start = number, step, now
        finally:
            self._signal(signal.SIGSTOP)
        return (step - begin) * self.batch / (now - start)

    def close(self) -> float | None:
        """End it; return MiB that the GPU held for it at most, or else its resident memory beyond the imports'."""
        peak = resident("VmHWM", self.process.pid)
        if self.process.poll() is None:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM, only=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            _, rest = self.process.communicate(timeout=20)
            self.said += rest.splitlines()
        if self.process.poll() is None:
            self._signal(signal.SIGKILL)
            self.process.wait()
        told = {
            line.split()[0]: int(line.split()[1]) for line in self.said if re.fullmatch(r"(resident|held) \d+", line)
        }
        if told.get("held"):
            return told["held"] / MIB
        return None if peak is None or "resident" not in told else (peak - told["resident"]) / 1024

    def _signal(self, number: signal.Signals, only: bool = False) -> None:
        with contextlib.suppress(ProcessLookupError):
            (os.kill if only else os.killpg)(self.process.pid, number)

    def _clock(self) -> float:
        if clocks["of"] == "wall":
            return time.perf_counter()
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _next_step(self) -> tuple[int, int]:
        """Wait for the next line of a step; return the epoch's and the step's number."""
        for line in self._lines():
            self.said.append(line)
            if found := LINE.search(line):
                return int(found[1]), int(found[2])
        last = " / ".join(self.said[-3:])
        self.close()
        raise Missing(f"train.py ended: {last}")

    def _lines(self) -> Iterator[str]:
        assert self.process.stderr is not None
        while line := self.process.stderr.readline():
            yield line.rstrip()


def side(case: Case, settings: Settings, precision: str, folder: Path, workers: int, steps: int) -> Side:
    """Return the side of timm's train.py."""
    running: list[Script] = []

    def make() -> Turn:
        if settings.timm_train is None:
            raise Missing("give --timm-train")
        if not settings.timm_train.is_file():
            raise Missing(f"{settings.timm_train} is no file")
        interval = max(1, steps // 8)
        line = command(case, settings, precision, folder, workers, interval)
        running.append(Script(line, case.batch, settings.seconds))
        return running[0].turn

    return Side(SCRIPT, make, lambda: running.pop().close() if running else None)
