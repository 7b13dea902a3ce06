"""dvc.yaml names every module that a stage really imports, and nothing that is not there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.lib import code
from stages.lib.code import code_hash, deps_of, files_of, modules_of

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
def test_the_deps_are_the_import_graph(name: str) -> None:
    module = module_of(name)
    assert module == f"stages.{name}", "a stage's name is its file's name"
    stated = [dep for dep in STAGES[name]["deps"] if dep.split("/")[0] in CODE]
    assert sorted(stated) == deps_of(module), f"`python -m stages.lib.code {name}` prints what dvc.yaml must say"
    assert len(set(STAGES[name]["deps"])) == len(STAGES[name]["deps"]), "named twice"


@pytest.mark.parametrize("name", sorted(STAGES))
def test_no_code_dep_is_missing(name: str) -> None:
    for dep in STAGES[name]["deps"]:
        if dep.split("/")[0] in CODE:
            assert (ROOT / dep).exists(), dep


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
            if dep.split("/")[0] in CODE or dep.startswith("data/raw/"):
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
    assert readers == {"evaluate", "report"}
    chosen = [name for name in EXPANDED if name.split("@")[0] in ("pretrain", "train", "select", "stack", "tta")]
    for name in chosen:
        assert not any(dep.startswith("data/raw") or "test_" in dep for dep in EXPANDED[name]["deps"]), name


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


def test_a_package_is_named_once_and_files_without_code_are_not(repository: Path) -> None:
    (repository / "fer_core/sub/unused.py").write_text("")
    assert deps_of("stages.a") == ["fer_core/one.py", "fer_core/sub", "fer_core/two.py", "stages/a.py"]


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
