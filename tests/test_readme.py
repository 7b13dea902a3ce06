"""README holds what is true: its table is one that was measured, and what it names exists."""

import importlib.util
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from benchmarks.readme import votes_table
from fer_core.config import load_params
from fer_core.evaluation.head import percent
from fer_core.evaluation.table import claim_text, gain_text, title_text, verdict_text

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def published() -> Callable[[str], str]:
    """Return a file as it was when README was written: a road of one's own replaces the files that lie here."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no git history here: {done.stderr.strip()}")
        return done.stdout.strip()

    dirty = git("status", "--porcelain", "README.md")
    commit = "" if dirty else git("log", "-1", "--format=%H", "--", "README.md")
    return lambda path: git("show", f"{commit}:{path}")  # without a commit: what is staged


def test_the_table_is_the_one_that_was_measured(published: Callable[[str], str]) -> None:
    expected = []
    for row in json.loads(published("metrics/gains.json")):
        if row["view"] == "vote" or (row["view"] == "ladder" and row["technique"] != "baseline"):
            continue
        name = f"{title_text(row)}, alone" if row["view"] == "alone" else title_text(row)
        name = name if row["view"] in ("alone", "clip") else f"**{name}**"
        scores = [percent(row[key]) for key in ("accuracy", "uar", "macro_f1")]
        expected.append([name, *scores, gain_text(row), claim_text(row), verdict_text(row)])
    shown = TEXT.split("<!-- table -->")[1].split("<!-- /table -->")[0]
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]] == expected


def test_ways_to_vote_are_those_that_were_measured(published: Callable[[str], str]) -> None:
    rows = [row for row in json.loads(published("metrics/gains.json")) if row["view"] == "vote"]
    shown = TEXT.split("<!-- votes -->")[1].split("<!-- /votes -->")[0]
    assert shown.strip().splitlines() == votes_table(rows)
    methods = [row for row in rows if row["technique"].startswith(("stack_alone_", "stack_ladder_", "tta_baseline_"))]
    assert len(methods) >= 15 and all(gain_text(row) in shown for row in methods if row["gain"] is not None)


def test_the_report_says_the_same(published: Callable[[str], str]) -> None:
    report = published("reports/gains.md")
    for row in json.loads(published("metrics/gains.json")):
        assert not row["applicable"] or gain_text(row) in report


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake (\w+)\b(?=[`\s,;])", TEXT)) - {"the"}))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([\w.]+)", TEXT))))
def test_every_module_exists(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", TEXT))))
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize(
    "line", [line for line in TEXT.splitlines() if line.startswith("dvc exp run") and "-S" in line]
)
def test_every_experiment_changes_a_key_that_there_is(line: str, tmp_path: Path) -> None:
    """As DVC does: a key that the file lacks must be added with a +."""
    from dvc.utils.hydra import apply_overrides

    changes = re.findall(r"-S (\S+)", line)
    if "--queue" in line:  # a sweep: one experiment a value
        changes = [change.split(",")[0] for change in changes]
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    apply_overrides(path, changes)
    assert load_params(yaml.safe_load(path.read_text(encoding="utf-8")))
