"""`fer predict`: a run's folder alone tells how a picture's face is cut, and what the answer means."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from small_project import CLASSES, Project
from typer.testing import CliRunner

from fer_core.errors import DataError
from fer_core.files import read_json, read_yaml
from fer_core.prediction import Predictor
from stages import fer, train


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    from stages import plan

    project = Project(tmp_path_factory.mktemp("project"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        for app, arguments in ((plan.app, []), (train.app, ["alone-au_multitask", "--plan", PLAN])):
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, result.output
    return project


PLAN = "plans/alone-au_multitask.yaml"


@pytest.fixture
def run(project: Project, tmp_path: Path) -> Path:
    """The run's folder, taken away from all the rest."""
    return Path(shutil.copytree(project.root / "data/train/alone-au_multitask", tmp_path / "run"))


def write_pictures(project: Project, folder: Path, rows: list[int]) -> list[Path]:
    folder.mkdir()
    paths = []
    for row in rows:
        paths.append(folder / f"{project.table['sample_id'][row]}.png")
        cv2.imwrite(str(paths[-1]), project.pixels[row])
    return paths


def test_answers_are_those_that_the_training_stage_wrote(project: Project, run: Path, tmp_path: Path) -> None:
    told = pd.read_parquet(run / "predictions.parquet").set_index("sample_id")
    rows = [k for k, name in enumerate(project.table["sample_id"]) if name in told.index][:20]
    write_pictures(project, tmp_path / "new", rows)
    result = CliRunner().invoke(fer.app, ["predict", str(run), str(tmp_path / "new"), "--csv", str(tmp_path / "a.csv")])
    assert result.exit_code == 0, result.output
    found = pd.read_csv(tmp_path / "a.csv")
    assert found["picture"].tolist() == sorted(str(tmp_path / "new" / f"s{row:03d}.png") for row in rows)
    assert list(found.columns) == ["picture", "reason", *CLASSES, "AU1", "AU4"]
    for _, answer in found.iterrows():
        expected = told.loc[Path(answer["picture"]).stem]
        logs = np.array(list(expected["log_probabilities"]))
        np.testing.assert_allclose(np.log(answer[CLASSES].to_numpy(float)), logs, atol=2e-4)
        np.testing.assert_allclose(answer[["AU1", "AU4"]].to_numpy(float), expected["au_probabilities"], atol=1e-4)


def test_a_picture_that_cannot_be_read_is_told_and_stops_nothing(project: Project, run: Path, tmp_path: Path) -> None:
    good = write_pictures(project, tmp_path / "new", [40])[0]
    (tmp_path / "new" / "a.png").write_bytes(b"no picture")
    result = CliRunner().invoke(fer.app, ["predict", str(run), str(tmp_path / "new" / "a.png"), str(good)])
    assert result.exit_code == 0, result.output
    first, second = result.stdout.strip().splitlines()
    assert first.startswith(f"{tmp_path / 'new' / 'a.png'}: ") and "decode" in first
    assert any(name in second for name in CLASSES)


def test_the_alignment_of_the_run_decides_not_that_of_the_road(project: Project, run: Path) -> None:
    told = read_json(run / "alignment.json")
    assert told == read_json(project.root / "data/align/alignment.json")
    (run / "alignment.json").write_text((run / "alignment.json").read_text().replace('"size": 32', '"size": 48'))
    predict = Predictor(run)
    picture = cv2.imencode(".png", project.pixels[40])[1].tobytes()
    crop = predict._align([picture])[0]
    assert isinstance(crop, np.ndarray) and crop.shape[:2] == (48, 48)


def test_what_is_no_run_is_told(tmp_path: Path, run: Path) -> None:
    with pytest.raises(DataError, match="folder of a trained run"):
        Predictor(tmp_path)
    (run / "labels.json").unlink()
    with pytest.raises(DataError, match=r"labels\.json does not exist"):
        Predictor(run)
    for paths, message in ((["none.jpg"], "none.jpg does not exist"), ([str(tmp_path)], "")):
        result = CliRunner().invoke(fer.app, ["predict", str(run), *paths])
        assert result.exit_code == (1 if message else result.exit_code) and message in result.output


def test_every_run_has_what_predicting_needs(run: Path) -> None:
    assert read_json(run / "labels.json") == {"classes": CLASSES, "vote_names": None, "au_names": ["AU1", "AU4"]}
    assert read_yaml(run / "recipe.yaml")["au_weight"] == 0.5
