"""dvc.lock written stage by stage is the same, byte for byte, as DVC writes it."""

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from stages.lib import warm
from stages.lib.quick_dvc import replaced

HEAD = "schema: '2.0'\nstages:\n"
LOCK = (
    HEAD
    + "  a:\n    cmd: one\n  b@x:\n    cmd: two\n    params:\n      params.yaml:\n        c:\n  c:\n    cmd: three\n"
)


def part(name: str, cmd: str) -> str:
    return f"{HEAD}  {name}:\n    cmd: {cmd}\n"


def test_one_stage_is_replaced_where_it_stands() -> None:
    new = replaced(LOCK, part("b@x", "four"))
    assert new == HEAD + "  a:\n    cmd: one\n  b@x:\n    cmd: four\n  c:\n    cmd: three\n"


def test_a_new_stage_comes_last_whatever_the_others_are_called() -> None:
    assert replaced(LOCK, part("b", "four")) == LOCK + "  b:\n    cmd: four\n"


def test_lines_that_look_like_a_stage_inside_one_are_left_alone() -> None:
    text = HEAD + '  a:\n    cmd: "one\n\n      b:\n\n      c"\n  b:\n    cmd: two\n'
    assert replaced(text, part("b", "four")) == text.replace("two", "four")


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEAD,
        "stages:\n  a:\n    cmd: one\n",
        LOCK + "datasets:\n- name: d\n",
        LOCK + "# a comment\n",
        LOCK.replace("  c:", "  # of ours\n  c:"),
        LOCK + "  a:\n    cmd: again\n",
        LOCK.removesuffix("\n"),
        HEAD + "  a: {cmd: one}\n",
        HEAD + " a:\n    cmd: one\n",
        HEAD + "    cmd: one\n  a:\n    cmd: one\n",
        "<<<<<<< ours\n" + LOCK,
    ],
)
def test_any_other_form_is_left_to_dvc(text: str) -> None:
    assert replaced(text, part("a", "four")) is None


def test_values_with_an_anchor_are_left_to_dvc() -> None:
    assert replaced(LOCK, HEAD + "  a:\n    params:\n      p: &id001 [1]\n      q: *id001\n") is None


DAG = """
stages:
  first:
    cmd: {long} mkdir -p made && cp source made/file && mkdir -p made/empty
    deps: [source]
    params: [text, number, nothing, nested]
    outs: [made]
  each:
    foreach: ${{runs}}
    do:
      cmd: cat made/file > each-${{key}} && echo '${{item.word}}' >> each-${{key}}
      deps: [made]
      outs: ["each-${{key}}"]
      metrics: [{{"m-${{key}}.json": {{cache: false}}}}]
  always:
    cmd: "true"
    always_changed: true
    deps: [each-two]
"""
PARAMS = """
text: "a: b # c\\nsecond line, and one so long that whoever writes it has to put it onto a second line of the file"
number: 1.0e-05
nothing: null
nested: {list: [1, [2, 3], {x: 'yes'}], empty: {}, same: [é, '']}
runs: {one: {word: "it''s"}, two: {word: "x y"}}
"""


def environment() -> dict[str, str]:
    return {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture
def projects(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal DVC projects."""
    for name in ("plain", "quick"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "dvc.yaml").write_text(
            DAG.format(long="echo " + "a_long_word " * 12 + "&&").replace(
                "> each-${key} &&", "> each-${key} && echo 1 > m-${key}.json &&"
            )
        )
        (folder / "params.yaml").write_text(PARAMS)
        (folder / "source").write_text("1\n")
        subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=folder, env=environment(), check=True)
    return tmp_path / "plain", tmp_path / "quick"


def run_both(projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """Run one project by `dvc repro`, the other by what `make repro` calls; return the lock, which must be the same."""
    plain, quick = projects
    assert subprocess.run(["dvc", "repro", "--quiet"], cwd=plain, env=environment(), check=False).returncode == 0
    monkeypatch.setattr(warm, "warm_process", lambda: nullcontext(environment()))
    monkeypatch.chdir(quick)
    assert warm.run_warm(["dvc", "repro", "--quiet"]) == 0
    lock = (quick / "dvc.lock").read_text(encoding="utf-8")
    assert lock == (plain / "dvc.lock").read_text(encoding="utf-8")
    return lock


def test_dvc_writes_the_same_lock_file(projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_both(projects, monkeypatch)
    assert [line for line in first.splitlines() if line.startswith("  ") and line[2] != " "] == [
        *("  first:", "  each@one:", "  each@two:", "  always:")
    ]
    for folder in projects:  # one stage changes, another comes, a third goes
        text = (folder / "params.yaml").read_text()
        (folder / "params.yaml").write_text(text.replace("x y", "z").replace("one: {", "three: {"))
    second = run_both(projects, monkeypatch)
    assert "each@three:" in second
    assert second != first

    # the parts of other stages are not so much as read
    path = projects[1] / "dvc.lock"
    path.write_text(second.replace("hash: md5", "hash: 'md5'", 1))
    (projects[1] / "params.yaml").write_text(text.replace("x y", "w"))
    assert warm.run_warm(["dvc", "repro", "--quiet"]) == 0
    assert path.read_text().count("hash: 'md5'") == 1

    # and DVC itself writes a file that is not in its own form
    path.write_text("# ours\n" + path.read_text())
    (projects[1] / "params.yaml").write_text(text.replace("x y", "v"))
    assert warm.run_warm(["dvc", "repro", "--quiet"]) == 0
    assert path.read_text().startswith("# ours\n")
    assert path.read_text().count("hash: 'md5'") == 0


def test_the_exit_status_and_the_words_are_dvcs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stages.lib.quick_dvc", "repro"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    own = subprocess.run(["dvc", "repro"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (own.returncode, own.stdout, own.stderr)
    assert own.returncode != 0
