"""fer_core runs alone on a GPU machine: it imports no DVC, MLflow, typer and no stage."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = """
import importlib, pkgutil, sys
for name in {blocked}:
    sys.modules[name] = None  # importing it raises ImportError
import fer_core
found = [item.name for item in pkgutil.walk_packages(fer_core.__path__, "fer_core.")]
for name in found:
    importlib.import_module(name)
print(len(found))
"""


def import_everything(blocked: list[str]) -> "subprocess.CompletedProcess[str]":
    script = SCRIPT.format(blocked=blocked)
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)


def test_fer_core_imports_without_dvc_mlflow_typer_and_stages() -> None:
    result = import_everything(["dvc", "mlflow", "typer", "stages"])
    assert result.returncode == 0, result.stderr
    modules = [
        path for path in (ROOT / "fer_core").rglob("*.py") if path.parent.name != "fer_core" or path.stem[0] != "_"
    ]
    assert int(result.stdout) == len(modules), "every module was imported"


def test_only_the_progress_bar_needs_rich() -> None:
    source = {path: path.read_text(encoding="utf-8") for path in (ROOT / "fer_core").rglob("*.py")}
    users = [path.name for path, text in source.items() if "from rich" in text or "import rich" in text]
    assert users == ["progress.py"]


def test_the_check_would_notice() -> None:
    assert import_everything(["torch"]).returncode != 0
