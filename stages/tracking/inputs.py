"""What the other stages left, read once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_core.errors import DataError
from fer_core.files import read_json, read_yaml
from stages.lib.predictors import predictor_folders

Row = dict[str, Any]
KINDS = ("train", "stack", "tta", "clips", "without")


@dataclass(frozen=True)
class Places:
    """Where the files stand that `track` reads."""

    data: Path
    plans: Path
    metrics: Path
    reports: Path


@dataclass(frozen=True)
class Inputs:
    """The gains table, the scores and the road that they belong to.

    Attributes:
        rows: the gains table, in its order.
        runs: predictor ("train/baseline") to its scores and alarms.
        summary: the flat dictionary that `dvc metrics` shows.
        road: data, profile, notes, phases and techniques.
        statuses: predictor to its status.json.
        synthesis: how good the synthetic faces are.
    """

    places: Places
    rows: list[Row]
    runs: dict[str, Row]
    summary: Row
    road: Row
    statuses: dict[str, Row]
    synthesis: Row

    @property
    def title(self) -> str:
        """The data and the profile, as MLflow's experiments are called after them."""
        return f"{self.road['data']} · {self.road['profile']}"

    def folder(self, predictor: str) -> Path:
        """Return the folder of a predictor."""
        return self.places.data / predictor

    def done(self) -> list[str]:
        """Return the predictors that have results: trained ones, then stacks, TTA and models of clips."""
        return [name for name, status in self.statuses.items() if status.get("state") == "done"]

    def fingerprint(self, predictor: str | None) -> str | None:
        """Return what a predictor was made from (recipe, members, data, code), as one hash."""
        return self.statuses.get(predictor or "", {}).get("fingerprint")

    def predictor(self, row: Row) -> str | None:
        """Return the predictor that a row of the gains table measures; None for one that does not apply."""
        named = row.get("predictor") or row.get("candidate")
        if named:
            return str(named)
        if row["technique"] == "baseline":
            return "train/baseline"
        technique = self.road["techniques"].get(row["technique"], {})
        name = technique.get("alone" if row["view"] == "alone" else "candidate")
        return str(name) if name and row.get("applicable", True) else None


def read_inputs(places: Places) -> Inputs:
    """Read everything that MLflow shows.

    Raises:
        DataError: a file is missing or is not what the stage before promises.
    """
    rows = read_json(places.metrics / "gains.json")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "technique" in row for row in rows):
        raise DataError(f"Expected {places.metrics / 'gains.json'} to be a list of rows with `technique`.")
    summary = places.metrics / "summary.json"
    return Inputs(
        places=places,
        rows=rows,
        runs=read_json(places.metrics / "runs.json"),
        summary=read_json(summary) if summary.exists() else {},
        road=read_yaml(places.plans / "road.yaml"),
        statuses={
            name: read_json(folder / "status.json")
            for name, folder in predictor_folders(places.data, KINDS).items()
            if (folder / "status.json").exists()
        },
        synthesis=read_json(places.metrics / "synthesis.json"),
    )
