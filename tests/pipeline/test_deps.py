"""dvc.yaml names what a stage really reads, its own code included, and nothing that is not there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer_core.errors import ConfigError
from fer_core.files import read_json
from stages.lib import code
from stages.lib.code import code_hash, file_hashes, files_of, modules_of

ROOT = Path(__file__).parents[2]
DAG: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, Any] = {name: entry.get("do", entry) for name, entry in DAG["stages"].items()}
CODE = ("fer_core", "stages")


def module_of(name: str) -> str:
    match = re.match(r"python -m (stages\.\w+)", STAGES[name]["cmd"])
    assert match, f"{name} does not run a module of stages/"
    return match.group(1)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_every_stage_depends_on_its_own_code_and_on_no_other(name: str) -> None:
    assert module_of(name) == f"stages.{name}", "a stage's name is its file's name"
    deps = STAGES[name]["deps"]
    stated = [dep for dep in deps if dep.split("/")[0] in CODE or dep.startswith("data/code")]
    assert stated == (["fer_core", "stages"] if name == "code" else [f"data/code/{name}.json"])
    assert len(set(deps)) == len(deps), "named twice"


def _expanded(key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every stage of one key, `${...}` filled in as DVC does."""
    entry = DAG["stages"][key]
    over = entry.get("foreach")
    if over is None:
        yield key, entry
        return
    items = PARAMS[over.strip("${}")] if isinstance(over, str) else over
    pairs = items.items() if isinstance(items, dict) else ((item, item) for item in items)
    for name, item in pairs:
        text = yaml.safe_dump(entry["do"], width=10_000).replace("${key}", str(name))
        if isinstance(item, dict):
            for field, value in item.items():
                text = text.replace(f"${{item.{field}}}", str(value))
        else:
            text = text.replace("${item}", str(item))
        yield f"{key}@{name}", yaml.safe_load(text)


EXPANDED = dict(pair for key in DAG["stages"] for pair in _expanded(key))


def outs_of(entry: dict[str, Any]) -> list[str]:
    listed = [*entry.get("outs", []), *entry.get("metrics", [])]
    return [next(iter(item)) if isinstance(item, dict) else item for item in listed]


def test_every_data_dep_is_some_stages_out() -> None:
    """A dep that nothing makes would be a file that DVC demands and nobody has."""
    outs = [Path(out) for entry in EXPANDED.values() for out in outs_of(entry)]
    for name, entry in EXPANDED.items():
        for dep in entry["deps"]:
            if dep in CODE or dep.startswith("data/raw/"):
                continue
            path = Path(dep)
            made = any(out == path or out in path.parents or path in out.parents for out in outs)
            assert made, f"{name} depends on {dep}, which no stage makes"


def test_every_plan_is_read_from_where_the_roadmap_puts_it() -> None:
    for run, entry in PARAMS["runs"].items():
        stage = EXPANDED[f"train@{run}"]
        assert f"{entry['source']}/{run}.yaml" in stage["deps"]
        assert f"--plan {entry['source']}/{run}.yaml" in stage["cmd"]
        assert outs_of(stage) == [f"data/train/{run}"]
    for rung, entry in PARAMS["ladder"].items():
        deps = EXPANDED[f"select@{rung}"]["deps"]
        assert f"{entry['after']}/state.yaml" in deps and f"data/{entry['candidate']}" in deps


def test_the_ladder_is_a_chain() -> None:
    before = "plans"
    for rung, entry in PARAMS["ladder"].items():
        assert entry["after"] == before
        before = f"data/select/{rung}"


def test_the_test_splits_truth_is_read_by_evaluation_alone() -> None:
    """No stage that trains or chooses may depend on a file, or a folder, that holds a test label."""
    locked = {"data/ingest/test_truth.parquet", "data/join_aus/test_aus.parquet", "data/ingest", "data/join_aus"}
    readers = {name.split("@")[0] for name, entry in EXPANDED.items() if locked & set(entry["deps"])}
    assert readers == {"evaluate", "report", "page"}
    choosing = ("plan", "pretrain", "synthesise", "train", "train_clips", "select", "leave_one_out", "stack", "tta")
    chosen = [name for name in EXPANDED if name.split("@")[0] in choosing]
    for name in chosen:
        assert not any(
            dep.startswith(("data/raw", "data/evaluate")) or "test_" in dep for dep in EXPANDED[name]["deps"]
        ), name


def test_every_params_key_exists() -> None:
    for name, entry in EXPANDED.items():
        for key in entry.get("params", []):
            place: Any = PARAMS
            for part in key.replace("${profile}", PARAMS["profile"]).split("."):
                assert part in place, f"{name}: {key}"
                place = place[part]


def test_no_top_level_key_is_read_by_nobody() -> None:
    listed = {key.split(".")[0] for entry in EXPANDED.values() for key in entry.get("params", [])}
    assert set(PARAMS) == listed, "each key triggers the stages that it concerns"


def run_help(name: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", f"stages.{name}", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def helps() -> dict[str, "subprocess.CompletedProcess[str]"]:
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(STAGES, pool.map(run_help, STAGES), strict=True))


@pytest.mark.parametrize("name", sorted(STAGES))
def test_help_reads_well(name: str, helps: dict[str, Any]) -> None:
    result = helps[name]
    assert result.returncode == 0, result.stderr
    words = " ".join(re.sub("[╭╮╰╯─│]", " ", result.stdout).split())
    assert "Usage: python -m stages." in words and "--debug" in words
    assert re.search(r"[A-Z][a-z].*\.", words.split("Options")[0].split("Usage")[1]), "says what it does"
    outs = [out.split("${")[0].rstrip("/") for out in outs_of(STAGES[name])]
    folders = [f"[default: {out.rsplit('/', 1)[0]}]" for out in outs]
    assert not outs or any(out in words for out in (*outs, *folders)), f"names none of its outputs, {outs}"


@pytest.mark.parametrize("name", sorted(STAGES))
def test_the_head_of_the_file_says_what_it_reads_and_writes(name: str) -> None:
    text = (ROOT / "stages" / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
    assert "Read" in text and "Writes" in text


# ---- the import graph itself, on a made-up repository


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    files = {
        "stages/__init__.py": '"""Stages."""',
        "stages/a.py": "from fer_core.one import f\nimport os\ndef g():\n    from fer_core.sub import deep\n",
        "fer_core/__init__.py": "",
        "fer_core/one.py": "import fer_core.two\n",
        "fer_core/two.py": "from fer_core import one\n",  # a circle
        "fer_core/unused.py": "",
        "fer_core/sub/__init__.py": "",
        "fer_core/sub/deep.py": "from typing import TYPE_CHECKING\n",
        "fer_core/half/__init__.py": "",
        "fer_core/half/left_out.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    code._imports.cache_clear()
    yield tmp_path
    code._imports.cache_clear()


def test_imports_are_followed_also_inside_functions_and_in_circles(repository: Path) -> None:
    assert files_of("stages.a") == [
        "fer_core/__init__.py",
        "fer_core/one.py",
        "fer_core/sub/__init__.py",
        "fer_core/sub/deep.py",
        "fer_core/two.py",
        "stages/__init__.py",
        "stages/a.py",
    ]
    assert modules_of("fer_core.sub.deep") == ["fer_core", "fer_core.sub", "fer_core.sub.deep"]


def test_the_hashes_of_a_stage_change_with_its_own_files_only(repository: Path) -> None:
    before = file_hashes("stages.a")
    (repository / "fer_core/unused.py").write_text("X = 1\n")
    assert file_hashes("stages.a") == before
    (repository / "fer_core/two.py").write_text("X = 1\n")
    after = file_hashes("stages.a")
    assert {name for name in after if after[name] != before[name]} == {"fer_core/two.py"}


def test_code_that_does_not_parse_is_named(repository: Path) -> None:
    (repository / "fer_core/two.py").write_text("def f(:\n")
    code._imports.cache_clear()
    with pytest.raises(ConfigError, match=r"fer_core/two.py is no valid Python.*line 1"):
        file_hashes("stages.a")


def test_the_stage_code_writes_what_each_stage_imports(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stages.code", "--out", str(tmp_path / "code")]
    subprocess.run(command, cwd=ROOT, check=True)
    written = {path.stem: read_json(path) for path in (tmp_path / "code").iterdir()}
    assert written == {name: file_hashes(f"stages.{name}") for name in STAGES}
    assert "fer_core/losses/ldam.py" in written["train"] and "fer_core/losses/ldam.py" not in written["evaluate"]


def test_a_stage_without_a_script_is_named(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {mine: {cmd: python -m stages.mine}}")
    command = [
        sys.executable,
        "-m",
        "stages.code",
        "--dag",
        str(tmp_path / "dvc.yaml"),
        "--out",
        str(tmp_path / "code"),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "a stage `mine`, but there is no mine.py" in result.stderr
    assert not (tmp_path / "code").exists()


def test_the_code_hash_follows_what_is_imported_and_nothing_else(repository: Path) -> None:
    before = code_hash("stages.a")
    for name in ("fer_core/unused.py", "fer_core/half/left_out.py", "stages/a.py"):
        with (repository / name).open("a") as file:
            file.write("# changed\n")
    assert code_hash("stages.a") == before, "neither an unused module nor a stage's script decides a number"
    (repository / "fer_core/sub/deep.py").write_text("X = 2\n")
    assert code_hash("stages.a") != before


@pytest.mark.parametrize(("folder", "key"), [("train", "runs"), ("select", "ladder")])
def test_git_ignores_the_output_of_every_run_and_rung(folder: str, key: str) -> None:
    """DVC adds what is missing when a stage first runs; a `git checkout` would then make that output untracked."""
    ignored = (ROOT / "data" / folder / ".gitignore").read_text(encoding="utf-8").split()
    assert {f"/{name}" for name in PARAMS[key]} <= set(ignored)
