"""A process that has imported what is slow to import; while it stands, DVC's stages are forks of it.

Importing PyTorch and timm takes 5-8 s on a laptop's core, and a stage of the smoke profile needs 1 s beside that. So
`python -m stages.run` keeps this server for as long as `dvc repro` runs. A stage that finds it hands over its command
line, folder, environment and terminal, waits, and ends with the fork's exit status. Ctrl-C reaches the fork, and a
stage that is killed takes it along; Ctrl-Z stops the waiting stage only. Where there is no server, or not yet, a stage
runs by itself. Linux only: elsewhere a fork after such imports is not safe.

A fork forgets what the server knows of our own modules, so that a stage always runs the code that lies on the disk.
"""

import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

VARIABLE = "FER_WARM_PROCESS"
SLOW = (
    "torch._dynamo",  # every optimizer imports it at its first step
    "timm",
    "pandas",
    "pyarrow.parquet",
    "safetensors.torch",
    "scipy.stats",
    "sklearn.linear_model",
    "matplotlib.pyplot",
)
_OWN = ("stages", "fer_core")
# Read when a library is loaded, and decisive for the last digits: a stage with others than the server's runs by itself.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_KIND = (socket.AF_UNIX, socket.SOCK_SEQPACKET)  # messages arrive whole
_LONGEST = 1 << 20
_STARTED = b"started"
_FAILED = 1


def run_warm(command: Sequence[str]) -> int:
    """Run a command that runs stages, with a server beside it, and return its exit status as a shell does.

    On Ctrl-C the command is waited for: DVC puts a repository in order before it ends.
    """
    with warm_process() as environment, subprocess.Popen(command, env=environment) as process:
        while True:
            with suppress(KeyboardInterrupt):
                status = process.wait()
                return status if status >= 0 else 128 - status


@contextmanager
def warm_process(environment: Mapping[str, str] = os.environ) -> Iterator[dict[str, str]]:
    """Keep a server with this environment for the time being, and yield the environment in which stages find it."""
    if sys.platform != "linux":
        yield dict(environment)
        return
    with TemporaryDirectory() as folder:  # only this user may enter it
        command = [sys.executable, "-m", "stages.lib.warm", folder]
        # a session of its own: Ctrl-C reaches the stage in the foreground, which passes it on
        server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)
        try:
            yield {**environment, VARIABLE: folder}
        finally:
            server.terminate()
            server.wait()


def _address(folder: str, environment: Mapping[str, str]) -> str:
    return str(Path(folder) / "-".join(["socket", *(environment.get(name, "") for name in _THREADS)]))


def run_in_fork() -> int | None:
    """Let the server run this very stage and return its exit status.

    None where there is no server for it, or where DVC does not run this process: `python -m stages.run` itself must
    stay in the terminal's foreground.
    """
    if VARIABLE not in os.environ or "DVC_STAGE" not in os.environ:
        return None
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    module = getattr(sys.modules["__main__"].__spec__, "name", None)
    if module is None:  # a script by its path, not `python -m`
        return None
    request = {"module": module, "argv": sys.argv, "cwd": str(Path.cwd()), "environment": environment}
    try:
        for file in (0, 1, 2):
            os.fstat(file)  # a closed one would be the socket's number
        with socket.socket(*_KIND) as connection:
            connection.connect(_address(os.environ[VARIABLE], os.environ))
            socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
            if _receive(connection) != _STARTED:
                return None
            status = _receive(connection)
    except OSError:
        return None
    if not status:
        print("error: the stage's process was killed", file=sys.stderr)
    return int(status or _FAILED)


def _receive(connection: socket.socket) -> bytes:
    """Return the next message, or nothing when the other side is gone; Ctrl-C is passed on meanwhile."""
    while True:
        try:
            return connection.recv(len(_STARTED))
        except KeyboardInterrupt:
            with suppress(OSError):
                connection.send(bytes([signal.SIGINT]))
        except ConnectionResetError:  # told once, and before messages that wait
            continue


def serve(folder: str) -> None:
    """Import what is slow, then fork once for every stage that connects, until stdin is closed."""
    for name in SLOW:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended forks leave no zombies
    with socket.socket(*_KIND) as server:
        try:
            server.bind(_address(folder, os.environ))
        except OSError as error:  # the path may be longer than a socket's may be
            print(f"stages import what they need by themselves: no socket in {folder} ({error})", file=sys.stderr)
            return
        server.listen()
        while True:
            ready, _, _ = select.select([server.fileno(), 0], [], [])
            if 0 in ready:  # who started us is gone
                shutil.rmtree(folder, ignore_errors=True)
                return
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                _run(connection)
            connection.close()


def _run(connection: socket.socket) -> None:
    """In the fork: become the stage that asked, and leave with its exit status."""
    status = _FAILED
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        message, files, _, _ = socket.recv_fds(connection, _LONGEST, 3)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())  # type: ignore[union-attr]
        connection.send(_STARTED)
        Thread(target=_follow, args=[connection], daemon=True).start()
        status = _run_module(json.loads(message))
        sys.stdout.flush()
    except BaseException:
        status = _FAILED
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError):  # whoever asked may be gone
            connection.send(str(status & 0xFF).encode())
        os._exit(_FAILED)


def _run_module(request: dict[str, Any]) -> int:
    for name in [name for name in sys.modules if name.split(".")[0] in _OWN]:
        del sys.modules[name]
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["argv"]
    sys.path[0] = request["cwd"]
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _follow(connection: socket.socket) -> None:
    """Pass the stage's signals on to this fork, and end with the stage."""
    with suppress(OSError):
        while sent := connection.recv(1):
            os.kill(os.getpid(), sent[0])
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve(sys.argv[1])
