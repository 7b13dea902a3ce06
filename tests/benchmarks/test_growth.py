"""The benchmark of growth on a few rows: every case runs, and the figures are what they say. No time is judged."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import growth
from benchmarks.growth_cases import CASES, small_copies, table
from fer_core.datasets.ingest import split_truth
from fer_core.errors import DataError
from fer_core.manifest import validate


@pytest.mark.parametrize("case", CASES)
def test_every_case_runs_on_a_few_rows(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_core.faces import align

    monkeypatch.setattr(align, "Cutter", align.Cutter)  # the case puts another in its place
    CASES[case](700, tmp_path)()


def test_the_made_up_manifest_is_one_as_ingest_writes_it() -> None:
    made = table(3000)
    validate(split_truth(made)[0], "ingest", 7)
    alone = made["subject"].isna().mean()
    assert 0.6 < alone < 0.73
    assert set(made["split"]) == {"train", "validation", "test"}
    per_person = made["subject"].value_counts()
    assert 10 < per_person.median() < 30


def test_one_picture_in_thirty_is_a_copy() -> None:
    flat = small_copies(900).reshape(900, -1).astype(float)
    correlation = np.triu(np.corrcoef(flat), 1)
    plain = int((correlation > 0.95).sum())
    assert 5 <= plain <= 40, "30 copies are expected, half of them mirrored, and some copies of copies"


def test_memory_is_that_of_the_process_and_its_peak_can_be_forgotten() -> None:
    held = np.ones(8 * 2**20)  # 64 MiB
    before = growth.memory("VmRSS")
    peak = growth.memory("VmHWM")
    del held
    growth.forget_peak()
    assert before - growth.memory("VmHWM") > 48 and peak >= before - 1


def test_the_exponent_is_of_the_two_largest_sizes() -> None:
    assert growth.exponent({100: 7.0, 1000: 1.0, 10_000: 100.0}) == 2.0
    assert growth.exponent({10_000: 30.0, 1000: 3.0}) == 1.0
    assert growth.exponent({1000: 3.0}) is None


def test_a_run_writes_a_result_and_prints_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def apart(case: str, rows: int) -> dict[str, float]:
        asked.append((case, rows))
        return {"seconds": 1.0, "cpu_seconds": rows / 1000, "there_mib": 200.0, "growth_mib": 12.34567}

    monkeypatch.setattr(growth, "apart", apart)
    out = tmp_path / "growth.json"
    done = CliRunner().invoke(growth.app, ["--rows", "1000,2000", "--cases", "load,splits", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert asked == [("load", 1000), ("load", 2000), ("splits", 1000), ("splits", 2000)]
    assert done.output.splitlines()[2].split() == ["load", "2,000", "2.00", "1,000", "200", "12", "1.00"]
    result = json.loads(out.read_text())
    assert result["load"]["exponent"] == 1.0 and result["load"]["sizes"]["2000"]["growth_mib"] == 12.346


def test_a_case_apart_measures_itself_and_an_unknown_one_is_told() -> None:
    found = growth.apart("splits", 500)
    assert found["cpu_seconds"] > 0 and found["there_mib"] > 50
    result = CliRunner().invoke(growth.app, ["--cases", "split"])
    assert isinstance(result.exception, DataError) and "got 'split'" in str(result.exception)
