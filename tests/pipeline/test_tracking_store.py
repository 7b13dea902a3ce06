"""What `track` sends to MLflow at once, and when its database need not reach the disk after every commit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import create_engine

from stages.tracking import record as module
from stages.tracking.record import FINGERPRINT, Record
from stages.tracking.store import _made_quickly

OFF, FULL = 0, 2  # of SQLite's `PRAGMA synchronous`


class Recorder:
    """A store that notes what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def call(self, method: str, *args: Any, **values: Any) -> None:
        assert method == "log_batch"
        self.told.append((method, values))

    def add_file(self, run: Any, path: Path, folder: str) -> None:
        self.told.append(("file", path.name))


def record(points: int, params: int) -> Record:
    return Record(
        name="run",
        key="abc",
        seconds=1.0,
        tags={"kind": "train"},
        params={f"p{number}": "1" for number in range(params)},
        points=[("loss", float(number), number) for number in range(points)],
        files=[(Path("weights.safetensors"), "model")],
    )


@pytest.mark.parametrize(
    ("points", "params", "sizes"),
    [
        (0, 0, [(0, 0)]),
        (5, 3, [(5, 3)]),
        (801, 100, [(800, 100), (1, 0)]),
        (2, 201, [(2, 100), (0, 100), (0, 1)]),
    ],
)
def test_a_run_is_sent_in_few_calls_and_its_key_comes_last(
    points: int, params: int, sizes: list[tuple[int, int]]
) -> None:
    store = Recorder()
    run = SimpleNamespace(info=SimpleNamespace(run_id="1"))
    module._fill(store, run, record(points, params), 0, curves=True)
    assert store.told[0] == ("file", "weights.safetensors")
    calls = [values for method, values in store.told[1:]]
    assert [(len(call["metrics"]), len(call["params"])) for call in calls] == sizes
    assert [point.value for call in calls for point in call["metrics"]] == list(map(float, range(points)))
    assert [[tag.key for tag in call["tags"]] for call in calls[:-1]] == [[]] * (len(calls) - 1)
    assert {tag.key: tag.value for tag in calls[-1]["tags"]}[FINGERPRINT] == "abc"


def synchronous(path: Path) -> int:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        value: int = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (x)")
        connection.commit()
    engine.dispose()
    return value


def test_only_a_new_database_waits_for_the_end_until_it_reaches_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    uri = f"sqlite:///{path}"
    with _made_quickly(uri):
        assert synchronous(path) == OFF
    assert synchronous(path) == FULL
    with _made_quickly(uri):  # it may hold what cannot be made again
        assert synchronous(path) == FULL


def test_a_database_that_could_not_be_made_tells_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="ours"), _made_quickly(f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}"):
        raise KeyError("ours")


def test_a_server_has_no_file(tmp_path: Path) -> None:
    with _made_quickly("http://127.0.0.1:1"):
        assert synchronous(tmp_path / "other.db") == FULL
