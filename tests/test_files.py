"""A file is whole or absent, and what cannot be read is told by its name."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_core.errors import DataError
from fer_core.files import read_json, read_yaml, replacing, write_json, write_parquet, write_text, write_yaml


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError, match="full"), replacing(target) as temporary:
        temporary.write_text("half of the ne")
        raise RuntimeError("disk full")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_target_is_untouched_until_everything_is_written(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "a.txt"
    with replacing(target) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == target.parent, "a rename is only atomic on one file system"
        assert not target.exists()
    assert target.read_text() == "whole" and list(target.parent.iterdir()) == [target]


def test_what_cannot_be_serialised_does_not_destroy_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"a": 1})
    with pytest.raises(TypeError):
        write_json(target, {"a": object()})
    assert read_json(target) == {"a": 1}


def test_json_is_what_any_reader_accepts(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(
        path,
        {
            "nan": math.nan,
            "infinite": [-math.inf, 1.0],
            "numpy": np.float32(0.5),
            "array": np.array([[1, 2], [3, 4]]),
            "nan inside": np.array([1.0, np.nan]),
            "tuple": (1, None),
            3: "é",
        },
    )

    def refuse(name: str) -> float:
        raise AssertionError(name)

    assert json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse) == {
        "nan": None,
        "infinite": [None, 1.0],
        "numpy": 0.5,
        "array": [[1, 2], [3, 4]],
        "nan inside": [1.0, None],
        "tuple": [1, None],
        "3": "é",
    }
    assert "é" in path.read_text(encoding="utf-8")


def test_yaml_keeps_the_order_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write_yaml(path, {"z": 1, "a": [1, 2], "é": None})
    assert list(read_yaml(path)) == ["z", "a", "é"]
    assert path.read_text(encoding="utf-8").splitlines()[0] == "z: 1"


def test_equal_values_make_equal_bytes(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1, 2], "b": [[0.5], [1.5]]}, index=[7, 8])
    for name in ("one", "two"):
        write_parquet(tmp_path / name, table.copy())
        write_json(tmp_path / f"{name}.json", {"a": 1.5})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert list(pd.read_parquet(tmp_path / "one").columns) == ["a", "b"]


@pytest.mark.parametrize(("read", "broken"), [(read_json, "{"), (read_yaml, "a: [1")])
def test_missing_and_broken_files_are_named(read, broken: str, tmp_path: Path) -> None:
    path = tmp_path / "state"
    with pytest.raises(DataError, match="state does not exist; the stage that writes it has not run"):
        read(path)
    path.write_text(broken)
    with pytest.raises(DataError, match="state is not valid"):
        read(path)
