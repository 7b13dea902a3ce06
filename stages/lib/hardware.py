"""What one of several stages that run at once may use: its share of the cores, and one of the GPUs."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence

GPUS = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"
_LIMIT = 30  # seconds for nvidia-smi, which may start a driver


def usable_cores() -> int:
    """Return how many cores this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the GPUs as CUDA_VISIBLE_DEVICES names them: what it holds where it is set, else nvidia-smi's identities.

    PyTorch is not asked: its import takes seconds. A GPU that is split is named by its parts (MIG), since a process can
    use one of them only.
    """
    if GPUS in environment:
        names = [name.strip() for name in environment[GPUS].split(",")]
        # what stands behind a name that is none, -1 as a rule, is not visible either
        hidden = next((place for place, name in enumerate(names) if not name or name.startswith("-")), len(names))
        return names[:hidden]
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
            timeout=_LIMIT,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return gpu_names(listed)


def gpu_names(listed: str) -> list[str]:
    """Return the identities in what `nvidia-smi -L` printed; of a split GPU those of its parts.

    >>> gpu_names("GPU 0: A (UUID: GPU-1)\\nGPU 1: A (UUID: GPU-2)\\n  MIG 1g  Device 0: (UUID: MIG-3)\\n")
    ['GPU-1', 'MIG-3']
    """
    names: list[str] = []
    for kind, name in re.findall(r"(?m)^\s*(GPU|MIG)\b.*\(UUID: ([^)\s]+)\)", listed):
        if kind == "MIG" and names and names[-1].startswith("GPU"):
            names.pop()
        names.append(name)
    return names


def shares(jobs: int, environment: Mapping[str, str], gpus: Sequence[str]) -> list[dict[str, str]]:
    """Return the variables of each job: its share of the cores unless OMP_NUM_THREADS is set, and GPU i of G in turn.

    With fewer GPUs than jobs they are shared; with none, CUDA_VISIBLE_DEVICES is left alone.
    """
    threads = environment.get(THREADS) or str(max(1, usable_cores() // jobs))
    return [{THREADS: threads, **({GPUS: gpus[job % len(gpus)]} if gpus else {})} for job in range(jobs)]
