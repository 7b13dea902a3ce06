"""What every stage shares: where files stand, how params are read, how an error is told."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import typer
import yaml

from fer_core.errors import ConfigError, FerError
from fer_core.files import YAML_LOADER

DATA = Path("data")
PLANS = Path("plans")
METRICS = Path("metrics")
REPORTS = Path("reports")
DEBUG = typer.Option(False, "--debug", help="Show the traceback of an error.")


def read_params(path: Path = Path("params.yaml")) -> dict[str, Any]:
    """Read params.yaml from the current directory, where DVC runs every stage."""
    try:
        params = yaml.load(path.read_text(encoding="utf-8"), YAML_LOADER)
    except FileNotFoundError:
        raise ConfigError(f"{path} was not found in {Path.cwd()}; run stages from the repository root.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}.") from None
    if not isinstance(params, dict):
        raise ConfigError(f"Expected {path} to hold a mapping of keys; got {type(params).__name__}.")
    return params


def work_folder() -> Path:
    """Return where unfinished and reusable work is kept between runs, outside what DVC owns.

    In the copies that `dvc exp run --temp` and the queue make, DVC_ROOT names the original repository.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()) / ".work"


def stage(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a typer command: a FerError becomes one sentence on stderr and exit status 1."""

    @wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except FerError as error:
            if kwargs.get("debug"):
                raise
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print("interrupted; what was finished is kept, run the same command to go on", file=sys.stderr)
            raise typer.Exit(130) from None
        except (RuntimeError, MemoryError) as error:
            if kwargs.get("debug") or not _out_of_memory(error):
                raise
            told = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
            print(
                f"error: memory ran out: {told}. Run fewer JOBS at once, or set a lower `batch_size`, a smaller "
                "`backbone` or size. What was finished is kept.",
                file=sys.stderr,
            )
            raise typer.Exit(1) from None

    return wrapper


def _out_of_memory(error: RuntimeError | MemoryError) -> bool:
    # by name: to import torch for it would take seconds
    told = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return told or isinstance(error, MemoryError)
