"""The experiments "gains · <data> · <profile>": each one's run table is one gains table, a run per row.

A table is known by what is in it (tag `fer.table`: a hash of its rows and of what their predictors were made
from), so two tables never mix and none is written twice. The plain name belongs to the table that the workspace
holds now; a table of `dvc exp run` carries the experiment's name, an earlier one of the workspace the time of
its making.
"""

import math
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from fer_core.evaluation.table import kept_text
from stages.lib.store import fingerprint
from stages.tracking.inputs import Inputs, Row
from stages.tracking.note import claimed, note, row_name
from stages.tracking.pictures import Pictures
from stages.tracking.record import Point, Record
from stages.tracking.runs import alarms_of, curves_of, params_of, run_key
from stages.tracking.shortcut import SEAL, seal
from stages.tracking.store import Store
from stages.tracking.view import view_tag

_TABLE = "fer.table"
_LABEL = "fer.label"
_PERCENT = ("accuracy", "uar", "macro_f1")
_POINTS = ("gain", "gain_low", "gain_high", "claimed_low", "claimed_high")


def table_key(inputs: Inputs) -> str:
    """Return the hash of a gains table: the road, its rows, and what every predictor was made from."""
    road = {key: inputs.road.get(key) for key in ("data", "profile", "seed", "notes", "baseline", "phases")}
    return fingerprint({"road": road, "rows": [row_key(inputs, row) for row in inputs.rows]})


def row_key(inputs: Inputs, row: Row) -> str:
    """Return the hash of a row: recipe, members, data and code of its predictor and reference, and figures."""
    made = [inputs.fingerprint(name) for name in (inputs.predictor(row), row.get("reference"))]
    return fingerprint({"row": row, "made": made})


def find_table(store: Store, inputs: Inputs) -> Any | None:
    """Return the experiment that holds this very table, or None."""
    found = store.call("search_experiments", filter_string=f"tags.`{_TABLE}` = '{table_key(inputs)}'")
    return found[0] if found else None


def plain_title(inputs: Inputs) -> str:
    """Return the name of the workspace's own table."""
    return f"gains · {inputs.title}"


def experiment_name() -> str:
    """Return the name of the DVC experiment that runs us; empty in the workspace."""
    return os.environ.get("DVC_EXP_NAME", "")


def gains_experiment(store: Store, inputs: Inputs) -> str:
    """Return the id of this table's experiment, created or renamed as need be."""
    plain, label = plain_title(inputs), experiment_name()
    name = f"{plain} · {label}" if label else plain
    found = find_table(store, inputs)
    if found is None:
        _make_room(store, name, plain)
        tags = {_TABLE: table_key(inputs), _LABEL: label}
        return store.create_experiment(name, tags)
    if found.name != name and not label:  # the workspace went back to it, or applied it
        _make_room(store, name, plain)
        store.call("rename_experiment", found.experiment_id, name)
    return str(found.experiment_id)


def describe(store: Store, inputs: Inputs, experiment_id: str) -> None:
    """Write the experiment's note, saved view and, last of all, seal where they are not as they should be."""
    tags = store.call("get_experiment", experiment_id).tags
    wanted = [("mlflow.note.content", note(inputs, experiment_id)), view_tag(), (SEAL, seal(inputs))]
    for key, value in wanted:
        if tags.get(key) != value:
            store.call("set_experiment_tag", experiment_id, key, value)


def gains_records(inputs: Inputs, pictures: Pictures, links: dict[str, str]) -> list[Record]:
    """Describe the rows in their order; the first carries the report and its pictures.

    `links` leads from a predictor's key to the page of its run, with its weights.
    """
    return [_record(inputs, pictures, links, index, row) for index, row in enumerate(inputs.rows, 1)]


def _record(inputs: Inputs, pictures: Pictures, links: dict[str, str], index: int, row: Row) -> Record:
    predictor = inputs.predictor(row) if row.get("applicable", True) else None
    folder = inputs.folder(predictor) if predictor else None
    files = _reports(inputs) if index == 1 else []
    tags = {key: str(row[key]) for key in ("view", "phase", "technique", "verdict", "reason") if row.get(key)}
    tags |= {"kept": kept_text(row), "claimed": claimed(row), "alarms": alarms_of(row)}
    tags |= {"predictor": predictor or "", "reference": row.get("reference") or ""}
    if predictor and (link := links.get(run_key(inputs, predictor))):
        tags["mlflow.note.content"] = f"Measures [{predictor}]({link}), whose run holds the weights."
    points: list[Point] = [("row", float(index), 0), *_figures(row)]
    return Record(
        name=row_name(row),
        key=row_key(inputs, row),
        seconds=float(row.get("train_seconds") or 0),
        tags={key: value for key, value in tags.items() if value},
        params=params_of(folder) if folder else {},
        points=points + (curves_of(folder) if folder else []),
        files=files,
        draw=lambda: pictures.confusion(predictor),
    )


def _figures(row: Row) -> list[Point]:
    """Return percent and points with one digit, as people read them; what is undefined is left out."""
    found = [(key, row.get(key), 100.0, 1) for key in _PERCENT]
    found += [(key, row.get(key), 1.0, 1) for key in (*_POINTS, "train_seconds")]
    found += [(key, row.get(key), 1.0, 4) for key in ("p_value", "p_adjusted", "nll", "nll_scaled")]
    found += [(key, row.get(key), 100.0, 1) for key in ("uar_common", "macro_f1_common", "ece", "ece_scaled")]
    found += [(key, row.get(key), 1.0, 1) for key in ("seed_sd", "detectable", "gain_per_minute")]
    found += [(key, row.get(key), 1.0, 3) for key in ("seeds", "parameters", "milliseconds_per_face")]
    return [
        (key, round(scale * value, digits), 0)
        for key, value, scale, digits in found
        if value is not None and math.isfinite(value)
    ]


def _reports(inputs: Inputs) -> list[tuple[Path, str]]:
    """Return the table, the page and the figures, each with its folder among the artifacts."""
    reports, slices = inputs.places.reports, inputs.places.metrics / "slices.json"
    found = sorted(path for path in reports.glob("*") if path.suffix in (".md", ".png") or path.name == "index.html")
    found += [slices] if slices.exists() else []
    return [*((path, "") for path in found), *((path, "figures") for path in sorted(reports.glob("figures/*.svg")))]


def _make_room(store: Store, name: str, plain: str) -> None:
    """Give the experiment that holds `name` now the name of its own: its label, or the time of its making."""
    holder = store.call("get_experiment_by_name", name)
    if holder is None:
        return
    deleted = holder.lifecycle_stage == "deleted"  # in MLflow's trash, where it keeps its name
    if deleted:
        store.call("restore_experiment", holder.experiment_id)
    made = datetime.fromtimestamp((holder.creation_time or 0) / 1000)
    label = holder.tags.get(_LABEL) if name == plain else None
    other = f"{plain} · {label or f'{made:%Y-%m-%d %H:%M:%S}'}"
    if other == name or store.call("get_experiment_by_name", other) is not None:
        other += f" · {holder.tags.get(_TABLE, holder.experiment_id)[:6]}"
    store.call("rename_experiment", holder.experiment_id, other)
    if deleted:
        store.call("delete_experiment", holder.experiment_id)
