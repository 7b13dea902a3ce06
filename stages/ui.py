"""Start MLflow's page on this repository's records, at the gains table.

Reads  mlflow.db and mlartifacts/; where MLFLOW_TRACKING_URI names a server, that server's page is shown.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from urllib.request import urlopen

import typer

from fer_core.errors import ConfigError, FerError
from stages.lib.common import DATA, DEBUG, METRICS, PLANS, REPORTS, stage

HOST = "127.0.0.1"  # never reachable from another machine
_PORTS_TRIED = 20
_START_SECONDS = 120.0
_ENVIRONMENT = {  # without the workers for jobs on language models: five more processes, twice as long to start
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore",
}

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    port: int = typer.Option(5000, min=1, max=65535, help="Port on this machine; the next free one if taken."),
    open_browser: bool | None = typer.Option(
        None, "--open/--no-open", help="Open a browser; by default on a terminal with a desktop."
    ),
    debug: bool = DEBUG,
) -> None:
    """Show the gains table in MLflow's page until Ctrl-C."""
    from stages.tracking.store import is_server, prepare_environment, repository_root, shown, tracking_uri

    prepare_environment()
    root = repository_root()
    uri = tracking_uri(root)
    wanted = _has_desktop() if open_browser is None else open_browser
    if is_server(uri):
        _show(shown(uri).rstrip("/") + _path(root), wanted)
        return
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise ConfigError(f"{uri.removeprefix('sqlite:///')} does not exist; run `python -m stages.track` first.")
    free = free_port(port)
    if free != port:
        print(f"port {port} is taken; using {free}", file=sys.stderr)
    print("starting MLflow's page ...", file=sys.stderr, flush=True)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # however we are ended, the server ends with us
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    log = root / ".work" / "mlflow-ui.log"
    server = _start(uri, root, free, log)
    try:
        path = _path(root)  # looked up while the server starts
        _wait(server, f"http://{HOST}:{free}", log)
        _show(f"http://{HOST}:{free}{path}", wanted)
        print("Ctrl-C stops it", flush=True)
        server.wait()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    finally:
        _stop(server)


def free_port(first: int) -> int:
    """Return the first port from `first` on that nobody listens at; ConfigError when 20 in a row are taken."""
    last = min(first + _PORTS_TRIED, 65536)
    for port in range(first, last):
        with socket.socket() as probe:
            if os.name == "posix":  # elsewhere the option would let us share a port that is taken
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ConfigError(f"Ports {first} to {last - 1} are all taken; name another with --port.")


def _path(root: Path) -> str:
    """Return the page of the workspace's gains table, or of all experiments where it was not written yet."""
    from stages.tracking.gains import find_table
    from stages.tracking.inputs import Places, read_inputs
    from stages.tracking.store import TrackingError, opened
    from stages.tracking.view import view_path

    try:
        inputs = read_inputs(Places(DATA, PLANS, METRICS, REPORTS))
        with opened(root) as store:
            table = find_table(store, inputs)
    except (FerError, TrackingError):
        table = None
    if table is None:
        print("this gains table is not in MLflow yet; `python -m stages.track` writes it", file=sys.stderr)
        return "/#/experiments"
    return view_path(table.experiment_id)


def _start(uri: str, root: Path, port: int, log: Path) -> "subprocess.Popen[bytes]":
    """Start the server in a session of its own: Ctrl-C reaches us alone, and we stop it with its worker."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, "--artifacts-destination", str(root / "mlartifacts")]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        environment = {**_ENVIRONMENT, **os.environ}
        return subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)


def _wait(server: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    limit = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < limit:
        try:
            with urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    last = (log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"])[-1]
    raise ConfigError(f"MLflow's server does not answer at {address}; {log} ends with: {last}")


def _stop(server: "subprocess.Popen[bytes]") -> None:
    if server.poll() is not None:
        return
    if os.name != "posix":
        server.terminate()
        return
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _show(address: str, open_browser: bool) -> None:
    print(address, flush=True)
    if open_browser:
        webbrowser.open(address)


def _has_desktop() -> bool:
    named = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and (sys.platform in ("darwin", "win32") or bool(named))


if __name__ == "__main__":
    app()
