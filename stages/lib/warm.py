"""A process that has imported what is slow to import; while it stands, DVC's stages are forks of it.

Importing PyTorch and timm takes 5-8 s on a laptop's core, and a stage of the smoke profile needs 1 s beside that. So
`python -m stages.run` keeps this server for as long as `dvc repro` runs. A stage that finds it hands over its command
line, folder, environment and terminal before it imports anything else, waits, and ends with the fork's exit status.
Ctrl-C reaches the fork, and a stage that is killed takes it along; Ctrl-Z stops the waiting stage only. Where there is
no server, or not yet, a stage runs by itself. Linux only: elsewhere a fork after such imports is not safe.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

VARIABLE = "FER_WARM_PROCESS"
# Read when a library is loaded, and decisive for the last digits: a stage with others than the server's runs by itself.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
KIND = (socket.AF_UNIX, socket.SOCK_SEQPACKET)  # messages arrive whole
STARTED = b"started"
FAILED = 1


def run_warm(command: Sequence[str]) -> int:
    """Run a command that runs stages, with a server beside it, and return its exit status as a shell does.

    On Ctrl-C the command is waited for: DVC puts a repository in order before it ends. `dvc` is that of this Python,
    where it has one, and writes its lock file quicker: see `stages.lib.quick_dvc`.
    """
    from importlib.util import find_spec  # a stage that is handed over need not wait for it

    if command[:1] == ["dvc"] and find_spec("dvc"):
        command = [sys.executable, "-m", "stages.lib.quick_dvc", *command[1:]]
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
        command = [sys.executable, "-m", "stages.lib.warm_server", folder]
        # a session of its own: Ctrl-C reaches the stage in the foreground, which passes it on
        server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)
        try:
            yield {**environment, VARIABLE: folder}
        finally:
            server.terminate()
            server.wait()


def address(folder: str, environment: Mapping[str, str]) -> str:
    """Return the path of the server's socket in `folder`."""
    return str(Path(folder) / "-".join(["socket", *(environment.get(name, "") for name in _THREADS)]))


def run_in_fork(module: str, arguments: Sequence[str]) -> int | None:
    """Let the server run this very stage, `python -m module arguments`, and return its exit status.

    None where there is no server for it, or where DVC does not run this process: `python -m stages.run` itself must
    stay in the terminal's foreground.
    """
    if VARIABLE not in os.environ or "DVC_STAGE" not in os.environ:
        return None
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    request = {"module": module, "argv": [module, *arguments], "cwd": str(Path.cwd()), "environment": environment}
    try:
        for file in (0, 1, 2):
            os.fstat(file)  # a closed one would be the socket's number
        with socket.socket(*KIND) as connection:
            connection.connect(address(os.environ[VARIABLE], os.environ))
            socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
            if _receive(connection) != STARTED:
                return None
            status = _receive(connection)
    except OSError:
        return None
    if not status:
        print("error: the stage's process was killed", file=sys.stderr)
    return int(status or FAILED)


def hand_over() -> None:
    """Where `python -m` is about to run a stage and there is a server for it, end with what it made of the stage.

    Called when the stages' package is imported: Python has not looked at the stage's own file then.
    """
    if sys.argv[:1] != ["-m"]:
        return
    module = sys.orig_argv[-len(sys.argv)]  # what `-m` names stands just before the arguments
    status = run_in_fork(module, sys.argv[1:])
    if status is not None:
        raise SystemExit(status)


def _receive(connection: socket.socket) -> bytes:
    """Return the next message, or nothing when the other side is gone; Ctrl-C is passed on meanwhile."""
    while True:
        try:
            return connection.recv(len(STARTED))
        except KeyboardInterrupt:
            with suppress(OSError):
                connection.send(bytes([signal.SIGINT]))
        except ConnectionResetError:  # told once, and before messages that wait
            continue
