"""`track` writes MLflow from files: once, completely, again after a loss, and never at the pipeline's expense."""

import base64
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tracked_road import Road
from typer.testing import CliRunner

from fer_core.files import read_json, write_json, write_text
from stages import track, ui
from stages.tracking.inputs import Places, read_inputs
from stages.tracking.patience import OutOfPatience, Patience
from stages.tracking.shortcut import seal
from stages.tracking.store import Store, prepare_environment

GAINS, RUNS = "gains · standin · demo", "runs · standin"
DISTINCT = 6  # predictors of the small road: a technique alone and the ladder's first rung are one run


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Creating one takes seconds; tests copy it."""
    prepare_environment()
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ready(root: Path, empty_database: Path) -> Path:
    shutil.copyfile(empty_database, root / "mlflow.db")
    return root


def run_track() -> None:
    track.main(Path("data"), Path("plans"), Path("metrics"), Path("reports"), False)


def shell_track(**environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "stages.track"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=os.environ | environment, stdout=pipe, stderr=pipe, text=True)


class Content:
    """What stands in a store, as plain values."""

    def __init__(self, root: Path, uri: str = "") -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(uri or f"sqlite:///{root / 'mlflow.db'}")
        self.experiments = {item.name: item for item in self.client.search_experiments() if item.name != "Default"}

    def runs(self, name: str) -> list[Any]:
        """In the order of MLflow's own page: the newest first."""
        experiment = self.experiments[name].experiment_id
        return list(self.client.search_runs([experiment], order_by=["attributes.start_time DESC"]))

    def ids(self) -> dict[str, list[str]]:
        """The runs of every experiment by the experiment's id, which survives a new name."""
        return {
            item.experiment_id: [run.info.run_id for run in self.runs(name)] for name, item in self.experiments.items()
        }


def points(row: dict[str, Any], key: str, scale: float) -> float | None:
    return None if row[key] is None else round(scale * row[key], 1)


def test_the_run_table_is_the_gains_table(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    road = Road(ready, small=False).write()
    for name in ("index.html", "figures/ladder.svg", "standin.html"):
        write_text(ready / "reports" / name, "as the page stage wrote it")
    run_track()
    content, rows = Content(ready), read_json(Path("metrics/gains.json"))
    assert set(content.experiments) == {GAINS, RUNS}

    runs = content.runs(GAINS)
    assert [run.data.tags["technique"] for run in runs] == [row["technique"] for row in rows]
    assert [run.data.metrics["row"] for run in runs] == list(range(1, len(rows) + 1))
    for run, row in zip(runs, rows, strict=True):
        found = run.data.metrics
        assert [found.get(key) for key in ("accuracy", "uar", "macro_f1")] == [
            points(row, key, 100) for key in ("accuracy", "uar", "macro_f1")
        ]
        for key in ("gain", "gain_low", "gain_high", "claimed_low", "claimed_high"):
            assert found.get(key) == points(row, key, 1)
        assert run.data.tags["verdict"] == row["verdict"]
        assert run.data.tags["view"] == row["view"]
    by_name = {run.info.run_name: run for run in runs}
    assert by_name["clip: Temporal"].data.tags["reason"] == "no clips"
    assert by_name["ladder: Attention"].data.tags["kept"] == "no"
    assert by_name["alone: ViT"].data.params["ssl.method"] == "none"
    beyond = [by_name[name] for name in ("Beyond the roadmap", "alone: Votes", "ladder: Votes")]
    for run in beyond:
        assert run.data.tags["phase"] == "beyond" and "claimed" not in run.data.tags
        assert "gain" in run.data.metrics and "claimed_low" not in run.data.metrics
    assert not any(math.isnan(value) for run in runs for value in run.data.metrics.values())

    files = {item.path for item in content.client.list_artifacts(runs[0].info.run_id)}
    assert files == {"gains.md", "ladder.png", "confusion.png", "slices.json", "index.html", "figures"}
    figures = content.client.list_artifacts(runs[0].info.run_id, "figures")
    assert [item.path for item in figures] == ["figures/ladder.svg"]
    tags = content.experiments[GAINS].tags
    note = tags["mlflow.note.content"]
    assert note.startswith("Baseline ") and "generated faces, not people" in note.lower()
    assert re.search(r" · phase 2 [+-]\d+\.\d · beyond [+-]\d+\.\d · phase 3 ", note)
    assert "The ladder closes " in note and "to the ceiling (95.0 %)." in note
    assert note.index("| Phase 1") < note.index("| alone: AU multi-task") < 4900
    view = json.loads(tags["mlflow.sharedViewState.gains"])["state"]
    state = json.loads(zlib.decompress(base64.b64decode(view.removeprefix("deflate;"))))
    assert (state["orderByKey"], state["selectedColumns"][0]) == ("metrics.`row`", "metrics.`accuracy`")
    identity = content.experiments[GAINS].experiment_id
    assert f"make ui   # http://127.0.0.1:5000/#/experiments/{identity}/runs?viewState" in capsys.readouterr().out
    assert len({run["fingerprint"] for run in road.runs.values()}) == len(content.runs(RUNS)) == len(road.runs) - 1


def test_a_run_has_its_curves_weights_and_confusion(ready: Path) -> None:
    Road(ready, epochs=20, small=False).write()
    run_track()
    content = Content(ready)
    by_name = {run.info.run_name: run for run in content.runs(RUNS)}
    run = by_name["alone-vit"]
    curve = content.client.get_metric_history(run.info.run_id, "validation_loss")
    history = read_json(Path("data/train/alone-vit/history.json"))
    assert [(point.step, point.value) for point in curve] == [(e["epoch"], e["validation_loss"]) for e in history]
    scores = read_json(Path("metrics/runs.json"))["train/alone-vit"]
    assert run.data.metrics["test/accuracy"] == scores["test"]["accuracy"]
    assert run.data.params == {
        "loss": "ce",
        "backbone": "resnet",
        "seed": "0",
        "ssl.method": "none",
        "ssl.epochs": "3",
    }
    place = Path(content.client.download_artifacts(run.info.run_id, "model"))
    assert (place / "weights.safetensors").read_bytes() == Path("data/train/alone-vit/weights.safetensors").read_bytes()
    assert (place / "recipe.yaml").exists()
    picture = Path(content.client.download_artifacts(run.info.run_id, "confusion.png"))
    assert Image.open(picture).size > (400, 400)
    shared = by_name["alone-au_multitask"].data.tags["predictor"]
    assert shared == "train/alone-au_multitask, train/ladder-au_multitask"  # trained once, so one run
    assert by_name["stack alone"].data.params["method"] == "weighted"
    alarmed = next(name for name, entry in read_json(Path("metrics/runs.json")).items() if entry["alarms"])
    tags = next(run.data.tags for run in by_name.values() if alarmed in run.data.tags["predictor"])
    assert tags["alarms"].startswith("not converged")


def test_a_second_run_adds_nothing_and_new_scores_replace_old_ones(ready: Path) -> None:
    road = Road(ready).write()
    run_track()
    before = Content(ready).ids()
    run_track()
    assert Content(ready).ids() == before

    road.runs["train/alone-attention"]["alarms"] = ["a class is never predicted"]
    write_json(Path("metrics/runs.json"), road.runs)
    run_track()
    content = Content(ready)
    assert content.ids() == before
    run = next(run for run in content.runs(RUNS) if run.info.run_name == "alone-attention")
    assert run.data.tags["alarms"] == "a class is never predicted"
    assert len(content.client.get_metric_history(run.info.run_id, "train_loss")) == 2


def test_an_ablation_has_a_table_of_its_own(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Road(ready).write()
    run_track()
    plain = Content(ready)
    kept = {run.info.run_id: run.data.metrics for run in plain.runs(GAINS)}

    monkeypatch.setenv("DVC_EXP_NAME", "woozy-tiff")
    Road(ready, loss="cb").write()
    run_track()
    both = Content(ready)
    assert set(both.experiments) == {GAINS, f"{GAINS} · woozy-tiff", RUNS}
    assert {run.info.run_id: run.data.metrics for run in both.runs(GAINS)} == kept
    expected = [points(row, "accuracy", 100) for row in read_json(Path("metrics/gains.json"))]
    assert [run.data.metrics.get("accuracy") for run in both.runs(f"{GAINS} · woozy-tiff")] == expected
    assert {run.data.params["loss"] for run in both.runs(RUNS) if "loss" in run.data.params} == {"ce", "cb"}

    monkeypatch.delenv("DVC_EXP_NAME")  # applied: the workspace holds the experiment's table now
    run_track()
    applied = Content(ready)
    assert applied.ids() == both.ids()
    assert applied.experiments[GAINS].experiment_id == both.experiments[f"{GAINS} · woozy-tiff"].experiment_id

    Road(ready).write()  # and back
    run_track()
    back = Content(ready)
    assert back.ids() == both.ids()
    assert {name: item.experiment_id for name, item in back.experiments.items()} == {
        name: item.experiment_id for name, item in both.experiments.items()
    }


def test_the_copies_of_dvc_write_to_the_original_repository(
    ready: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path_factory.mktemp("copy")
    Road(copy).write()
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(ready))
    run_track()
    assert len(Content(ready).runs(RUNS)) == DISTINCT
    assert (ready / "mlartifacts").is_dir()
    assert not (copy / "mlflow.db").exists() and not (copy / "mlartifacts").exists()


def test_what_a_killed_track_left_is_completed(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Road(ready).write()
    add_file, calls = Store.add_file, iter(range(1000))

    def killed(*args: Any) -> None:
        if next(calls) == 7:
            raise KeyboardInterrupt
        add_file(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "add_file", killed)
        with pytest.raises(BaseException):  # noqa: B017
            run_track()
    half = Content(ready).ids()
    assert 0 < sum(map(len, half.values())) <= 4
    run_track()
    content = Content(ready)
    assert all("fingerprint" in run.data.tags for name in (GAINS, RUNS) for run in content.runs(name))
    keys = [run.data.tags["fingerprint"] for run in content.runs(RUNS)]
    assert len(keys) == len(set(keys)) == DISTINCT


def test_a_deleted_run_and_a_deleted_experiment_come_back(ready: Path) -> None:
    Road(ready).write()
    run_track()
    content = Content(ready)
    count = len(content.runs(GAINS))
    content.client.delete_run(content.runs(GAINS)[3].info.run_id)
    content.client.delete_experiment(content.experiments[RUNS].experiment_id)
    run_track()
    content = Content(ready)
    assert len(content.runs(GAINS)) == count
    assert len(content.runs(RUNS)) == DISTINCT
    content.client.delete_experiment(content.experiments[GAINS].experiment_id)
    run_track()
    assert [run.data.metrics["row"] for run in Content(ready).runs(GAINS)] == list(range(1, count + 1))


def test_where_all_is_there_mlflow_is_not_even_imported(ready: Path) -> None:
    Road(ready).write()
    run_track()
    code = "import sys; from stages.track import app; app(standalone_mode=False); print('mlflow' in sys.modules)"
    shell = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line, address, imported = shell.stdout.splitlines()
    assert (line, imported) == ("MLflow: everything is there already", "False")
    assert "viewStateShareKey=gains" in address
    quality = {"state": "done", "frechet": 3.0}
    write_json(Path("metrics/synthesis.json"), quality)
    inputs = read_inputs(Places(*map(Path, ("data", "plans", "metrics", "reports"))))
    assert seal(inputs) != seal(replace(inputs, synthesis={**quality, "frechet": 4.0})), "what is shown is sealed"


@pytest.mark.slow
def test_four_writers_at_once_and_a_deleted_database(root: Path) -> None:
    Road(root).write()
    writers = [shell_track() for _ in range(4)]
    for writer in writers:
        out, err = writer.communicate(timeout=150)
        assert writer.returncode == 0 and "MLflow: " in out, err
    first = {name: [run.data.tags["fingerprint"] for run in Content(root).runs(name)] for name in (GAINS, RUNS)}
    assert all(len(keys) == len(set(keys)) for keys in first.values())
    assert len(first[RUNS]) == DISTINCT

    (root / "mlflow.db").rename(root / "lost.db")
    again = shell_track()
    out, err = again.communicate(timeout=150)
    assert again.returncode == 0, err
    other = root / "elsewhere.db"  # this process holds the lost file open
    shutil.copyfile(root / "mlflow.db", other)
    content = Content(root, f"sqlite:///{other}")
    assert {name: [run.data.tags["fingerprint"] for run in content.runs(name)] for name in (GAINS, RUNS)} == first
    run = next(run for run in content.runs(RUNS) if run.info.run_name == "baseline")
    assert len(content.client.get_metric_history(run.info.run_id, "train_loss")) == 2


def test_a_server_that_is_down_costs_seconds_and_loses_nothing(ready: Path, free: int) -> None:
    Road(ready).write()
    start = time.monotonic()
    down = shell_track(MLFLOW_TRACKING_URI=f"http://someone:secret@127.0.0.1:{free}")
    out, err = down.communicate(timeout=60)
    assert (down.returncode, out) == (0, "")
    assert err.splitlines() == [
        f"MLflow was not written: http://127.0.0.1:{free} cannot be reached; the next `dvc repro` logs it."
    ]
    assert time.monotonic() - start < 15
    run_track()
    assert len(Content(ready).runs(RUNS)) == DISTINCT


@pytest.fixture
def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _silent(connection: socket.socket) -> None:
    time.sleep(30)


def _dripping(connection: socket.socket) -> None:
    """No timeout of a socket notices: there is always another byte."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    for _ in range(60):
        connection.sendall(b" ")
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", [_silent, _dripping])
def test_a_slow_server_costs_seconds(
    root: Path,
    behaviour: Callable[[socket.socket], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import mlflow  # noqa: F401  # its import is not the server's fault

    Road(root).write()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=behaviour, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        start = time.monotonic()
        run_track()
        assert time.monotonic() - start < 11
    told = capsys.readouterr()
    assert "is too slow to answer; the next `dvc repro` logs it." in told.err
    assert told.out == ""


def test_a_server_that_refuses_the_password_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    Road(root).write()
    server = HTTPServer(("127.0.0.1", 0), Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    run_track()
    server.shutdown()
    assert "refused the credentials" in capsys.readouterr().err


def test_a_broken_database_does_not_stop_the_pipeline(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Road(root).write()
    Path("mlflow.db").write_text("not a database " * 100)
    run_track()
    assert "MLflow was not written: sqlite:///" in capsys.readouterr().err


def test_missing_files_are_an_error(root: Path) -> None:
    result = CliRunner().invoke(track.app, [])
    assert result.exit_code == 1
    assert "gains.json does not exist" in result.output


def test_patience_is_spent_by_slow_calls_only() -> None:
    patience = Patience(0.2)
    for _ in range(20):
        assert patience.call(lambda value: value, 3, allowance=0.1) == 3
    assert patience.left == pytest.approx(0.2, abs=0.05)
    with pytest.raises(ZeroDivisionError):
        patience.call(lambda: 1 / 0)
    with pytest.raises(OutOfPatience):
        for _ in range(5):
            patience.call(time.sleep, 0.2, allowance=0.1)


@pytest.fixture
def page(ready: Path, free: int) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """`make ui` on an empty store, without job workers, on a port of its own."""
    command = [sys.executable, "-m", "stages.ui", "--port", str(free), "--no-open"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, free
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(20)


@pytest.mark.slow
def test_the_page_starts_serves_writers_and_stops(
    page: tuple["subprocess.Popen[str]", int], ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, port = page
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address == f"http://127.0.0.1:{port}/#/experiments"  # no table yet

    Road(ready).write()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    for _ in range(2):
        run_track()
    content = Content(ready, f"http://127.0.0.1:{port}")
    assert len(content.runs(GAINS)) == len(read_json(Path("metrics/gains.json")))
    run = next(run for run in content.runs(RUNS) if run.info.run_name == "baseline")
    assert {item.path for item in content.client.list_artifacts(run.info.run_id, "model")} == {
        "model/recipe.yaml",
        "model/weights.safetensors",
        "model/labels.json",
        "model/alignment.json",
    }

    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 2)


def test_a_taken_port_gives_the_next(free: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free))
        taken.listen()
        assert ui.free_port(free) > free


def test_the_page_needs_a_database(root: Path) -> None:
    result = CliRunner().invoke(ui.app, ["--no-open"])
    assert result.exit_code == 1
    assert "run `python -m stages.track` first" in result.output
