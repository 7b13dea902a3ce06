"""Run a script and tell the memory that it took: `python -m benchmarks.speed.script_wrapper <threads> <script> ...`.

The first line of standard error is the resident memory after the imports, KiB; the last one, at the end or when asked
to end, the most memory that the GPU held for it, bytes.
"""

import runpy
import signal
import sys
import types
from pathlib import Path

import timm  # noqa: F401  the script imports it too: what it costs is no part of the memory that training adds
import torch
import torchvision  # noqa: F401


def end(number: int, frame: types.FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    threads, script = int(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(threads)
    lines = Path("/proc/self/status").read_text().splitlines() if Path("/proc/self/status").exists() else []
    resident = next((line.split()[1] for line in lines if line.startswith("VmRSS")), "0")
    print(f"resident {resident}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, end)
    sys.argv = [script, *sys.argv[3:]]
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        held = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        print(f"held {held}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
