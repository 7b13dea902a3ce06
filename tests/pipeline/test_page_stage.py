"""The page stage on a small made-up tree, after the real evaluate and report: what it writes, what it refuses."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from test_report import CLASSES, LADDER, build, run

from fer_core.datasets.duplicates import Seen
from fer_core.datasets.leakage import find_leaks
from stages.evaluate import app as evaluate
from stages.page import _commit
from stages.page import app as page
from stages.report import app as report

TRAIN = dict(zip(CLASSES, (200, 150, 100, 45, 5), strict=True))


def complete(root: Path) -> None:
    """Add what only the page reads: faces and where they stand, counts, what the AU labels are, the seed."""
    path = root / "data/join_aus/manifest.parquet"
    manifest = pd.read_parquet(path)
    manifest["crop_index"] = np.arange(len(manifest))[::-1]
    manifest.to_parquet(path)
    faces = np.zeros((len(manifest), 16, 16, 3), np.uint8)
    faces[:] = np.linspace(0, 255, len(manifest)).astype(np.uint8)[:, None, None, None]
    (root / "data/align").mkdir()
    np.save(root / "data/align/faces.npy", faces)
    path = root / "data/ingest/card.json"
    counts = {"train": TRAIN, "validation": dict.fromkeys(CLASSES, 24), "test": 300}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"counts": counts}))
    aus = {"names": ["AU1", "AU12"], "titles": {}, "coverage": {"train": 1.0, "validation": 0.9}}
    aus["positives"] = {"train": {"AU1": 150, "AU12": 50}, "validation": {"AU1": 30, "AU12": 30}}
    (root / "data/join_aus/aus.json").write_text(json.dumps(aus))
    path = root / "plans/road.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"seed": 7}, sort_keys=False))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree after the three stages; tests only read it."""
    root = tmp_path_factory.mktemp("page")
    build(root)
    complete(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for app in (evaluate, report, page):
            result = run(app)
            assert result.exit_code == 0, (result.output, result.exception)
    return root


@pytest.fixture
def tree(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may spoil; we stand in it."""
    shutil.copytree(made, tmp_path / "tree")
    monkeypatch.chdir(tmp_path / "tree")
    return tmp_path / "tree"


def refused(message: str) -> None:
    result = run(page)
    assert result.exit_code == 1
    assert message in result.output


def test_the_page_and_its_figures_are_written(made: Path) -> None:
    html = (made / "reports/index.html").read_text(encoding="utf-8")
    rows = json.loads((made / "metrics/gains.json").read_text())
    alone = [row for row in rows if row["view"] == "alone"]
    group = html.split('<tbody data-views="alone">')[1].partition("</tbody>")[0]
    assert group.count("<tr") == 1 + len(alone)
    for row in alone:
        if row["gain"] is not None:
            assert f"{row['gain']:+.1f} [{row['gain_low']:.1f}".replace("-", "−") in group
    names = {path.name for path in (made / "reports/figures").iterdir()}
    assert {"ladder.svg", "confusion-final.svg", "calibration.svg", "cost.svg"} <= names
    for path in (made / "reports/figures").iterdir():
        assert path.read_text(encoding="utf-8").startswith("<svg ")
    assert "Attention maps of the run alone-attention" in html
    assert (made / "reports/gains.md").exists() and (made / "reports/attention").is_dir()  # others' files stay


def test_the_hardest_faces_are_the_faces_of_these_pictures(made: Path) -> None:
    """Each face is of one grey, and crops stand in the reverse order of the pictures."""
    import base64
    import io
    import re

    from PIL import Image

    html = (made / "reports/index.html").read_text(encoding="utf-8")
    shown = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="test face (\d+): (Emotion .)', html)
    assert len(shown) == 24
    truth = pd.read_parquet(made / "data/ingest/test_truth.parquet").set_index("sample_id")["emotion"]
    greys = np.linspace(0, 255, 420).astype(np.uint8)
    for picture, name, emotion in shown:
        grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))).mean()
        assert abs(grey - float(greys[419 - int(name)])) < 3
        assert CLASSES[int(truth[name])] == emotion


def test_the_same_inputs_give_the_same_bytes(tree: Path) -> None:
    files = [tree / "reports/index.html", *sorted((tree / "reports/figures").iterdir())]
    before = [path.read_bytes() for path in files]
    (tree / "reports/figures/stale.svg").write_text("of an earlier road")
    assert run(page).exit_code == 0
    assert [path.read_bytes() for path in files] == before
    assert not (tree / "reports/figures/stale.svg").exists()


def test_a_leakage_report_is_shown_and_may_be_absent(tree: Path) -> None:
    assert "Leaks between the splits" not in (tree / "reports/index.html").read_text(encoding="utf-8")
    seen = Seen(["a", "b"], ["", ""], np.zeros((2, 32, 32), np.float32), np.zeros(2, bool))
    rows = {"sample_id": ["a", "b"], "split": ["train", "test"], "subject": "s1", "emotion": [0, None]}
    found = find_leaks(pd.DataFrame(rows | {"drop_reason": None, "clip_id": None}), seen).report
    (tree / "data/ingest/leakage.json").write_text(json.dumps(found | {"policy": "report"}))
    assert run(page).exit_code == 0
    html = (tree / "reports/index.html").read_text(encoding="utf-8")
    assert "<strong>1 leak</strong>" in html and "Between splits, subject: test, train" in html


@pytest.mark.parametrize(
    "path",
    [
        *(f"metrics/{name}.json" for name in ("gains", "summary", "runs", "slices", "synthesis")),
        *("plans/road.yaml", "data/ingest/card.json", "data/ingest/test_truth.parquet", "data/join_aus/aus.json"),
        *("data/join_aus/test_aus.parquet", "data/align/faces.npy", f"data/select/{LADDER[-1]}/state.yaml"),
        "data/train/baseline/predictions.parquet",
    ],
)
def test_a_missing_input_is_refused_by_name(tree: Path, path: str) -> None:
    (tree / path).unlink()
    (tree / "reports/index.html").unlink()
    refused(f"{path} does not exist")
    assert not (tree / "reports/index.html").exists()


def test_predictions_of_other_scores_are_refused(tree: Path) -> None:
    shutil.copy("data/train/alone-vit/predictions.parquet", "data/train/baseline/predictions.parquet")
    refused("data/train/baseline/predictions.parquet has test accuracy")


def test_predictions_of_other_pictures_are_refused(tree: Path) -> None:
    path = Path("data/tta/ladder/predictions.parquet")
    table = pd.read_parquet(path)
    table["sample_id"] = "x" + table["sample_id"]
    table.to_parquet(path)
    refused(f"{path} (test) lacks 300 of 300 pictures")


def test_faces_of_another_alignment_are_refused(tree: Path) -> None:
    np.save("data/align/faces.npy", np.zeros((100, 16, 16, 3), np.uint8))
    refused("data/join_aus/manifest.parquet names crop 299, data/align/faces.npy holds 100")


def test_a_final_predictor_without_scores_is_refused(tree: Path) -> None:
    runs = json.loads(Path("metrics/runs.json").read_text())
    runs["tta/ladder"]["state"] = "not_applicable"
    Path("metrics/runs.json").write_text(json.dumps(runs))
    refused("metrics/runs.json has no scores of tta/ladder")


def test_the_commit_is_told_with_its_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert _commit() == "unknown"

    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *identity, *words], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    Path("params.yaml").write_text("a: 1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    assert _commit() == commit
    Path("params.yaml").write_text("a: 2\n")
    assert _commit() == f"{commit}, with changes"
    monkeypatch.setenv("PATH", "")
    assert _commit() == "unknown"
