"""Run the whole road: `dvc repro`, then the gains table and the line that opens MLflow at it.

With --profile the road runs under another profile, and params.yaml is put back as it was afterwards, also after
Ctrl-C; `dvc repro` then brings the former results back from DVC's cache. With --jobs independent stages run side by
side.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from fer_core.errors import ConfigError, unknown_name
from fer_core.files import write_text
from stages.lib.common import DEBUG, read_params, stage
from stages.lib.jobs import run_jobs
from stages.lib.warm import run_warm

app = typer.Typer(add_completion=False)


@contextmanager
def under_profile(profile: str | None, params: Path) -> Iterator[None]:
    """Set `profile:` in params.yaml for the time being; comments and layout stay as they are."""
    text = params.read_text(encoding="utf-8")
    values = read_params(params)
    if profile is None or profile == values["profile"]:
        yield
        return
    if profile not in values["profiles"]:
        raise unknown_name("PROFILE", profile, values["profiles"])
    write_text(params, re.sub(r"(?m)^profile: *\w+", f"profile: {profile}", text, count=1))
    try:
        yield
    finally:
        write_text(params, text)


def number_of_jobs(typed: str) -> int:
    """Return JOBS as a number of at least 1; anything else is a ConfigError."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,5}", typed.strip(), re.ASCII):
        raise ConfigError(f"Expected JOBS to be a positive integer, such as 4; got {typed!r}.")
    return int(typed)


@app.command()
@stage
def main(
    profile: str = typer.Option(None, help="smoke, demo, gpu or gpu48; default: what params.yaml says."),
    jobs: str = typer.Option("1", metavar="N", help="How many stages may run at once; 1: `dvc repro` itself."),
    debug: bool = DEBUG,
) -> None:
    """Run `dvc repro` and print the gains table."""
    start = time.monotonic()
    at_once = number_of_jobs(jobs)
    with under_profile(profile, Path("params.yaml")):
        code = run_warm(["dvc", "repro"]) if at_once == 1 else run_jobs(at_once)
    if code:
        print(f"dvc repro failed (exit status {code}); what was finished is kept", file=sys.stderr)
        raise typer.Exit(code)
    print(f"\nthe whole road took {(time.monotonic() - start) / 60:.1f} minutes\n", flush=True)
    subprocess.run([sys.executable, "-m", "stages.report", "--print-only"], check=True)
    print("\nmake ui   # opens this table in MLflow, with every run's curves, pictures and model")


if __name__ == "__main__":
    app()
