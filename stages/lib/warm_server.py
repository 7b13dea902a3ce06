"""The server's side of the warm process: import what is slow, then fork once for every stage that connects.

A fork forgets what the server knows of our own modules, so that a stage always runs the code that lies on the disk.
"""

import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import typer

from stages.lib.warm import FAILED, KIND, STARTED, address

SLOW = (
    "rich.progress",
    "yaml",
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
_LONGEST = 1 << 20  # bytes of a command line with its environment


def serve(folder: str) -> None:
    """Import what is slow, then fork once for every stage that connects, until stdin is closed."""
    for name in SLOW:
        importlib.import_module(name)
    _first_command_line()
    # a fork's collector would touch, and so copy, every page of what was imported: 0.1-0.3 s a stage
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended forks leave no zombies
    with socket.socket(*KIND) as server:
        try:
            server.bind(address(folder, os.environ))
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


def _first_command_line() -> None:
    """Let typer import what it needs to read one, which it leaves until there is one: 0.1 s a stage."""
    app = typer.Typer()
    app.command()(_made_up)
    app(["name"], standalone_mode=False)


def _made_up(name: str, path: Path = Path(), many: list[str] = [], flag: bool = False) -> None:  # noqa: B006
    pass


def _run(connection: socket.socket) -> None:
    """In the fork: become the stage that asked, and leave with its exit status."""
    status = FAILED
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        message, files, _, _ = socket.recv_fds(connection, _LONGEST, 3)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())  # type: ignore[union-attr]
        connection.send(STARTED)
        Thread(target=_follow, args=[connection], daemon=True).start()
        status = _run_module(json.loads(message))
        sys.stdout.flush()
    except BaseException:
        status = FAILED
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError):  # whoever asked may be gone
            connection.send(str(status & 0xFF).encode())
        os._exit(FAILED)


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
