"""A finished road in which experiments are run, and what they did there."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from real_road import ran

from fer_core.files import read_yaml


class Lab:
    """The finished road under the smoke profile, committed, and what `dvc` does there."""

    def __init__(self, clone: Path, environment: dict[str, str]) -> None:
        self.clone, self.environment = clone, environment

    def shell(self, *command: str) -> str:
        pipe = subprocess.PIPE
        result = subprocess.run(
            command, cwd=self.clone, env=self.environment, stdout=pipe, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert result.returncode == 0, result.stdout[-4000:]
        return result.stdout

    def experiment(self, *arguments: str) -> "Done":
        before = self.recipes()
        return Done(self.shell("dvc", "exp", "run", *arguments), before, self.recipes())

    def recipes(self) -> dict[str, Any]:
        """The resolved recipe of every run that was trained."""
        folders = (self.clone / "data/train").glob("[!.]*/recipe.yaml")
        return {path.parent.name: read_yaml(path) for path in folders}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Every gains table in MLflow: the experiment's name to its rows."""
        script = (
            "import json; from mlflow import MlflowClient; c = MlflowClient('sqlite:///mlflow.db')\n"
            "print('FOUND', json.dumps({e.name: [{**r.data.params, **r.data.tags} for r in "
            "c.search_runs([e.experiment_id], max_results=1000)] for e in c.search_experiments()}))"
        )
        found = self.shell(sys.executable, "-c", script).split("FOUND", 1)[1]
        experiments: dict[str, list[dict[str, Any]]] = json.loads(found)
        return experiments

    def baselines(self) -> dict[str, tuple[str, str]]:
        """Every experiment's gains table in MLflow: its name to the loss and the sampler of its baseline."""
        found = {}
        for name, rows in self.tables().items():
            if name.startswith("gains · "):
                by_name = {row["mlflow.runName"]: row for row in rows}
                # as many as any table has at least: rows of votes depend on what was kept
                assert len(by_name) == len(rows) >= 40, name
                found[name] = (by_name["Baseline"]["loss"], by_name["Baseline"]["sampler"])
        return found


class Done:
    """One experiment: the stages that ran, the runs that were trained, and those whose recipe changed."""

    def __init__(self, output: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        self.output, self.stages = output, ran(output)
        self.trained = set(re.findall(r"^train (\S+?)(?:, seed \d+)?: epoch \d+/\d+", output, re.MULTILINE))
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        self.changed, self.after = changed & set(after), after

    def ran(self, stage: str) -> set[str]:
        return {name.partition("@")[2] for name in self.stages if name.startswith(f"{stage}@")}
