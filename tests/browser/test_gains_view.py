"""What people see: MLflow's page, as `make ui` opens it, looked at in a real browser.

The saved view that makes the run table the gains table rests on an undocumented tag: this is what guards it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium, why_not
from tracked_road import Road

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
]

CELLS = """
const rows = {};
for (const part of document.querySelectorAll('.ag-row')) {
  const row = rows[part.getAttribute('row-index')] ??= {};
  for (const cell of part.querySelectorAll('.ag-cell')) row[cell.getAttribute('col-id')] = cell.innerText.trim();
}
return rows;
"""
COLUMNS = """
return [...document.querySelectorAll('.ag-header-viewport .ag-header-cell')]
  .sort((a, b) => a.getBoundingClientRect().left - b.getBoundingClientRect().left).map(cell => cell.innerText.trim());
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("road")
    Road(root, small=False).write()
    return root


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    ours = ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI")
    return {name: value for name, value in os.environ.items() if name not in ours}


@pytest.fixture(scope="module")
def address(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The line that `python -m stages.ui` prints."""
    subprocess.run([sys.executable, "-m", "stages.track"], cwd=folder, env=environment, check=True, timeout=200)
    command = [sys.executable, "-m", "stages.ui", "--no-open", "--port", str(free_port())]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, address: str) -> Iterator[Chromium]:
    """A wide window with MLflow's assistant closed, so that all columns are in the page."""
    profile = tmp_path_factory.mktemp("profile")
    browser = Chromium(profile, free_port(), width=2300, height=1150)
    browser.open(address.partition("#")[0] + "#/experiments")
    for key, value in (("panelOpen", "false"), ("fab.autoOpenedOnFirstLoad", "true")):
        browser.run(f"localStorage.setItem('mlflow.assistant.{key}_v1', '{value}')")
    browser.open("about:blank")
    yield browser
    browser.close()
    shutil.rmtree(profile, ignore_errors=True)


def test_the_page_that_opens_is_the_gains_table(browser: Chromium, address: str, folder: Path) -> None:
    rows = json.loads((folder / "metrics" / "gains.json").read_text())
    browser.open(address)
    browser.wait("return document.querySelectorAll('.ag-center-cols-container .ag-row').length >= 15")
    browser.wait("return document.body.innerText.includes('train_seconds')")
    if picture := os.environ.get("GAINS_PICTURE"):
        browser.picture(Path(picture))

    shown = browser.run(CELLS)
    table = [shown[key] for key in sorted(shown, key=int)]
    names = [row["attributes.`Run Name`"].splitlines()[-1] for row in table]  # after the colour of its dot
    assert names[:6] == [
        "Baseline",
        "Phase 1: quick wins",
        "Phase 2: advanced techniques",
        "Beyond the roadmap",
        "Phase 3: final optimizations",
        "alone: AU multi-task",
    ]
    assert len(names) == len(rows)
    for row, cells in zip(rows, table, strict=True):
        for key, scale in (("accuracy", 100), ("uar", 100), ("macro_f1", 100), ("gain", 1), ("gain_low", 1)):
            text = cells[f"metrics.`{key}`"]
            assert text == "-" if row[key] is None else float(text) == round(scale * row[key], 1), (row, text)
        assert cells["tags.`verdict`"] == row["verdict"]


def test_the_columns_stand_in_the_tables_order(browser: Chromium, address: str) -> None:
    browser.open("about:blank")
    browser.open(address)
    browser.wait("return document.body.innerText.includes('train_seconds')")
    columns = [name for name in browser.run(COLUMNS) if name]
    expected = ["accuracy", "uar", "macro_f1", "gain", "gain_low", "gain_high"]
    expected += ["claimed", "verdict", "kept", "p_value", "p_adjusted", "train_seconds"]
    assert columns[: len(expected)] == expected


def test_the_note_shows_the_headline_and_leads_to_the_view(browser: Chromium, address: str) -> None:
    experiment = address.partition("/runs?")[0]
    browser.open("about:blank")
    browser.open(f"{experiment}/runs?workflowType=machine_learning")
    browser.wait("return document.body.innerText.includes('the roadmap claims 55 → 80+ · phase 1')")
    link = browser.wait(
        "return [...document.querySelectorAll('a')].find(a => a.href.includes('viewStateShareKey'))?.href"
    )
    assert link == address


def test_a_row_leads_to_its_confusion_matrix(browser: Chromium, address: str) -> None:
    browser.open("about:blank")
    browser.open(address)
    run = browser.wait("return [...document.querySelectorAll('a')].find(a => a.innerText == 'ladder: ViT')?.href")
    browser.open(f"{run.partition('?')[0]}/artifacts/confusion.png")
    source = "img[alt*='confusion'], img[src^='blob:'], img[src*='get-artifact'], img[src*='confusion']"
    browser.wait(f'return [...document.querySelectorAll("{source}")].some(picture => picture.naturalWidth > 400)')
