"""README holds what is true: its table is the committed one, and what it names exists."""

import importlib.util
import re
from pathlib import Path

import pytest

from fer_core.evaluation.table import claim_text, gain_text, percent, title_text, verdict_text
from fer_core.files import read_json

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_is_the_committed_one() -> None:
    rows = [
        row
        for row in read_json(ROOT / "metrics/gains.json")
        if row["view"] != "ladder" or row["technique"] == "baseline"
    ]
    expected = []
    for row in rows:
        name = f"{title_text(row)}, alone" if row["view"] == "alone" else f"**{title_text(row)}**"
        scores = [percent(row[key]) for key in ("accuracy", "uar", "macro_f1")]
        expected.append([name, *scores, gain_text(row), claim_text(row), verdict_text(row)])
    shown = TEXT.split("<!-- gains -->")[1].split("![")[0]
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]] == expected


def test_the_committed_report_says_the_same() -> None:
    report = (ROOT / "reports/gains.md").read_text(encoding="utf-8")
    for row in read_json(ROOT / "metrics/gains.json"):
        if row["applicable"]:
            assert gain_text(row) in report


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake (\w+)\b(?=[`\s,;])", TEXT)) - {"the"}))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"(?m)^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([\w.]+)", TEXT))))
def test_every_module_exists(module: str) -> None:
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", TEXT))))
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()
