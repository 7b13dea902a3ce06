"""What was measured, where and with which versions: for the name of the file of results, and in it."""

import os
import platform
import re
import subprocess
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
PACKAGES = ("torch", "torchvision", "timm", "lightly", "numpy", "pandas", "pillow", "opencv-python-headless")
# set by the Makefile: they make large tensors come back from the allocator instead of the kernel
ALLOCATOR = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def processor() -> str:
    """Return the name of the CPU as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def chip(device: torch.device) -> str:
    """Return the name of the GPU, or of the CPU where that computes."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def commit() -> str:
    """Return the commit's short hash, with "-changed" behind it where files differ from it; unknown without git."""
    try:
        head = _git("rev-parse", "--short=10", "HEAD")
        return f"{head}-changed" if _git("status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def slug(text: str) -> str:
    """Return lower-case letters and digits with single dashes between.

    Example:
        >>> slug("NVIDIA A10G (24 GB)")
        'nvidia-a10g-24-gb'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def file_name(day: date, revision: str, name: str, torch_version: str) -> str:
    """Return the name of the file of results.

    Example:
        >>> file_name(date(2026, 1, 31), "0a1b2c3d4e", "AMD EPYC", "2.15.0+cu132")
        '2026-01-31-0a1b2c3d4e-amd-epyc-torch2.15.0.json'
    """
    return f"{day.isoformat()}-{revision}-{slug(name)}-torch{torch_version.partition('+')[0]}.json"


def describe(device: torch.device) -> dict[str, object]:
    """Return the machine, the versions and the command, for the file of results."""
    return {
        "date": date.today().isoformat(),
        "commit": commit(),
        "command": " ".join([Path(sys.executable).name, "-m", "benchmarks.speed", *sys.argv[1:]]),
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "torch_threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0],
        "allocator": {name: os.environ.get(name) for name in ALLOCATOR},
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
