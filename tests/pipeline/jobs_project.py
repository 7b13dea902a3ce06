"""A small made-up DVC repository whose stages tell when they ran, and how its road is run with several jobs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from fer_core.files import read_json

ROOT = Path(__file__).parents[2]
LIMIT = 60
# `python -m stages.run --jobs N` without what comes after the road, and without the server that imports PyTorch
COMMAND = """
import contextlib, sys
from stages.lib import jobs
jobs.warm_process = contextlib.nullcontext
sys.exit(jobs.run_jobs(int(sys.argv[1])))
"""
# A stage: it says when it began and ended and what it was given, waits for others that must run at the same time, and
# writes its inputs' text and its own name.
STEP = """
import json, os, sys, time
from pathlib import Path
name, *words = sys.argv[1:]
log = Path("stamps") / name
log.mkdir(parents=True, exist_ok=True)
begin = time.time()
(log / "pid").write_text(str(os.getpid()))
end = time.monotonic() + 30
deps = []
print(name, "speaks")
for word in words:
    kind, _, value = word.partition(":")
    if kind == "dep":
        deps.append(value)
    while kind == "with" and not (Path("stamps") / value / "pid").exists():
        if time.monotonic() > end:
            sys.exit(f"{name} waited for {value} in vain")
        time.sleep(0.02)
    if kind == "until":
        while not Path(value).exists():
            time.sleep(0.02)
    if kind == "fail" and Path("broken").exists():
        sys.exit("last words of " + name)
    if kind == "sleep":
        try:
            time.sleep(float(value))
        except KeyboardInterrupt:
            (log / "kept").write_text("checkpoint")
            sys.exit(130)
text = "+".join(Path(dep).read_text() for dep in deps)
Path(name).write_text(f"{name}({text})")
given = {key: os.environ.get(key) for key in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")}
(log / f"{time.time_ns()}.json").write_text(json.dumps({"begin": begin, "end": time.time(), **given}))
"""


def project(folder: Path, graph: dict[str, list[str]], **extra: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "step.py").write_text(STEP)
    stages = {}
    for name, words in graph.items():
        deps = [word[4:] for word in words if word.startswith("dep:")]
        command = f"{sys.executable} -S -E step.py {name} {' '.join(words)}"
        stages[name] = {"cmd": command, "deps": ["step.py", *deps], "outs": [name], **extra.get(name, {})}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    (folder / ".dvc").mkdir(exist_ok=True)  # as `dvc init --no-scm` leaves it
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = True\n    analytics = false\n")
    return folder


def environment(**more: str) -> dict[str, str]:
    left_out = ("DVC_ROOT", "DVC_STAGE", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "FER_WARM_PROCESS")
    kept = {key: value for key, value in os.environ.items() if key not in left_out}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"} | more


def start(folder: Path, jobs: int = 2, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(jobs)],
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        start_new_session=True,
    )


def run(folder: Path, jobs: int = 2, **more: str) -> tuple[int, str]:
    process = start(folder, jobs, **more)
    printed, _ = process.communicate(timeout=LIMIT)
    return process.returncode, printed


def stamps(folder: Path, name: str) -> list[dict[str, Any]]:
    return [read_json(path) for path in sorted((folder / "stamps" / name).glob("*.json"))]


def lock(folder: Path) -> Any:
    return yaml.safe_load((folder / "dvc.lock").read_text())


def pid(folder: Path, name: str) -> int:
    path = folder / "stamps" / name / "pid"
    wait_for(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def group(number: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == number and alive(int(path.name)):
                found.append(int(path.name))
        except OSError:
            continue
    return found
