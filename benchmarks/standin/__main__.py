"""Measure the generated set: `python -m benchmarks.standin`, or some parts of it, e.g. `... shortcuts frequencies`.

Draws the default's faces in memory (params.yaml: `standin` and the profile `demo`), measures, and writes
benchmarks/results/standin.json (a part that was not asked for keeps its last figures), reports/standin.html (contact
sheets) and the table of figures in docs/standin.md.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
import yaml

from benchmarks.standin.report import page, write_table
from fer_core.errors import FerError, unknown_name
from fer_core.files import read_json, write_json, write_text
from fer_core.standin.config import VERSION, StandinConfig, read_config

RESULTS = Path("benchmarks/results/standin.json")
PAGE = Path("reports/standin.html")
DOCUMENT = Path("docs/standin.md")
SEEDS = range(5)

app = typer.Typer(add_completion=False)


def _parts(config: StandinConfig) -> dict[str, Callable[[], Any]]:
    """Return part -> how it is measured; faces are drawn once, when a part first asks for them."""
    # each part imports what it needs: the sheets alone shall not wait for PyTorch
    from benchmarks.standin.faces import draw, labelled  # noqa: PLC0415

    drawn: list = []

    def faces() -> Any:
        if not drawn:
            drawn.append(draw(config, labelled(config), _cores()))
        return drawn[0]

    def frequencies() -> Any:
        from benchmarks.standin import frequencies as part  # noqa: PLC0415

        return part.frequencies(config)

    def shortcuts() -> Any:
        from benchmarks.standin import shortcuts as part  # noqa: PLC0415

        return part.shortcuts(faces())

    def ceiling() -> Any:
        from benchmarks.standin import ceilings as part  # noqa: PLC0415

        return part.ceilings(faces(), config)

    def baseline() -> Any:
        from benchmarks.standin import baseline as part  # noqa: PLC0415

        return part.baseline(faces(), SEEDS, _cores())

    def difficulties() -> Any:
        from benchmarks.standin import baseline as part  # noqa: PLC0415

        others = {name: replace(config, difficulty=name) for name in ("easy", "hard")}
        return {name: part.baseline(draw(c, labelled(c), _cores()), range(2), _cores()) for name, c in others.items()}

    def reader() -> Any:
        from benchmarks.standin import reader as part  # noqa: PLC0415

        return part.reread(faces(), config)

    def detection() -> Any:
        from benchmarks.standin import detection as part  # noqa: PLC0415

        return part.detection(faces(), config)

    def alignment() -> Any:
        from benchmarks.standin import detection as part  # noqa: PLC0415

        return part.alignment(faces())

    functions = (frequencies, ceiling, reader, baseline, detection, alignment, shortcuts, difficulties)
    return {function.__name__: function for function in functions}


@app.command()
def main(
    parts: list[str] = typer.Argument(None, help="Some of the parts, or `sheets`; all by default."),
    params: Path = typer.Option(Path("params.yaml"), help="Where `standin` and the profile are read."),
) -> None:
    """Measure the generated set and draw its contact sheets."""
    try:
        _measure(parts, params)
    except FerError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _measure(parts: list[str], params: Path) -> None:
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    config = read_config(values | {"profile": "demo"})
    known = _parts(config)
    for part in parts or []:
        if part not in (*known, "sheets"):
            raise unknown_name("part", part, (*known, "sheets"))
    about = {"version": VERSION, "difficulty": config.difficulty, "seed": config.seed}
    results = read_json(RESULTS) if RESULTS.exists() else {}
    if {key: results.get(key) for key in about} != about:
        results = about  # figures of another set do not belong beside this one's
    for name, measure in known.items():
        if parts and name not in parts:
            continue
        start = time.monotonic()
        results[name] = measure()
        typer.echo(f"{name}: {time.monotonic() - start:.0f} s\n{yaml.safe_dump(results[name], sort_keys=False)}")
        write_json(RESULTS, results)
    if not parts or "sheets" in parts:
        write_text(PAGE, page(config))
        typer.echo(f"{PAGE} written")
    write_table(DOCUMENT, results)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


if __name__ == "__main__":
    app()
