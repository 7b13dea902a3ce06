"""Stages that train nothing start without PyTorch, MLflow waits until something is written: seconds a stage."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages.lib.code import modules_of

ROOT = Path(__file__).parents[2]
NEED_TORCH = {"pretrain", "synthesise", "train", "train_clips", "tta", "leave_one_out", "judge"}
# a detector of faces that has to be asked for: what it imports is waited for then
DETECTORS = {"fer_core.faces.mtcnn"}
LIGHT = [name for name in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"] if name not in NEED_TORCH]
IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*[name for name in ("torch", "timm", "mlflow") if name in sys.modules])
"""


def imported(modules: list[str]) -> list[str]:
    """Import them all, with what stands inside their functions too if `modules` names it; return what is heavy."""
    command = [sys.executable, "-c", IMPORT, *modules]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("stage", LIGHT)
def test_a_stage_that_trains_nothing_imports_no_torch_however_deep(stage: str) -> None:
    modules = [name for name in modules_of(f"stages.{stage}") if name not in DETECTORS]
    assert f"stages.{stage}" in modules
    assert imported(modules) == []


def test_the_test_sees_torch_where_it_is() -> None:
    assert imported(["fer_core.models"]) == ["torch", "timm"]


def test_the_processes_that_draw_faces_import_no_classifier() -> None:
    script = "import sys, fer_core.standin.writing; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
