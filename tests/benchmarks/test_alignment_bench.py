"""The benchmark of alignment on a few pictures: it runs, and its figures are what they say. No speed is judged."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.alignment import (
    Encoded,
    app,
    by_align,
    draw,
    from_csv,
    memory,
    one_by_one,
    ours,
    package,
    speed,
    spread,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoded]:
    return draw(6, tmp_path_factory.mktemp("drawn") / "set")


def test_pictures_are_of_the_sizes_they_say(files: dict[str, Encoded]) -> None:
    sizes = {
        kind: {max(cv2.imdecode(np.frombuffer(one, np.uint8), 1).shape[:2]) for one in some}
        for kind, some in files.items()
    }
    assert sizes == {"160 px": {160}, "480 px scene": {480}}
    assert [len(some) for some in files.values()] == [6, 6]


def test_the_three_find_the_same_faces(files: dict[str, Encoded], tmp_path: Path) -> None:
    for some in files.values():
        found = by_align(some, tmp_path), one_by_one(some, ours()), one_by_one(some, package())
        assert found[0] == found[1] >= 5
        assert found[2] >= 4


def test_ratios_are_of_one_round() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2, "least": 1, "most": 3}


def test_speed_tells_what_each_took(files: dict[str, Encoded], tmp_path: Path) -> None:
    row = speed(files["160 px"], 1, tmp_path)
    own, peer = row["align"], row["facenet_pytorch"]
    assert isinstance(own, dict) and isinstance(peer, dict)
    assert own["pictures_per_second"] == pytest.approx(6 / own["median"], rel=0.1)
    ratio = row["times_as_fast_as_facenet_pytorch"]
    assert isinstance(ratio, dict)
    assert ratio["median"] == pytest.approx(peer["median"] / own["median"], rel=0.05)


@pytest.mark.slow
def test_csv_and_memory_run_the_stages(files: dict[str, Encoded], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["emotion,pixels,Usage"]
    for k in range(42):
        pixels = " ".join(map(str, rng.integers(0, 256, 48 * 48)))
        lines.append(f"{k % 7},{pixels},{('Training', 'PublicTest', 'PrivateTest')[k // 14]}")
    (tmp_path / "fer2013.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "work").mkdir()
    row = from_csv(tmp_path / "fer2013.csv", tmp_path / "work")
    assert row["rows"] == 42
    assert isinstance(row["shape"], list) and row["shape"][0] == 42 and row["shape"][3] == 1
    grown = memory(files["480 px scene"], 3, "none", tmp_path)
    crops = grown["crops_mib_12"] - grown["crops_mib_3"]
    assert grown["growth_mib"] == pytest.approx(grown["peak_mib_12"] - grown["peak_mib_3"] - crops, abs=0.06)
    assert 30 < grown["peak_mib_3"] < 4000


@pytest.mark.slow
def test_the_command_writes_what_it_found(tmp_path: Path) -> None:
    out = tmp_path / "alignment.json"
    options = ["--pictures", "4", "--rounds", "1", "--csv", str(tmp_path / "absent.csv"), "--count", "0"]
    result = CliRunner().invoke(app, [*options, "--out", str(out)])
    written = json.loads(out.read_text())
    held = written["held"]
    assert set(held) == {
        f"{kind}, {peer}" for kind in ("160 px", "480 px scene") for peer in ("facenet_pytorch", "one_at_a_time")
    }
    assert result.exit_code == (0 if all(held.values()) else 1), result.output
