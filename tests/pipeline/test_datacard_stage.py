"""The datacard stage on made-up files of the stages before it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from fer_core.manifest import empty_columns, write_manifest
from stages.datacard import app


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What ingest, align and join_aus left of six pictures; we stand in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("ingest", "align", "join_aus"):
        (tmp_path / "data" / name).mkdir(parents=True)
    table = pd.DataFrame({**empty_columns("ingest", 6), **empty_columns("align", 6)})
    table = table.assign(source="rafce", picture="p", sample_id=[f"000{k}" for k in range(6)])
    table["split"] = ["train", "train", "train", "validation", "test", "pool"]
    table["emotion"] = pd.Series([0, 1, 1, 0, None, None], dtype="Int16")
    table["crop_index"] = pd.Series(range(6), dtype="Int32")
    write_manifest(tmp_path / "data/join_aus/manifest.parquet", table, "join_aus", 2)
    np.save(tmp_path / "data/align/faces.npy", np.zeros((6, 8, 8, 1), np.uint8))
    card = {"data": "rafce", "title": "RAF-CE", "classes": ["calm", "wild"], "vote_names": None, "standin": None}
    (tmp_path / "data/ingest/card.json").write_text(json.dumps(card | {"notes": ["a note"]}))
    (tmp_path / "data/join_aus/aus.json").write_text(json.dumps({"names": [], "intensities": [], "notes": []}))
    return tmp_path


def test_the_page_is_written(tree: Path) -> None:
    result = run()
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.output.startswith("reports/data.html: ")
    page = (tree / "reports/data.html").read_text(encoding="utf-8")
    assert "<h1>Data card: RAF-CE</h1>" in page
    assert "whdeng.cn/RAF/model4.html" in page, "what the registry tells of the set"
    assert "No leakage guard has run." in page
    assert page.count("<img") == 3, "the train faces"


def test_it_needs_no_test_truth_and_no_pictures(tree: Path) -> None:
    left = sorted(str(path.relative_to(tree)) for path in (tree / "data").rglob("*") if path.is_file())
    assert not any("truth" in name or "pictures" in name or "test_aus" in name for name in left)
    assert run("--out", "elsewhere/card.html").exit_code == 0
    assert (tree / "elsewhere/card.html").exists() and not (tree / "reports").exists()


def test_what_is_missing_is_named(tree: Path) -> None:
    for path in (
        "data/ingest/card.json",
        "data/join_aus/aus.json",
        "data/join_aus/manifest.parquet",
        "data/align/faces.npy",
    ):
        shutil.move(path, "away")
        result = run()
        assert result.exit_code == 1 and f"{path} does not exist" in result.output
        assert not (tree / "reports/data.html").exists()
        shutil.move("away", path)


def test_faces_of_another_run_are_refused(tree: Path) -> None:
    np.save(tree / "data/align/faces.npy", np.zeros((2, 8, 8, 1), np.uint8))
    result = run()
    assert result.exit_code == 1 and "names crop 5, faces.npy holds 2" in result.output
    (tree / "data/align/faces.npy").write_bytes(b"no array")
    result = run()
    assert result.exit_code == 1 and "is not a readable array" in result.output
