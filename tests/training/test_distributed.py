"""Two processes train as one does: the same curve, every validation face once, one writer."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from two_processes import RECIPES, main

from fer_core.training import distributed

HERE = Path(__file__).parent
TIMES = {"seconds"}


def launch(out: Path, names: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    return subprocess.run(
        [*command, str(HERE / "two_processes.py"), str(out), *names],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    done = launch(two, list(RECIPES))
    assert done.returncode == 0, done.stderr[-3000:]
    main(one, list(RECIPES))
    return one, two


def read(folder: Path, name: str, process: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / f"{name}-{process}.pt", weights_only=True)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_have_the_curve_of_one(name: str, both: tuple[Path, Path]) -> None:
    one, two = both
    alone, together = read(one, name), read(two, name)
    assert len(alone["history"]) == len(together["history"]) == 2
    for row, other in zip(alone["history"], together["history"], strict=True):
        expected = {key: value for key, value in row.items() if key not in TIMES}
        assert {key: value for key, value in other.items() if key not in TIMES} == pytest.approx(
            expected, rel=1e-3, abs=1e-4
        )
    weights, others = (load_file(folder / f"{name}.safetensors") for folder in both)
    for key, value in weights.items():
        torch.testing.assert_close(others[key], value, rtol=5e-3, atol=5e-4, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_process_knows_the_same_and_the_first_writes(name: str, both: tuple[Path, Path]) -> None:
    first, second = (read(both[1], name, process) for process in (0, 1))
    for row, other in zip(first["history"], second["history"], strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}
    assert first["best"] == second["best"]
    assert sorted(path.name for path in (both[1] / name / "work").iterdir()) == ["last.pt", "previous.pt"]


@pytest.fixture
def of_three(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(distributed, "world", lambda: 3)
    return monkeypatch


@pytest.mark.parametrize("count", [3, 4, 5, 17, 64])
@pytest.mark.parametrize("most", [1, 2, 100])
def test_shares_and_pieces_cover_every_picture_once(count: int, most: int, of_three: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    numbers = set()
    for process in range(3):
        of_three.setattr(distributed, "rank", lambda process=process: process)
        parts, factor = distributed.pieces(count, most)
        assert factor == 1
        numbers.add(len(parts))
        assert [parts[0].start, parts[-1].stop] == [distributed.share(count).start, distributed.share(count).stop]
        rows += [row for part in parts for row in range(part.start, part.stop)]
    assert rows == list(range(count))
    assert len(numbers) == 1  # batch norms meet as often in every process


def test_a_batch_smaller_than_the_processes_is_everyones(of_three: pytest.MonkeyPatch) -> None:
    for process in range(3):
        of_three.setattr(distributed, "rank", lambda process=process: process)
        assert distributed.pieces(2, 100) == ([slice(0, 2)], pytest.approx(1 / 3))


def test_alone_nothing_is_sent() -> None:
    gradient = torch.nn.Parameter(torch.ones(2))
    gradient.grad = torch.ones(2)
    distributed.sum_gradients([gradient])
    rows = torch.arange(4)
    assert gradient.grad.tolist() == [1, 1]
    assert distributed.gathered(rows, 4) is rows
    assert distributed.summed(rows) is rows
    assert distributed.from_first("x") == "x"
    assert (distributed.rank(), distributed.world(), distributed.share(5)) == (0, 1, slice(0, 5))
