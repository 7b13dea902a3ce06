"""What docs/standin.md says was measured, and the measuring can fail."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.standin.__main__ import DOCUMENT, RESULTS, app
from benchmarks.standin.detection import point_errors
from benchmarks.standin.faces import Faces, draw, labelled
from benchmarks.standin.frequencies import fit_coder, frequencies
from benchmarks.standin.report import BEGIN, END, tables, write_table
from benchmarks.standin.shortcuts import probe, shortcuts
from fer_core.errors import DataError
from fer_core.standin import VERSION, StandinConfig

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def faces() -> Faces:
    config = StandinConfig(scale=0.02, pool=0, clips=0, scene=96)
    return draw(config, labelled(config), workers=1)


def test_the_document_shows_the_figures_that_are_committed():
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))
    assert results["version"] == VERSION
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    assert text.split(BEGIN)[1].split(END)[0].strip() == tables(results)


def test_a_document_without_marks_is_left_alone(tmp_path):
    path = tmp_path / "standin.md"
    path.write_text(f"# Title\n{BEGIN}\n")
    with pytest.raises(DataError, match="marks"):
        write_table(path, {"version": "2", "difficulty": "easy", "seed": 1})
    assert path.read_text() == f"# Title\n{BEGIN}\n"


def test_an_unknown_part_is_told_with_the_nearest(monkeypatch):
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(app, ["shortcut"])
    assert result.exit_code == 1 and "Did you mean 'shortcuts'" in result.output


def test_a_probe_finds_a_shortcut_and_only_that():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(14), 40)
    noise = rng.standard_normal((len(labels), 5))
    assert probe(noise, labels) < 0.13
    told = np.column_stack([noise, labels == 3, labels > 7])
    assert probe(told, labels) > 0.2


def test_faces_drawn_for_the_benchmark_are_the_set_s_own(faces):
    assert faces.crops.shape == (len(faces.planned), 64, 64, 3) and faces.crops.dtype == np.uint8
    assert faces.intensity.shape == (len(faces.planned), 22, 2)
    part = faces.take(np.array([4, 2]))
    assert part.files == [faces.files[4], faces.files[2]] and part.labels.tolist() == faces.labels[[4, 2]].tolist()
    found = shortcuts(faces.take(np.flatnonzero(np.isin(faces.labels, np.flatnonzero(np.bincount(faces.labels) > 5)))))
    assert all(0 <= value <= 1 for value in found.values())


def test_found_points_are_judged_in_eye_distances(faces):
    part = faces.take(np.arange(3))
    points = part.points.astype(float)
    eye = np.linalg.norm(part.points[0, 1] - part.points[0, 0])
    points[0, :, 0] += 0.3 * eye
    points[1] = np.nan
    error = point_errors(part, points)
    assert 0.15 < error[0] <= 0.3 + 1e-6 and error[1] == np.inf and error[2] == 0


def test_the_coder_s_fit_is_the_committed_one():
    from fer_core.standin.coder import THRESHOLDS

    fitted = fit_coder(StandinConfig())
    assert fitted.keys() == THRESHOLDS.keys()
    for number, pair in fitted.items():
        assert pair == pytest.approx(THRESHOLDS[number], abs=0.03), number


def test_frequencies_are_near_raf_ces_at_the_standard_difficulty():
    assert frequencies(StandinConfig())["mean_absolute_difference"] < 0.05
