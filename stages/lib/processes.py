"""A training stage on several processes of this machine: `FER_PROCESSES=8 dvc repro` (`make repro PROCESSES=8`).

DVC's command line for a stage has to stay the same, so the number stands in the environment: the stage then starts
itself anew under torchrun. It changes no fingerprint: the same run is trained, by more hands.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from fer_core.errors import ConfigError
from stages.lib.warm import VARIABLE as WARM

VARIABLE = "FER_PROCESSES"
_TORCHRUN = "TORCHELASTIC_RUN_ID"  # torchrun sets it in what it starts
T = TypeVar("T")


def wanted(environment: Mapping[str, str] = os.environ) -> int:
    """Return how many processes a training run shall have; 1 under torchrun, which has started them already.

    Raises:
        ConfigError: the variable is no whole number from 1 on.
    """
    text = environment.get(VARIABLE) or "1"
    if not (text.isdecimal() and int(text) >= 1):
        raise ConfigError(f"Expected {VARIABLE} to be a whole number from 1 on; got {text!r}.")
    return 1 if _TORCHRUN in environment else int(text)


def under_torchrun(module: str, arguments: list[str], count: int) -> int:
    """Run `python -m module arguments` as `count` processes of this machine, and return 0, or 1 if one failed.

    What failed has been told by the process itself; torchrun's own account of it is left out.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    os.environ.pop(WARM, None)  # each process imports for itself
    try:
        main(["--standalone", "--nproc-per-node", str(count), "-m", module, *arguments])
    except ChildFailedError:
        return 1
    return 0


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that torchrun started, of which only the first shows anything; without it, do nothing."""
    if _TORCHRUN not in os.environ:
        yield
        return
    from fer_core.training.distributed import is_first, process_group

    with process_group():
        if not is_first():
            sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  for the rest of this process
        yield


def first() -> bool:
    """Return whether this process writes files: the first one, or the only one."""
    if _TORCHRUN not in os.environ:
        return True
    from fer_core.training.distributed import is_first

    return is_first()


def by_first(make: Callable[[], T]) -> T | None:
    """Call `make` in the first process, and return in every process what it returned there.

    The others wait for it. If it fails there, torchrun ends them.
    """
    if _TORCHRUN not in os.environ:
        return make()
    from fer_core.training.distributed import from_first, is_first

    return from_first(make() if is_first() else None)
