"""Speed beside peers, in one table: `python -m benchmarks.speed`, or `make bench`. docs/speed.md tells how to read it.

Run it on an idle machine. On a busy one, `--threads 1 --clock cpu` counts seconds of the process instead of the wall
clock's, and is steadier.
"""

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from datetime import date
from pathlib import Path

import torch
import typer

from benchmarks.speed import aligning, au_join, evaluation, pretraining, training
from benchmarks.speed.cases import CPU_CASES, GPU_CASES, OF_LIGHTLY, Case
from benchmarks.speed.lightly_peer import LIGHTLY
from benchmarks.speed.machine import ALLOCATOR, chip, commit, describe, file_name
from benchmarks.speed.measure import CEILING, Comparison, clocks
from benchmarks.speed.report import Bound, sentence, table, verdicts, write
from benchmarks.speed.settings import Settings
from benchmarks.speed.timm_script import SCRIPT
from fer_core.errors import ConfigError
from fer_core.training.device import pick_device

RESULTS = Path("benchmarks/results")
PARTS: dict[str, Callable[[Settings, Sequence[Case]], Iterator[Comparison]]] = {
    "training": training.measure,
    "pretraining": pretraining.measure,
    "evaluation": evaluation.measure,
    "alignment": aligning.measure,
    "aus": au_join.measure,
}
app = typer.Typer(add_completion=False)


def bounds_of(cases: Sequence[Case]) -> list[Bound]:
    """Return all that has to be met."""
    found = []
    for case in cases:
        if case.of_ceiling is not None:
            found.append(Bound("training", case.title, CEILING, case.of_ceiling))
        if case.of_timm is not None:
            found.append(Bound("training", case.title, SCRIPT, case.of_timm))
    for method in pretraining.METHODS if cases else ():
        found.append(Bound("pretraining", pretraining.title(method, cases[0]), LIGHTLY, OF_LIGHTLY))
    return found


def chosen(only: str) -> list[str]:
    """Return the parts named, comma between; all where none is.

    Raises:
        ConfigError: a part is unknown.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in PARTS:
            raise ConfigError(f"Expected `--only` to name parts of {', '.join(PARTS)}; got {name!r}.")
    return names or list(PARTS)


@app.command()
def main(
    only: str = typer.Option("", help=f"Parts, comma between; all: {', '.join(PARTS)}."),
    models: str = typer.Option("", help="Of the networks, only those named, comma between."),
    rounds: int = typer.Option(7, help="Turns of every side that count."),
    threads: int = typer.Option(0, help="PyTorch's, for every side; 0: one a core."),
    clock: str = typer.Option("wall", help="wall | cpu (seconds of the process: steadier where others compute too)."),
    quick: bool = typer.Option(False, "--quick", help="Two short rounds: whether it runs, not how fast."),
    timm_train: Path = typer.Option(None, envvar="TIMM_TRAIN", help="timm's train.py, to be measured beside."),
    workers: int = typer.Option(-1, help="Of the peers' loaders; -1: what is best here of a few."),
    out: Path = typer.Option(RESULTS, help="Folder of the file of results."),
) -> None:
    """Measure, print and write; exit with 1 where a bound is missed."""
    if clock not in ("wall", "cpu"):
        raise ConfigError(f"Expected `--clock` to be wall or cpu; got {clock!r}.")
    clocks["of"] = clock
    device = pick_device()
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads or cores)
    os.environ["OMP_NUM_THREADS"] = str(threads or cores)  # of processes that are started
    machine = describe(device) | {"clock": clock, "rounds": rounds}
    if missing := [name for name in ALLOCATOR if name not in os.environ]:
        print(f"{', '.join(missing)} not set: `make bench` sets them, for all sides")
    all_cases = GPU_CASES if device.type == "cuda" else CPU_CASES
    wanted = [name.strip() for name in models.split(",") if name.strip()]
    cases = [case for case in all_cases if not wanted or case.timm in wanted]
    found: list[Comparison] = []
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            device,
            2 if quick else rounds,
            0.2 if quick else 0.8,
            threads or cores,
            _workers(workers, cores, clock),
            timm_train,
            Path(folder),
        )
        for part in chosen(only):
            with redirect_stderr(io.StringIO()):  # progress of the sides, each a line of its own
                for comparison in PARTS[part](settings, cases):
                    found.append(comparison)
                    seconds = time.perf_counter() - start
                    print(f"{comparison.part}, {comparison.case}: measured after {seconds:.0f} s", flush=True)
    machine["seconds"] = round(time.perf_counter() - start)
    judged = verdicts(found, bounds_of(cases))
    path = out / file_name(date.today(), commit(), chip(device), torch.__version__)
    write(path, machine, found, judged)
    print(f"\n{table(found)}\n")
    for verdict in judged:
        print(sentence(verdict))
    print(f"written: {path}")
    missed = [verdict for verdict in judged if verdict["verdict"] == "MISSED"]
    print(f"missed: {len(missed)} of {len(judged)} bounds" if missed else "no bound was missed")
    raise typer.Exit(bool(missed))


def _workers(asked: int, cores: int, clock: str) -> tuple[int, ...]:
    """Return the numbers of loader processes to try; on the process's clock only none can be timed."""
    if clock == "cpu":
        return (0,)
    if asked >= 0:
        return (asked,)
    return tuple(sorted({0, 1, cores})) if cores <= 4 else (cores,)


if __name__ == "__main__":
    app()
