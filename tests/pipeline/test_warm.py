"""The warm process: stages that run as forks of it behave like stages that run by themselves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.lib import warm as module
from stages.lib.warm import VARIABLE, run_in_fork, warm_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the warm process needs Linux")

ROOT = Path(__file__).parents[2]
LIMIT = 60
# stages of a made-up project, which shares the real stages' library
PACKAGE = f"""
__path__ = [{str(ROOT / "stages")!r}, *__path__]
from stages.lib.warm import hand_over
hand_over()
"""
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
    Path("pid").write_text(str(os.getpid()))
    typed = sys.stdin.readline() if sys.stdin else ""
    print("pid", os.getpid(), "torch" in sys.modules, Path.cwd().name, os.environ["COLOUR"], typed)
    print("on stderr", file=sys.stderr)
    if what == "refuse":
        raise DataError("no such face")
    if what == "crash":
        raise RuntimeError("a fault of ours")
    if what == "words":
        sys.exit("last words")
    if what == "far":
        sys.exit(-9)
    if what == "frozen":
        import gc
        print(gc.get_freeze_count() > 100_000)
    if what == "child":
        import subprocess
        print("child", subprocess.run(["false"]).returncode)
    if what == "sleep":
        Path("sleeping").write_text("yes")
        time.sleep(LIMIT)
if __name__ == "__main__":
    app()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "stages").mkdir()
    (folder / "stages" / "__init__.py").write_text(PACKAGE)
    (folder / "stages" / "made_up.py").write_text(STAGE.replace("LIMIT", str(LIMIT)))
    return folder


@pytest.fixture(scope="module")
def warm() -> Iterator[dict[str, str]]:
    with warm_process() as environment:
        wait_for(lambda: list(Path(environment[VARIABLE]).iterdir()))
        yield {VARIABLE: environment[VARIABLE]}


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def heed_ctrl_c() -> None:
    """A shell that starts the tests in the background ignores Ctrl-C, and a child would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(project: Path, what: str, environment: dict[str, str], **files: Any) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "stages.made_up", what],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLOUR": "green", "DVC_STAGE": "made_up"} | environment,
        text=True,
        preexec_fn=heed_ctrl_c,  # noqa: PLW1509
        **{"stdin": pipe, "stdout": pipe, "stderr": pipe, **files},
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


def test_a_forks_collector_leaves_what_was_imported_alone(project: Path, warm: dict[str, str]) -> None:
    assert run(project, "frozen", warm)[1][-1] == "True"
    assert run(project, "frozen", {})[1][-1] == "False"


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def processes(mark: str) -> list[int]:
    """The processes whose command line holds `mark`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("what", "status"), [("work", 0), ("refuse", 1), ("crash", 1), ("words", 1), ("far", 247), ("child", 0)]
)
def test_a_fork_prints_and_ends_as_the_stage_itself(
    project: Path, warm: dict[str, str], what: str, status: int
) -> None:
    cold, forked = run(project, what, {}), run(project, what, warm)
    assert forked[:2] == cold[:2]
    assert forked[0] == status and forked[1][:3] == [project.name, "green", "typed"]
    for said in ("on stderr", *{"refuse": ["error: no such face"], "words": ["last words"]}.get(what, [])):
        assert said in forked[2] and said in cold[2]
    assert ("Traceback" in forked[2]) == ("Traceback" in cold[2]) == (what == "crash")


def test_a_wrong_command_line_is_refused_alike(project: Path, warm: dict[str, str]) -> None:
    (project / "pid").unlink(missing_ok=True)
    for environment in ({}, warm):
        process = start(project, "--nonsense", environment)
        _, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 2 and "No such option" in err and not (project / "pid").exists()


def test_pythons_own_options_stand_before_the_stage(project: Path, warm: dict[str, str]) -> None:
    command = f"echo typed | {sys.executable} -u -X utf8 -m stages.made_up work"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLOUR": "green", "DVC_STAGE": "made_up"} | warm
    done = subprocess.run(["bash", "-c", command], cwd=project, env=environment, capture_output=True, check=False)
    assert done.returncode == 0 and done.stdout.split()[2:] == [b"True", project.name.encode(), b"green", b"typed"]


def test_what_dvc_does_not_run_stays_in_the_foreground(
    project: Path, warm: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, warm[VARIABLE])
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setattr(module.socket, "socket", lambda *_: pytest.fail("it was handed over"))
    assert run_in_fork("stages.made_up", ["work"]) is None


def sleeping(project: Path, warm: dict[str, str]) -> "tuple[subprocess.Popen[str], int]":
    (project / "sleeping").unlink(missing_ok=True)
    process = start(project, "sleep", warm)
    assert process.stdin
    process.stdin.write("typed\n")
    process.stdin.flush()
    wait_for((project / "sleeping").exists)
    return process, int((project / "pid").read_text())


def test_ctrl_c_reaches_the_fork(project: Path, warm: dict[str, str]) -> None:
    process, worker = sleeping(project, warm)
    assert worker != process.pid
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


def test_a_full_disk_behind_the_output_is_told(project: Path, warm: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        process = start(project, "work", warm, stdout=full)
        _, err = process.communicate("typed\n", timeout=LIMIT)
    assert process.returncode == 1 and "No space left" in err


@pytest.mark.parametrize("closing", ["<&-", ">&-"])
def test_with_a_closed_terminal_the_stage_runs_by_itself(project: Path, warm: dict[str, str], closing: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLOUR": "green", "DVC_STAGE": "made_up"} | warm
    command = f"echo $$ > shell; exec {sys.executable} -m stages.made_up work {closing}"
    done = subprocess.run(["bash", "-c", command], cwd=project, env=environment, check=False, timeout=LIMIT)
    assert done.returncode == 0
    assert (project / "pid").read_text() == (project / "shell").read_text().strip()


def test_without_a_server_the_stage_runs_by_itself(project: Path, tmp_path: Path) -> None:
    process = start(project, "work", {VARIABLE: str(tmp_path / "nobody")})
    out, _ = process.communicate("typed\n", timeout=LIMIT)
    assert process.returncode == 0 and out.split()[1:3] == [str(process.pid), "False"]


def test_with_another_number_of_threads_the_stage_runs_by_itself(project: Path, warm: dict[str, str]) -> None:
    """OpenMP has read the server's number long ago, and sums in another order with another one."""
    process = start(project, "work", warm | {"OMP_NUM_THREADS": "3"})
    out, _ = process.communicate("typed\n", timeout=LIMIT)
    assert out.split()[1:3] == [str(process.pid), "False"]


def test_a_server_that_ends_before_it_forks_leaves_the_stage_to_itself(project: Path) -> None:
    with warm_process() as environment:
        wait_for(lambda: list(Path(environment[VARIABLE]).iterdir()))
        (server,) = processes(environment[VARIABLE])
        os.kill(server, signal.SIGSTOP)  # it does not accept any more
        process = start(project, "work", {VARIABLE: environment[VARIABLE]})
        time.sleep(1)
        os.kill(server, signal.SIGKILL)
        out, _ = process.communicate("typed\n", timeout=LIMIT)
    assert process.returncode == 0 and out.split()[1:3] == [str(process.pid), "False"]


def test_the_server_ends_with_who_started_it() -> None:
    script = (
        "import time; from stages.lib import warm\n"
        "with warm.warm_process() as found: print(found[warm.VARIABLE], flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    folder = Path(owner.stdout.readline().strip())
    wait_for(lambda: list(folder.iterdir()))
    (server,) = processes(str(folder))
    owner.kill()
    owner.wait(LIMIT)
    wait_for(lambda: not alive(server))
    assert not folder.exists()


def test_a_socket_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    script = f"from stages.lib import warm_server as module; module.SLOW = (); module.serve({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and len(done.stderr.splitlines()) == 1
    assert "stages import what they need by themselves" in done.stderr


TIDY = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as DVC does while a stage runs
print("ready", flush=True)
time.sleep(2)
print("tidied up")
sys.exit(7)
"""


def test_on_ctrl_c_the_command_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "tidy.py").write_text(TIDY)
    command = [sys.executable, "-m", "stages.warm", sys.executable, str(tmp_path / "tidy.py")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c)  # noqa: PLW1509
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=LIMIT)
    assert out == "tidied up\n" and process.returncode == 7


def test_a_command_that_is_not_there_is_one_sentence() -> None:
    command = [sys.executable, "-m", "stages.warm", "no-such-command"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 127 and done.stderr == "error: no-such-command cannot be run: No such file or directory\n"
