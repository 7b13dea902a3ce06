"""The report by attribute, and a table of some faces only: the whole wiring, against a naive computation."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import balanced_accuracy_score
from test_report import TEST, build, change, naive_right, run

from stages.evaluate import app as evaluate
from stages.report import app as report

ROOT = Path(__file__).parents[2]
NOTE = "ceiling of this set: 95.0 % accuracy and 90.0 % macro-F1 from the true AU intensities"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A tree whose faces have attributes and whose set has a ceiling; tests only read it."""
    root = tmp_path_factory.mktemp("sliced")
    build(root)
    rng = np.random.default_rng(2)

    def attributes(table: pd.DataFrame) -> pd.DataFrame:
        n = len(table)
        skin = rng.choice(["dark", "light", None], n, p=[0.45, 0.45, 0.1])
        return table.assign(attr_skin=skin, attr_age=rng.choice(["adult", "child"], n))

    change(root / "data/join_aus/manifest.parquet", attributes)
    card = json.loads((root / "data/ingest/card.json").read_text())
    levels = {"accuracy": 0.95, "macro_f1": 0.9}
    facts = {"version": "2", "ceiling": {"intensities": levels, "aus": levels, "labels": levels}}
    notes = [*card["notes"], "stand-in version 2, difficulty standard", NOTE]
    (root / "data/ingest/card.json").write_text(json.dumps(card | {"standin": facts, "notes": notes}))
    road = yaml.safe_load((root / "plans/road.yaml").read_text())
    (root / "plans/road.yaml").write_text(yaml.safe_dump(road | {"notes": notes}, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for app in (evaluate, report):
            result = run(app)
            assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def here(built, monkeypatch):
    monkeypatch.chdir(built)
    return built


def naive_bin(root: Path, attribute: str, value: str, name: str) -> pd.DataFrame:
    manifest = pd.read_parquet(root / "data/join_aus/manifest.parquet")
    return naive_right(root, name).merge(manifest[manifest[f"attr_{attribute}"] == value]["sample_id"])


def test_slices_hold_every_bin_with_the_scores_of_a_plain_merge(built):
    slices = json.loads((built / "metrics/slices.json").read_text())
    bins = [("skin", "dark"), ("skin", "light"), ("age", "adult"), ("age", "child")]
    assert [(row["attribute"], row["bin"]) for row in slices] == bins
    for row in slices:
        right = []
        for who, predictor in (("baseline", "train/baseline"), ("final", "tta/ladder")):
            both = naive_bin(built, row["attribute"], row["bin"], predictor)
            right.append((both.emotion == both.prediction).mean())
            assert row["n"] == len(both) and row["classes_present"] == both.emotion.nunique()
            assert row[f"{who}_accuracy"] == pytest.approx(right[-1])
            assert row[f"{who}_uar"] == pytest.approx(balanced_accuracy_score(both.emotion, both.prediction))
            assert row[f"{who}_accuracy_low"] < right[-1] < row[f"{who}_accuracy_high"]
        assert row["gain"] == pytest.approx(100 * (right[1] - right[0]))
        assert row["gain_low"] < row["gain"] < row["gain_high"]
    assert sum(row["n"] for row in slices if row["attribute"] == "age") == TEST


def test_the_page_has_the_section_the_version_and_the_ceiling(built):
    page = (built / "reports/gains.md").read_text()
    section = page.split("## By attribute")[1].split("## ")[0]
    assert section.count("\n| ") == 6 and "test faces have no value of `skin`" in section
    head = page[: page.index("## ")]
    for text in ("Generated faces, not people.", "Stand-in version 2, difficulty standard.", NOTE[1:]):
        assert text in head
    assert "The ladder closes " in head and "to the ceiling (95.0 %)." in head


def test_the_summary_has_the_share_of_the_gap(built):
    found = json.loads((built / "metrics/summary.json").read_text())
    gap = found["ceiling_accuracy"] - found["baseline_accuracy"]
    assert (found["ceiling_accuracy"], found["ceiling_macro_f1"]) == (0.95, 0.9)
    assert found["gap_closed"] == pytest.approx((found["final_accuracy"] - found["baseline_accuracy"]) / gap, abs=1e-5)


def test_the_terminal_says_them_too(here):
    shown = " ".join(run(report, "--print-only").output.split())
    for text in ("Generated faces, not people.", "Stand-in version 2, difficulty standard.", NOTE[1:]):
        assert text in shown
    assert "The ladder closes " in shown and "This table" not in shown


@pytest.mark.parametrize("flags", [["--print-only"], []])
def test_where_shows_these_faces_only_and_writes_nothing(here, flags):
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    result = run(report, *flags, "--where", "skin=dark")
    assert result.exit_code == 0, result.output
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 120
    base, final = (naive_bin(here, "skin", "dark", name) for name in ("train/baseline", "tta/ladder"))
    old, new = (100 * (both.emotion == both.prediction).mean() for both in (base, final))
    assert lines[0].startswith(f"baseline {old:.1f} % -> final {new:.1f} %: {new - old:+.1f} points [")
    assert f"This table: only the {len(base)} of {TEST} test faces with skin=dark." in result.output
    assert "n/a: no identities" in result.output and "The ladder closes" not in result.output


def test_all_conditions_hold(here):
    result = run(report, "--where", "skin=dark", "--where", "age=child")
    both = naive_bin(here, "skin", "dark", "train/baseline").merge(
        naive_bin(here, "age", "child", "train/baseline")[["sample_id"]]
    )
    assert f"only the {len(both)} of {TEST} test faces with skin=dark, age=child" in result.output


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("skn=dark", "error: Expected `attribute` to be one of age, skin; got 'skn'. Did you mean 'skin'?"),
        ("skin=drak", "error: Expected `skin` to be one of dark, light; got 'drak'. Did you mean 'dark'?"),
        ("dark", "error: Expected a condition such as skin=BIN; got 'dark'."),
    ],
)
def test_an_unknown_name_is_one_sentence(here, where, message):
    result = run(report, "--print-only", "--where", where)
    assert result.exit_code == 1 and result.output.strip() == message


def test_make_gains_passes_the_conditions_on():
    if shutil.which("make") is None:
        pytest.skip("no make here")
    command = ["make", "--dry-run", "gains", "WHERE=skin=dark age=child", "-o", ".venv/installed"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "stages.report --print-only --where 'skin=dark' --where 'age=child'" in shown
