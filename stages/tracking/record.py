"""One MLflow run to be, and how the missing ones are written."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from fer_core.progress import Bar
from stages.lib.store import fingerprint
from stages.tracking.store import Store, is_server

FINGERPRINT = "fingerprint"
_CONTENT = "fer.content"
_HOUR = 3_600_000  # milliseconds
Point = tuple[str, float, int]  # metric, value, step


@dataclass(frozen=True)
class Record:
    """What one MLflow run shows.

    Attributes:
        name: as the run is called in the table.
        key: what makes it one of a kind in its experiment; stands in the tag `fingerprint`.
        seconds: shown as the run's duration.
        points: metrics; step 0 for a figure that stands alone, the epoch for a point of a curve.
        files: artifacts and the folder that each goes to.
        draw: makes a picture, or None, when the run is really written.
    """

    name: str
    key: str
    seconds: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    files: list[tuple[Path, str]] = field(default_factory=list)
    draw: Callable[[], Path | None] = lambda: None

    @property
    def content(self) -> str:
        """A hash of what may change though the key stays: figures scored anew, an alarm, a name."""
        figures = [point for point in self.points if point[2] == 0]
        pictures = sorted(f"{folder}/{path.name}" for path, folder in self.files)
        return fingerprint({"name": self.name, "tags": self.tags, "points": figures, "files": pictures})


@dataclass(frozen=True)
class Written:
    """What was done: runs created, runs brought up to date, and the id of every run by its key."""

    created: int
    updated: int
    ids: dict[str, str]


def write_records(store: Store, experiment_id: str, records: list[Record], title: str) -> Written:
    """Create the runs that the experiment lacks and bring those that changed up to date.

    The first record gets the latest start, so that MLflow's own order (newest first) is the records' order.
    """
    found = _found(store, experiment_id)
    missing = [record for record in records if record.key not in found]
    ids = {key: run.info.run_id for key, run in found.items()}
    now = int(time.time() * 1000)
    if missing:
        with Bar(title, len(missing), "runs") as bar:
            for index, record in enumerate(records):
                if record.key not in found:
                    ids[record.key] = _create(store, experiment_id, record, now - 1000 * index)
                    bar.advance()
    changed = [record for record in records if record.key in found and _stale(found[record.key], record)]
    for record in changed:
        run = found[record.key]
        if run.info.run_name != record.name:
            store.call("update_run", run.info.run_id, name=record.name)
        _fill(store, run, record, now, curves=False)
    return Written(len(missing), len(changed), ids)


def _found(store: Store, experiment_id: str) -> dict[str, Any]:
    """Return the whole runs by fingerprint; what a killed process left half-written is deleted.

    A server may have another machine's run in the making, so there only old ones are.
    """
    found: dict[str, Any] = {}
    limit = time.time() * 1000 - (_HOUR if is_server(store.uri) else 0)
    for run in store.all_runs(experiment_id):
        key = run.data.tags.get(FINGERPRINT)
        if key:
            found[key] = run
        elif run.data.tags.get(_CONTENT) == "unfinished" and run.info.start_time < limit:
            store.call("delete_run", run.info.run_id)
    return found


def _stale(run: Any, record: Record) -> bool:
    return bool(run.data.tags.get(_CONTENT) != record.content)


def _create(store: Store, experiment_id: str, record: Record, start: int) -> str:
    run = store.call("create_run", experiment_id, start_time=start, run_name=record.name, tags={_CONTENT: "unfinished"})
    _fill(store, run, record, start, curves=True)
    end = start + int(record.seconds * 1000)
    store.call("set_terminated", run.info.run_id, "FINISHED", end)
    return str(run.info.run_id)


def _fill(store: Store, run: Any, record: Record, start: int, curves: bool) -> None:
    """Write everything; the fingerprint comes last, so that a run which has one is whole."""
    from mlflow.entities import Metric, Param, RunTag

    points = [point for point in record.points if curves or point[2] == 0]
    metrics = [Metric(key, value, start, step) for key, value, step in points]
    params = [Param(key, value) for key, value in record.params.items()] if curves else []
    picture = record.draw()
    for path, folder in [*record.files, *([(picture, "")] if picture else [])]:
        store.add_file(run, path, folder)
    tags = {**record.tags, _CONTENT: record.content, FINGERPRINT: record.key}
    # few calls, as each is some commits of the database or a trip to the server; MLflow takes 1000 values in one
    pairs = list(zip_longest(_batches(params, 100), _batches(metrics, 800), fillvalue=())) or [((), ())]
    for number, (some, points_of) in enumerate(pairs, 1):
        last = [RunTag(key, value) for key, value in tags.items()] if number == len(pairs) else []
        store.call("log_batch", run.info.run_id, metrics=points_of, params=some, tags=last)


def _batches(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
