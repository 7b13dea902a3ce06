"""The warm process: stages that run as forks of it behave like stages that run by themselves."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.lib.warm import VARIABLE, run_in_fork, warm_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the warm process needs Linux")

ROOT = Path(__file__).parents[2]
LIMIT = 60
# stages of a made-up project, which shares the real stages' library
PACKAGE = f"__path__ = [{str(ROOT / 'stages')!r}, *__path__]\n"
STAGE = """
import os, sys, time
from pathlib import Path
import typer
from fer_core.errors import DataError
from stages.lib.common import stage
app = typer.Typer()
@app.command()
@stage
def main(what: str):
    print("pid", os.getpid(), "torch" in sys.modules, Path.cwd().name, os.environ["COLOUR"], sys.stdin.readline())
    print("on stderr", file=sys.stderr)
    if what == "refuse":
        raise DataError("no such face")
    if what == "crash":
        raise RuntimeError("a fault of ours")
    if what == "child":
        import subprocess
        print("child", subprocess.run(["false"]).returncode)
    if what == "sleep":
        Path("sleeping").write_text(str(os.getpid()))
        time.sleep(60)
if __name__ == "__main__":
    app()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "stages").mkdir()
    (folder / "stages" / "__init__.py").write_text(PACKAGE)
    (folder / "stages" / "made_up.py").write_text(STAGE)
    return folder


@pytest.fixture(scope="module")
def warm() -> Iterator[dict[str, str]]:
    with warm_process() as environment:
        wait_for(lambda: list(Path(environment[VARIABLE]).iterdir()))
        yield {VARIABLE: environment[VARIABLE]}


def wait_for(condition: "object") -> None:
    end = time.monotonic() + LIMIT
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def start(project: Path, what: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "stages.made_up", what],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLOUR": "green"} | environment,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


def run(project: Path, what: str, environment: dict[str, str]) -> tuple[int, list[str], str]:
    """Return the exit status, stdout after the pid (with whether torch was there), and stderr."""
    process = start(project, what, environment)
    out, err = process.communicate("typed\n", timeout=LIMIT)
    words = out.split()
    forked = words[1] != str(process.pid)
    assert words[2] == str(forked), "a fork has torch, a process of its own has not"
    assert forked == bool(environment)
    return process.returncode, words[3:], err


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state != "Z"


@pytest.mark.parametrize(
    ("what", "status"), [("work", 0), ("refuse", 1), ("crash", 1), ("child", 0), ("--nonsense", 2)]
)
def test_a_fork_prints_and_ends_as_the_stage_itself(
    project: Path, warm: dict[str, str], what: str, status: int
) -> None:
    if what == "--nonsense":  # refused before any fork
        assert start(project, what, warm).wait(LIMIT) == status
        return
    cold, forked = run(project, what, {}), run(project, what, warm)
    assert forked[:2] == cold[:2]
    assert forked[0] == status and forked[1][:3] == [project.name, "green", "typed"]
    assert "on stderr" in forked[2] and (what != "refuse" or "error: no such face" in forked[2])
    assert ("Traceback" in forked[2]) == ("Traceback" in cold[2]) == (what == "crash")


def test_with_another_number_of_threads_the_stage_runs_by_itself(project: Path, warm: dict[str, str]) -> None:
    """OpenMP has read the server's number long ago, and sums in another order with another one."""
    process = start(project, "work", warm | {"OMP_NUM_THREADS": "3"})
    out, _ = process.communicate("typed\n", timeout=LIMIT)
    assert out.split()[1:3] == [str(process.pid), "False"]


def sleeping(project: Path, warm: dict[str, str]) -> "tuple[subprocess.Popen[str], int]":
    (project / "sleeping").unlink(missing_ok=True)
    process = start(project, "sleep", warm)
    assert process.stdin
    process.stdin.write("typed\n")
    process.stdin.flush()
    wait_for(lambda: (project / "sleeping").exists() and (project / "sleeping").read_text())
    return process, int((project / "sleeping").read_text())


def test_ctrl_c_reaches_the_fork(project: Path, warm: dict[str, str]) -> None:
    process, worker = sleeping(project, warm)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130 and "interrupted" in err and "Traceback" not in err
    wait_for(lambda: not alive(worker))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_stage_takes_its_fork_along(project: Path, warm: dict[str, str], number: int) -> None:
    process, worker = sleeping(project, warm)
    process.send_signal(number)
    process.communicate(timeout=LIMIT)
    wait_for(lambda: not alive(worker))


def test_a_killed_fork_is_a_failed_stage(project: Path, warm: dict[str, str]) -> None:
    process, worker = sleeping(project, warm)
    os.kill(worker, signal.SIGKILL)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 1 and "was killed" in err


def test_without_a_server_the_stage_runs_by_itself(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(project, "work", {VARIABLE: str(tmp_path / "nobody")})
    out, _ = process.communicate("typed\n", timeout=LIMIT)
    assert process.returncode == 0 and out.split()[1:3] == [str(process.pid), "False"]
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nobody"))
    assert run_in_fork() is None, "this process is no stage"


def test_the_server_ends_with_who_started_it(tmp_path: Path) -> None:
    script = (
        "import time; from pathlib import Path; from stages.lib import warm\n"
        "with warm.warm_process() as found: print(found[warm.VARIABLE], flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    address = owner.stdout.readline().strip()
    wait_for(lambda: list(Path(address).iterdir()))
    found = [int(path.name) for path in Path("/proc").glob("[0-9]*") if address.encode() in _command(path)]
    owner.kill()
    owner.communicate()
    assert len(found) == 1
    wait_for(lambda: not alive(found[0]))
    shutil.rmtree(address)


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
