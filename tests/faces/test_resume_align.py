"""A run of align that was stopped goes on where it stood, and ends byte for byte as one that was not."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from filelock import FileLock
from made_faces import White, batches, encode, manifest, scene
from typer.testing import CliRunner, Result

from fer_core.errors import DataError
from fer_core.faces.align import Batches, Pass
from fer_core.faces.alignment import Alignment
from fer_core.faces.chunks import Chunk, Chunks
from fer_core.faces.detect import DETECTORS
from fer_core.manifest import read_manifest, write_manifest
from stages import contact_sheet
from stages.align import app

ROOT = Path(__file__).resolve().parents[2]
HOW = Alignment("mtcnn", "central", "box", 0.9, 0.1, 24, False)


def pictures(count: int = 20) -> list[bytes | None]:
    """Boxes of growing size; every seventh picture has no face, one does not decode, one is missing."""
    data = [encode(scene(*([] if k % 7 == 3 else [(20, 20, 40 + k, 60 + k)]))) for k in range(count)]
    return [None if k == 5 else b"broken" if k == 9 else one for k, one in enumerate(data)]


def table(count: int = 20) -> pd.DataFrame:
    return manifest(count, drop_reason=["no picture file" if k == 5 else None for k in range(count)])


class Stopped(Exception):
    """What stops a run in a test."""


def stopping(data: list[bytes | None], after: int, each: int = 4) -> Iterator[list[tuple[str, bytes | None]]]:
    for k, batch in enumerate(batches(data, each)):
        if k == after:
            raise Stopped
        yield batch


def finished(work: Path, data: Batches, found: White, out: Path) -> tuple[bytes, pd.DataFrame]:
    done = Pass(table(), data, HOW, found, work)
    done.move(out)
    return out.read_bytes(), done.table


@pytest.mark.parametrize("after", [0, 1, 3, 4])
def test_what_was_done_is_not_done_again_and_the_end_is_the_same(tmp_path: Path, after: int) -> None:
    data = pictures()
    whole, expected = finished(tmp_path / "a", batches(data, 4), White(), tmp_path / "whole.npy")
    with pytest.raises(Stopped):
        Pass(table(), stopping(data, after), HOW, White(), tmp_path / "b")
    second = White()
    resumed, got = finished(tmp_path / "b", batches(data, 4), second, tmp_path / "resumed.npy")
    assert resumed == whole
    pd.testing.assert_frame_equal(got, expected)
    left = sum(1 for k, one in enumerate(data) if k >= 4 * after and one not in (None, b"broken"))
    assert sum(second.calls) == left
    assert got["crop_index"].max() == len(np.load(tmp_path / "resumed.npy")) - 1


def test_a_finished_pass_is_not_done_again(tmp_path: Path) -> None:
    data = pictures()
    done = Pass(table(), batches(data, 4), HOW, White(), tmp_path / "work")
    again = White()
    same = Pass(table(), batches(data, 4), HOW, again, tmp_path / "work")
    assert again.calls == []
    pd.testing.assert_frame_equal(same.table, done.table)
    with pytest.raises(DataError, match="lost"):
        same.refuse_losses(0.0)


@pytest.mark.parametrize("damage", ["cut", "gone", "crops", "other batches", "no array"])
def test_a_damaged_chunk_and_all_after_it_are_done_again(tmp_path: Path, damage: str) -> None:
    data, work = pictures(), tmp_path / "b"
    whole, expected = finished(tmp_path / "a", batches(data, 4), White(), tmp_path / "whole.npy")
    Pass(table(), batches(data, 4), HOW, White(), work)
    chunk = work / "chunk-00002.npz"
    if damage == "cut":
        chunk.write_bytes(chunk.read_bytes()[:-50])
    elif damage == "gone":
        chunk.unlink()
    elif damage == "crops":
        faces = np.load(work / "faces.npy", mmap_mode="r+")
        faces[7, 3, 3] ^= 1
        faces.flush()
    elif damage == "other batches":
        (work / "chunk-00004.npz").replace(chunk)
        os.truncate(chunk, 10)
    else:
        (work / "faces.npy").write_bytes(b"")
    second = White()
    resumed, got = finished(work, batches(data, 4), second, tmp_path / "resumed.npy")
    assert resumed == whole
    pd.testing.assert_frame_equal(got, expected)
    # crop 7 is of the third chunk: rows 3 and 5 have none
    first = 0 if damage == "no array" else 8
    assert sum(second.calls) == sum(1 for k, d in enumerate(data) if k >= first and d not in (None, b"broken"))


def test_chunks_by_hand(tmp_path: Path) -> None:
    chunks = Chunks(tmp_path, (3, 8, 8, 1))
    one = Chunk(2)
    one.reason, one.score[0] = np.array(["", "no face found"]), 0.5
    assert chunks.kept(2) is None
    chunks.add(one, [np.full((8, 8, 1), 7, np.uint8)])
    again = Chunks(tmp_path, (3, 8, 8, 1))
    assert again.kept(3) is None, "another batch"
    again = Chunks(tmp_path, (3, 8, 8, 1))
    kept = again.kept(2)
    assert kept is not None and kept.reason.tolist() == ["", "no face found"] and kept.score[0] == 0.5
    assert again.done == 1 and again.kept(2) is None
    assert Chunks(tmp_path, (4, 8, 8, 1)).kept(2) is None, "another array"
    assert not list(tmp_path.glob("chunk-*"))


def ingested(root: Path, data: list[bytes | None], **align: object) -> None:
    rows = table(len(data))
    write_manifest(root / "data/ingest/manifest.parquet", rows, "ingest")
    pq.write_table(
        pa.table({"sample_id": rows["sample_id"], "bytes": pa.array(data, pa.binary())}),
        root / "data/ingest/pictures.parquet",
    )
    params(root, **align)


def params(root: Path, **align: object) -> None:
    section = {"detector": "mtcnn", "crop": "box", "max_dropped": 0.5} | align
    text = yaml.safe_dump({"profile": "tiny", "profiles": {"tiny": {"size": 24}}, "align": section})
    (root / "params.yaml").write_text(text)


def run(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Result, White]:
    found = White()
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setitem(DETECTORS, "mtcnn", lambda model: found)
    return CliRunner().invoke(app, []), found


def test_the_stage_writes_its_files_and_leaves_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingested(tmp_path, pictures())
    result, _ = run(tmp_path, monkeypatch)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "data/align").iterdir()) == [
        *("alignment.json", "faces.npy", "manifest.parquet", "rejects.csv")
    ]
    assert list((tmp_path / ".work/align").iterdir()) == []
    assert CliRunner().invoke(contact_sheet.app, []).exit_code == 0
    assert (tmp_path / "reports/align.html").stat().st_size > 1000
    rejects = pd.read_csv(tmp_path / "data/align/rejects.csv", dtype=str)
    assert rejects.columns.tolist() == ["sample_id", "source", "picture", "split", "drop_reason"]
    assert dict(zip(rejects["sample_id"], rejects["drop_reason"], strict=True)) == {
        "0003": "no face found",
        "0005": "no picture file",
        "0009": "picture does not decode",
        "0010": "no face found",
        "0017": "no face found",
    }
    faces = np.load(tmp_path / "data/align/faces.npy")
    out = read_manifest(tmp_path / "data/align/manifest.parquet")
    assert len(faces) == 15 == out["crop_index"].notna().sum()


def test_too_many_losses_leave_the_list_the_sheet_and_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingested(tmp_path, pictures(), max_dropped=0.1)
    result, first = run(tmp_path, monkeypatch)
    assert result.exit_code == 1
    assert "5 of 20 pictures were lost (25.0%)" in result.stderr
    assert (
        "the first is 0003: no face found. In 3 of them mtcnn found no face: raise align.max_dropped" in result.stderr
    )
    assert [path.name for path in (tmp_path / "data/align").iterdir()] == ["rejects.csv"]
    assert len(pd.read_csv(tmp_path / "data/align/rejects.csv")) == 5
    assert "no face found" in (tmp_path / "reports/align.html").read_text()
    assert sum(first.calls) == 18
    params(tmp_path, max_dropped=0.25)
    result, second = run(tmp_path, monkeypatch)
    assert result.exit_code == 0, result.output
    assert second.calls == [], "who allows more losses need not align again"
    ingested(tmp_path / "fresh", pictures(), max_dropped=0.25)
    run(tmp_path / "fresh", monkeypatch)
    for name in ("faces.npy", "manifest.parquet", "alignment.json", "rejects.csv"):
        resumed = (tmp_path / "data/align" / name).read_bytes()
        assert resumed == (tmp_path / "fresh/data/align" / name).read_bytes(), name


@pytest.mark.parametrize("change", ["params", "pictures", "manifest", "code"])
def test_the_work_of_other_data_or_params_is_not_used_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    ingested(tmp_path, pictures(), max_dropped=0.0)
    run(tmp_path, monkeypatch)
    (old,) = (tmp_path / ".work/align").iterdir()
    busy = tmp_path / ".work/align/busy"
    busy.mkdir()
    if change == "params":
        params(tmp_path, margin=0.2)
    elif change == "pictures":
        os.utime(tmp_path / "data/ingest/pictures.parquet", ns=(1, 1))
        params(tmp_path)
    elif change == "manifest":
        rows = table().assign(subject="somebody")
        write_manifest(tmp_path / "data/ingest/manifest.parquet", rows, "ingest")
        params(tmp_path)
    else:
        (tmp_path / "data/code").mkdir()
        (tmp_path / "data/code/align.json").write_text("{}")
        params(tmp_path)
    with FileLock(busy / "lock"):
        result, second = run(tmp_path, monkeypatch)
    assert result.exit_code == 0, result.output
    assert sum(second.calls) == 18
    assert not old.exists()
    assert [path.name for path in (tmp_path / ".work/align").iterdir()] == ["busy"], "another process is at it"


SLOW = """
    import sys, time
    sys.path.insert(0, {tests!r})
    from made_faces import White
    import fer_core.faces.detect as detect

    class Slow(White):
        def __call__(self, pictures):
            time.sleep(0.15)
            return super().__call__(pictures)

    detect.DETECTORS["mtcnn"] = lambda model: Slow()
    from stages.align import app
    app()
"""


def test_a_run_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures(20) * 60  # 1,200 pictures: three chunks
    ingested(tmp_path, data[:1200], max_dropped=0.5)
    script = tmp_path / "slow.py"
    script.write_text(textwrap.dedent(SLOW).format(tests=str(ROOT / "tests/faces")))
    environment = {key: value for key, value in os.environ.items() if key != "DVC_ROOT"}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen([sys.executable, script.name], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not list((tmp_path / ".work").glob("align/*/work/chunk-00000.npz")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "data/align").exists()
    chunks = len(list((tmp_path / ".work").glob("align/*/work/chunk-*.npz")))
    assert chunks in (1, 2)
    result, second = run(tmp_path, monkeypatch)
    assert result.exit_code == 0, result.output
    assert sum(second.calls) == sum(1 for k, d in enumerate(data) if k >= 512 * chunks and d not in (None, b"broken"))
    ingested(tmp_path / "fresh", data[:1200], max_dropped=0.5)
    result, _ = run(tmp_path / "fresh", monkeypatch)
    assert result.exit_code == 0, result.output
    for name in ("faces.npy", "manifest.parquet", "alignment.json", "rejects.csv"):
        resumed = (tmp_path / "data/align" / name).read_bytes()
        assert resumed == (tmp_path / "fresh/data/align" / name).read_bytes(), name
