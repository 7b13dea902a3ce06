"""Where MLflow's records go: a SQLite file in the repository, or the server of MLFLOW_TRACKING_URI."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from stages.lib.common import work_folder
from stages.tracking.patience import OutOfPatience, Patience

PATIENCE = 6.0  # seconds; with `import mlflow` on a busy machine and one allowance, under 15
LOCAL_PAGE = "http://127.0.0.1:5000"
_LOCK_SECONDS = 120.0
_ENVIRONMENT = {  # set before mlflow is imported; what the user has set stands
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
}


class TrackingError(Exception):
    """Nothing was lost, but MLflow could not be written now; the message says why, in half a sentence."""


def repository_root() -> Path:
    """Return the repository whose MLflow store is written: the original also in DVC's temporary copies."""
    return work_folder().parent.resolve()


def tracking_uri(root: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or the SQLite file in `root`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(root / 'mlflow.db').as_posix()}"


def is_server(uri: str) -> bool:
    """Return whether `uri` is a server that is spoken to over HTTP."""
    return urlsplit(uri).scheme in ("http", "https")


def shown(uri: str) -> str:
    """Return `uri` without the credentials that it may hold."""
    return re.sub(r"(?<=//)[^/@\s]*@", "", uri)


def prepare_environment() -> None:
    """Make MLflow quiet, private and quick to give up; call it before `import mlflow`."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextmanager
def opened(root: Path) -> Iterator["Store"]:
    """Yield the store, created if need be, with no other writer of this machine at work on it.

    Raises:
        TrackingError: here and from the store's methods, whatever the server, the database or the disk says.
    """
    prepare_environment()
    path = root / ".work" / "mlflow.lock"
    lock = FileLock(path, timeout=_LOCK_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise TrackingError(f"another process has held {path} for {_LOCK_SECONDS:.0f} s") from None
    except OSError as error:
        raise TrackingError(f"{path} cannot be written: {error}") from error
    try:
        with _made_quickly(tracking_uri(root)):
            yield Store(tracking_uri(root), root)
    finally:
        lock.release()


@contextmanager
def _made_quickly(uri: str) -> Iterator[None]:
    """Let a SQLite file that does not exist yet reach the disk once, at the end, and not after each of 600 commits.

    That is half the time of a first `track`. A file that is there already, and may hold what is not ours, is written
    as SQLite does, safe against a power cut.
    """
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or path.exists():
        yield
        return
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    event.listen(Engine, "connect", _leave_to_the_system)
    try:
        yield
    finally:
        event.remove(Engine, "connect", _leave_to_the_system)
        with suppress(OSError), path.open("rb+") as file:
            os.fsync(file.fileno())


def _leave_to_the_system(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF")


class Store:
    """MLflow's client, with one server's whims and one disk's short cuts kept in one place."""

    def __init__(self, uri: str, root: Path) -> None:
        from mlflow import MlflowClient

        self.uri, self.root = uri, root
        self._patience = Patience(PATIENCE) if is_server(uri) else None
        with self._told():
            self._client = MlflowClient(uri)

    @property
    def page(self) -> str:
        """The address of the MLflow UI's page: the server's own, or where `make ui` puts it."""
        return shown(self.uri).rstrip("/") if self._patience else LOCAL_PAGE

    def call(self, method: str, *args: Any, allowance: float = 0.5, **kwargs: Any) -> Any:
        """Call a method of MlflowClient, without waiting for ever."""
        with self._told():
            function = getattr(self._client, method)
            if self._patience is None:
                return function(*args, **kwargs)
            return self._patience.call(function, *args, allowance=allowance, **kwargs)

    def create_experiment(self, name: str, tags: Mapping[str, str]) -> str:
        """Create an experiment whose artifacts stand in the repository, or where the server keeps them."""
        place = None if self._patience else (self.root / "mlartifacts").as_uri()
        kind = {"mlflow.experimentKind": "custom_model_development"}  # so that the page shows runs, not traces
        return str(self.call("create_experiment", name, artifact_location=place, tags={**kind, **tags}))

    def all_runs(self, experiment_id: str) -> list[Any]:
        """Return every run of an experiment that was not deleted."""
        runs: list[Any] = []
        token = None
        while True:
            page = self.call("search_runs", [experiment_id], max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def add_file(self, run: Any, path: Path, folder: str) -> None:
        """Store a file with a run under `folder`; weights on the same disk only get a second name.

        Every stage replaces its files and never writes into them, so the second name keeps what it names.
        """
        parts = urlsplit(run.info.artifact_uri)
        if self._patience is not None or parts.scheme not in ("", "file"):
            megabytes = path.stat().st_size / 1e6
            self.call("log_artifact", run.info.run_id, str(path), folder or None, allowance=0.5 + megabytes)
            return
        from mlflow.utils.file_utils import local_file_uri_to_path

        target = Path(local_file_uri_to_path(run.info.artifact_uri)) / folder / path.name
        with self._told():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            if path.suffix == ".safetensors":
                with suppress(OSError):  # another disk, or one without links
                    os.link(path.resolve(), target)
                    return
            shutil.copyfile(path, target)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OutOfPatience:
            raise TrackingError(f"{shown(self.uri)} is too slow to answer") from None
        except Exception as error:
            raise TrackingError(_summary(self.uri, error)) from error


def _summary(uri: str, error: Exception) -> str:
    text = shown(str(error))
    if re.search(r"\b40[13]\b|unauthorized|forbidden", text, re.IGNORECASE):
        return f"{shown(uri)} refused the credentials (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD)"
    if re.search("refused|resolve|unreachable", text, re.IGNORECASE):
        return f"{shown(uri)} cannot be reached"
    if re.search("timed? ?out", text, re.IGNORECASE):
        return f"{shown(uri)} is too slow to answer"
    lines = text.strip().splitlines() or [type(error).__name__]
    return f"{shown(uri)} failed: {lines[0][:300].rstrip('. ')}"
