"""An experiment as `fer compare` needs it: its table, its answers to every test face, its parameters."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_core.errors import DataError
from fer_core.evaluation.compare_faces import Side
from stages.lib.revisions import Revision, read_output, read_tracked

GAINS, FACES, ABOUT = "metrics/gains.json", "data/evaluate/faces.parquet", "data/evaluate/about.json"
PARAMS, LOCK = "params.yaml", "dvc.lock"
ABSENT = "not set"


@dataclass(frozen=True)
class Experiment:
    """What a revision holds.

    Attributes:
        side: table and answers.
        params: params.yaml, flat: "gan.epochs" -> 30.
        stale: parameters that differ from those that the results were made with: key -> (then, now).
    """

    side: Side
    params: dict[str, Any]
    stale: dict[str, tuple[Any, Any]]


def read_experiment(root: Path, revision: Revision) -> Experiment:
    """Read a revision's files.

    Raises:
        DataError: a file is missing or broken; says which one, of which revision, and what to run.
    """
    import pandas as pd

    def missing(path: str, stage: str) -> DataError:
        do = "`dvc repro` makes it" if revision.commit is None else "check it out, `dvc repro`, and commit"
        return DataError(f"{revision.name} has no {path}, which the stage {stage} writes; {do}.")

    gains = read_tracked(root, revision, GAINS)
    if gains is None:
        raise missing(GAINS, "report")
    found = {}
    for path in (ABOUT, FACES):
        content = read_output(root, revision, path)
        if content is None:
            raise missing(path, "evaluate")
        found[path] = content
    try:
        faces = pd.read_parquet(io.BytesIO(found[FACES]))
    except (OSError, ValueError) as error:
        raise DataError(f"{revision.name}: {FACES} is no Parquet file: {error}.") from None
    params = _yaml(root, revision, PARAMS)
    rows, about = _json(gains, revision, GAINS), _json(found[ABOUT], revision, ABOUT)
    side = Side(revision.name, rows, faces, about, int(params.get("seeds", 1)))
    return Experiment(side, flat(params), stale_params(params, _yaml(root, revision, LOCK)))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys as dotted ones; lists and empty mappings stay whole.

    Example:
        >>> flat({"a": {"b": 1, "c": {}}, "d": [2]})
        {'a.b': 1, 'a.c': {}, 'd': [2]}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        nested = flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
        found |= nested
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the keys whose values differ: key -> (before, after); `ABSENT` where one side lacks it.

    Example:
        >>> changes({"loss": "ce", "lr": 0.1}, {"loss": "cb", "lr": 0.1, "ema": 0.9})
        {'loss': ('ce', 'cb'), 'ema': ('not set', 0.9)}
    """
    keys = dict.fromkeys([*before, *after])
    pairs = {key: (before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def stale_params(params: Mapping[str, Any], lock: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the parameters in which params.yaml differs from what dvc.lock says that the stages ran with.

    Keys of which dvc.lock has several values, as after a part of the road was run, are told with the first that
    differs.
    """
    found: dict[str, tuple[Any, Any]] = {}
    now = flat(params)
    for stage in (lock.get("stages") or {}).values():
        for key, then in ((stage.get("params") or {}).get(PARAMS) or {}).items():
            before = flat({key: then})
            after = {name: value for name, value in now.items() if name == key or name.startswith(f"{key}.")}
            for name, pair in changes(before, after).items():
                found.setdefault(name, pair)
    return found


def _yaml(root: Path, revision: Revision, path: str) -> dict[str, Any]:
    """Read YAML as DVC does: 1e-5 is a number to it, and a text to PyYAML."""
    from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml

    content = read_tracked(root, revision, path)
    if content is None:
        return {}
    try:
        found = parse_yaml(content.decode("utf-8"), f"{revision.name}: {path}")
    except (YAMLFileCorruptedError, UnicodeDecodeError) as error:
        raise DataError(f"{revision.name}: {path} is not valid YAML: {error}.") from None
    return found if isinstance(found, dict) else {}


def _json(content: bytes, revision: Revision, path: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise DataError(f"{revision.name}: {path} is not valid JSON: {error}.") from None
