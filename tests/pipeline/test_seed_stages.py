"""Several seeds of a run, and the final recipe without each of its techniques."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_project import Project
from test_stages import call, candidate, files, on_the_cpu, planned, project, run, select, train, trained  # noqa: F401

from fer_core.files import read_json, read_yaml, write_yaml

SEEDS = ("train/baseline", "train/baseline/seed-1", "train/baseline/seed-2")


def test_the_baseline_has_three_seeds_and_every_other_run_as_many_as_asked_for(planned: Project) -> None:  # noqa: F811
    assert read_yaml(Path("plans/baseline.yaml"))["seeds"] == 3
    assert read_yaml(Path("plans/alone-au_multitask.yaml"))["seeds"] == 1
    planned.write_params(seeds=5)
    run("plan")
    assert read_yaml(Path("plans/baseline.yaml"))["seeds"] == 5
    assert read_yaml(Path("plans/alone-au_multitask.yaml"))["seeds"] == 5


def test_every_seed_is_a_training_of_its_own_and_the_first_is_the_run(planned: Project) -> None:  # noqa: F811
    told = train("baseline")
    folders = [Path("data") / name for name in SEEDS]
    statuses = [read_json(folder / "status.json") for folder in folders]
    assert [status["seed"] for status in statuses] == [0, 1, 2]
    assert len({status["fingerprint"] for status in statuses}) == 3
    assert [read_yaml(folder / "recipe.yaml")["seed"] for folder in folders] == [0, 1, 2]
    logs = [np.stack(pd.read_parquet(folder / "predictions.parquet")["log_probabilities"]) for folder in folders]
    assert not np.array_equal(logs[0], logs[1]) and not np.array_equal(logs[1], logs[2])
    assert "baseline, seed 2" in told or "seed 2" in told
    planned.write_params(seed=1)
    run("plan")
    again = train("baseline")
    assert again.count("trained before") == 2, "seeds 1 and 2 of the other road are these"
    second = pd.read_parquet("data/train/baseline/predictions.parquet")
    assert np.array_equal(np.stack(second["log_probabilities"]), logs[1])
    assert not Path("data/train/baseline/seed-3").exists()


def test_fewer_seeds_leave_nothing_of_more(planned: Project) -> None:  # noqa: F811
    planned.write_params(seeds=4)
    run("plan")
    train("baseline")
    assert Path("data/train/baseline/seed-3/status.json").exists()
    planned.write_params(seeds=1)
    run("plan")
    train("baseline")
    assert sorted(path.name for path in Path("data/train/baseline").glob("seed-*")) == ["seed-1", "seed-2"]


@pytest.mark.parametrize("wrong", ["0", "-1", "two"])
def test_a_wrong_number_of_seeds_is_told(wrong: str, planned: Project) -> None:  # noqa: F811
    planned.write_params(seeds=wrong)
    result = call("plan")
    assert result.exit_code == 1 and "`seeds`" in result.output


# ---- what a rung is kept by


def accuracies(name: str, *rights: float) -> None:
    """Seeds of a predictor that are right on these shares of the validation pictures."""
    for index, right in enumerate(rights):
        candidate(name if index == 0 else f"{name}/seed-{index}", right, seed=index)


def test_a_rung_that_loses_less_than_a_standard_error_stays(planned: Project) -> None:  # noqa: F811
    candidate("train/baseline", 0.75)
    select("baseline", "plans", "train/baseline")
    candidate("train/ladder-au_multitask", 0.65, seed=1)
    state = select("au_multitask", "data/select/baseline", "train/ladder-au_multitask")
    seen = state["validation"]
    assert seen["before"] - seen["error"] <= seen["score"] < seen["before"], "otherwise this test says nothing"
    assert state["kept"]
    candidate("train/ladder-au_multitask", 0.4, seed=1)
    state = select("au_multitask", "data/select/baseline", "train/ladder-au_multitask")
    assert state["validation"]["score"] < state["validation"]["before"] - state["validation"]["error"]
    assert not state["kept"]


def test_with_several_seeds_a_rung_is_judged_by_their_mean(planned: Project) -> None:  # noqa: F811
    planned.write_params(seeds=3)
    run("plan")
    accuracies("train/baseline", 0.2, 0.9, 0.9)
    first = select("baseline", "plans", "train/baseline")
    assert 0.55 < first["validation"]["score"] < 0.8
    accuracies("train/ladder-au_multitask", 0.5, 0.5, 0.5)
    state = select("au_multitask", "data/select/baseline", "train/ladder-au_multitask")
    assert not state["kept"], "better than the first seed, worse than the mean"


def test_with_one_seed_the_baselines_other_seeds_do_not_count(planned: Project) -> None:  # noqa: F811
    accuracies("train/baseline", 0.2, 0.9, 0.9)
    assert select("baseline", "plans", "train/baseline")["validation"]["score"] < 0.4


# ---- leave-one-out


def final_state(*kept: str) -> dict[str, object]:
    from fer_core.recipe import merged

    road = read_yaml(Path("plans/road.yaml"))
    recipe = road["baseline"]
    for name in kept:
        recipe = merged(recipe, road["techniques"][name]["set"])
    write_yaml(Path("state.yaml"), {"kept_rungs": ["baseline", *kept], "recipe": recipe})
    return dict(recipe)


def test_leave_one_out_trains_the_recipe_without_each_technique(planned: Project) -> None:  # noqa: F811
    planned.write_params(leave_one_out="true")
    run("plan")
    final_state("au_multitask", "optimisation", "ensemble")
    assert "2 recipes" in run("leave_one_out", "--state", "state.yaml")
    assert sorted(path.name for path in Path("data/without").iterdir()) == ["au_multitask", "optimisation"]
    without = read_yaml(Path("data/without/au_multitask/recipe.yaml"))
    assert (without["au_weight"], without["ema"]) == (0.0, 0.99)
    without = read_yaml(Path("data/without/optimisation/recipe.yaml"))
    assert (without["au_weight"], without["ema"]) == (0.5, 0.0)


def test_leave_one_out_that_nobody_asked_for_trains_nothing(planned: Project) -> None:  # noqa: F811
    final_state("au_multitask")
    Path("data/without/old").mkdir(parents=True)
    assert "not asked for" in run("leave_one_out", "--state", "state.yaml")
    assert files(Path("data/without")) == {} and not Path("data/without/old").exists()
