"""How cost grows with the number of pictures: `python -m benchmarks.growth`.

Made-up manifests of 10^4, 10^5 and 10^6 rows go through what is done once a row: ingest's tables and splits, the
leakage guard, align's bookkeeping, the join of AUs, and the table part of loading faces (`benchmarks.growth_cases`).
Each case and size runs in a process of its own. `there` is the memory that the process has before, with the case's
input; `growth` is what the case adds to it at its highest. `exponent` is log10 of how many times as long ten times as
many rows take, from the two largest sizes: 1 is linear, 2 quadratic.
"""

import ctypes
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import typer

from fer_core.errors import DataError
from fer_core.files import write_json

REPOSITORY = Path(__file__).parent.parent
SIZES = "10000,100000,1000000"
app = typer.Typer(add_completion=False)


def memory(key: str) -> float:
    """Return a figure of this process in MiB: `VmRSS`, its resident memory, or `VmHWM`, the most that it has been."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) / 1024


def forget_peak() -> None:
    """Hand freed memory back and let the highest resident memory begin again at what there is now."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # proc(5)


def measured(case: str, rows: int, folder: Path) -> dict[str, float]:
    """Prepare a case, then run it; return wall and CPU seconds, and memory in MiB."""
    from benchmarks.growth_cases import CASES  # noqa: PLC0415  the process that only asks need not wait

    run = CASES[case](rows, folder)
    forget_peak()
    there, start, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    run()
    seconds, spent = time.perf_counter() - start, time.process_time() - cpu
    growth = memory("VmHWM") - there
    return {"seconds": seconds, "cpu_seconds": spent, "there_mib": there, "growth_mib": growth}


def apart(case: str, rows: int) -> dict[str, float]:
    """Measure a case in a process and a folder of its own."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.growth", "--only", case, "--rows", str(rows), "--folder", folder]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise DataError(f"Expected the case {case} to run with {rows} rows; it ended with {last}.")
    found: dict[str, float] = json.loads(done.stdout.decode().splitlines()[-1])
    return found


def exponent(times: dict[int, float]) -> float | None:
    """Return the growth from the second largest to the largest size; None with fewer than two.

    Args:
        times: rows -> seconds.

    Example:
        >>> exponent({10: 1.0, 1000: 2.0, 100_000: 200.0})
        1.0
    """
    if len(times) < 2:
        return None
    small, large = sorted(times)[-2:]
    return round(math.log(times[large] / times[small]) / math.log(large / small), 2)


def in_words(case: str, found: dict[int, dict[str, float]]) -> list[str]:
    """Return the lines of a case for the table."""
    lines = []
    for rows, row in found.items():
        per_second = rows / row["cpu_seconds"]
        lines.append(
            f"{case:10} {rows:>9,} {row['cpu_seconds']:>9.2f} {per_second:>11,.0f} {row['there_mib']:>9,.0f} "
            f"{row['growth_mib']:>9,.0f}"
        )
    grown = exponent({rows: row["cpu_seconds"] for rows, row in found.items()})
    if grown is not None and lines:
        lines[-1] += f" {grown:>9.2f}"
    return lines


@app.command()
def main(
    rows: str = typer.Option(SIZES, help="Sizes, commas between them."),
    only: str = typer.Option("", help="One case, in this process and without a table: what the others are started as."),
    cases: str = typer.Option("", help="Names of the cases to run, commas between them; all where left out."),
    folder: Path = typer.Option(Path(), help="With --only: where the case may write."),
    out: Path = typer.Option(Path("benchmarks/results/growth.json"), help="File to write."),
) -> None:
    """Measure every case at every size; print a table, write the result."""
    sizes = [int(size) for size in rows.split(",")]
    if only:
        print(json.dumps(measured(only, sizes[0], folder)))
        return
    from benchmarks.growth_cases import CASES  # noqa: PLC0415  as above

    names = cases.split(",") if cases else list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        raise DataError(f"Expected cases of {', '.join(CASES)}; got {unknown[0]!r}.")
    print(f"{'case':10} {'rows':>9} {'CPU s':>9} {'rows/s':>11} {'there':>9} {'growth':>9} {'exponent':>9}   (MiB)")
    result: dict[str, Any] = {}
    for name in names:
        found: dict[int, dict[str, float]] = {}
        for size in sizes:
            found[size] = {key: round(value, 3) for key, value in apart(name, size).items()}
        print("\n".join(in_words(name, found)), flush=True)
        times = {size: row["cpu_seconds"] for size, row in found.items()}
        result[name] = {"sizes": found, "exponent": exponent(times)}
    write_json(out, result)


if __name__ == "__main__":
    app()
