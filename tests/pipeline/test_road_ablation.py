"""Ablations on the real road: an experiment costs what it changes, has a gains table of its own, and loses nothing."""

import csv
import io
from typing import Any

import pytest
from road_lab import Done, Lab

from fer_core.files import read_json

pytestmark = pytest.mark.slow

BEFORE_PLAN = ("code", "generate", "ingest", "align", "join_aus", "pretrain")


@pytest.fixture(scope="module")
def plain(lab: Lab) -> dict[str, Any]:
    summary: dict[str, Any] = read_json(lab.clone / "metrics/summary.json")
    return summary


@pytest.fixture(scope="module")
def focal(lab: Lab, plain: dict[str, Any]) -> Done:
    return lab.experiment("--name", "focal", "-S", "loss=focal")


def test_another_loss_trains_what_it_changes_and_nothing_upstream(lab: Lab, focal: Done) -> None:
    assert not [name for name in focal.stages if name.split("@")[0] in BEFORE_PLAN]
    assert focal.stages[0] == "plan" and focal.stages[-1] == "track"
    # in the smoke profile no technique sets the loss itself: every run has another recipe now
    assert focal.changed == set(focal.after) and all(recipe["loss"] == "focal" for recipe in focal.after.values())
    assert focal.trained and focal.trained <= focal.changed <= focal.ran("train")
    idle = {path.parent.name for path in (lab.clone / "data/train").glob("*/status.json")} - set(focal.after)
    unplanned = {name for name in idle if name.partition("-")[0] in ("alone", "base")}
    assert unplanned and not unplanned & focal.ran("train"), "a run that does not apply has nothing to do"


def test_equal_recipes_are_trained_once(focal: Done) -> None:
    distinct = {str(sorted(recipe.items())) for recipe in focal.after.values()}
    assert len(focal.trained) == len(distinct)


def test_back_at_the_earlier_loss_nothing_is_trained(lab: Lab, focal: Done, plain: dict[str, Any]) -> None:
    back = lab.experiment("--name", "back", "-S", "loss=ce")
    assert not back.trained and back.changed
    assert read_json(lab.clone / "metrics/summary.json") == plain


@pytest.fixture(scope="module")
def lighter(lab: Lab, focal: Done) -> Done:
    lab.shell("git", "checkout", "--quiet", "--", ".")
    lab.shell("dvc", "checkout", "--quiet")
    return lab.experiment("--name", "lighter", "-S", "roadmap.au_multitask.set.au_weight=0.3")


def test_another_setting_of_one_technique_trains_that_rung_and_what_builds_on_it(lighter: Done) -> None:
    assert not [name for name in lighter.stages if name.split("@")[0] in BEFORE_PLAN]
    assert {"alone-au_multitask", "ladder-au_multitask"} <= lighter.changed
    assert lighter.trained <= lighter.changed
    apart = {"baseline", "alone-face_pretraining", "alone-self_supervised", "base-current", "base-resnet", "base-vit"}
    assert apart <= set(lighter.after) and not apart & lighter.ran("train")
    assert lighter.after["alone-au_multitask"]["au_weight"] == 0.3


def test_experiments_are_listed_with_the_summarys_columns(lab: Lab, focal: Done, lighter: Done) -> None:
    shown = list(csv.DictReader(io.StringIO(lab.shell("dvc", "exp", "show", "--csv", "--precision", "10"))))
    rows = {row["Experiment"]: row for row in shown}
    assert {"focal", "lighter"} <= set(rows)
    for key, value in read_json(lab.clone / "metrics/summary.json").items():
        assert value is None or float(rows["lighter"][key]) == pytest.approx(value), key
    assert rows["focal"]["loss"] == "focal" and rows["lighter"]["loss"] == "ce"


def test_every_experiment_has_one_gains_table_of_its_own(lab: Lab, focal: Done, lighter: Done) -> None:
    # the road itself, to which "back" led, and "lighter" have the same baseline
    assert sorted(lab.baselines().values()) == [("ce", "weighted"), ("ce", "weighted"), ("focal", "weighted")]
    (rows,) = [rows for name, rows in lab.tables().items() if name.endswith("lighter")]
    (row,) = [row for row in rows if row["mlflow.runName"] == "alone: AU multi-task"]
    assert row["au_weight"] == "0.3"
