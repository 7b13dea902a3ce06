"""The whole road, once, as a newcomer runs it: a clone, `dvc repro` under the smoke profile, and what it leaves.

The road runs for real (minutes on two cores), so everything here looks at the same one, or at a copy of it.
"""

import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from real_road import ROOT, Road, files, ran, shell, stage, without_times

from fer_core.evaluation.gains import NOT_APPLICABLE
from fer_core.files import read_json, read_yaml

pytestmark = pytest.mark.slow

TECHNIQUES = [
    "au_multitask",
    "attention",
    "face_pretraining",
    "vit",
    "augmentation",
    "mixing",
    "synthesis",
    "imbalance",
    "few_shot",
    "votes",
    "optimisation",
    "ensemble",
    "tta",
    "self_supervised",
    "au_guided",
    "no_sampler",
    "meta_learning",
    "curriculum",
    "compound",
]
RUNGS = TECHNIQUES[:-5]  # the others stand alone only
TEMPORAL = ["temporal_still", "temporal_lstm", "temporal_tcn", "temporal_transformer", "temporal_conv3d"]
LOCKED = ("data/ingest/test_truth.parquet", "data/join_aus/test_aus.parquet")


@pytest.fixture(scope="module")
def gains(road: Road) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_json(road.clone / "metrics" / "gains.json")
    return found


def test_the_road_ends_well_and_shows_its_table(road: Road) -> None:
    assert road.status == 0, road.printed[-5000:]
    assert "Traceback" not in road.printed
    planned = set(ran(road.printed))
    assert {
        "generate",
        "ingest",
        "plan",
        "align",
        "join_aus",
        "evaluate",
        "report",
        "track",
        "synthesise",
        "judge",
        "library",
        "leave_one_out",
        "page",
    } <= planned
    params = read_yaml(road.clone / "params.yaml")
    assert {f"train@{run}" for run in params["runs"]} <= planned
    assert {f"train_clips@{run}" for run in params["clip_runs"]} <= planned
    assert {f"select@{rung}" for rung in params["ladder"]} <= planned
    end = road.printed[road.printed.index("the whole road took") :]
    for words in (
        "Generated faces, not people",
        "Phase 1",
        "Each technique alone",
        "The ladder",
        "How members and views vote",
        "The clip track",
        "Temporal: LSTM",
        "make ui",
    ):
        assert words in end


def test_params_stand_as_they_were(road: Road) -> None:
    assert (road.clone / "params.yaml").read_bytes() == road.params
    status = shell(road.clone, "git", "status", "--porcelain", "--untracked-files=no").stdout
    assert "params.yaml" not in status


def test_the_gains_have_the_keys_that_were_promised(gains: list[dict[str, Any]]) -> None:
    keys = (
        "technique view phase accuracy uar macro_f1 gain gain_low gain_high claimed_low claimed_high reference p_value"
    )
    keys += " verdict kept train_seconds n_test applicable reason"
    for row in gains:
        assert set(keys.split()) <= set(row), row["technique"]
        if row["applicable"]:
            assert all(0 <= row[key] <= 1 for key in ("accuracy", "uar", "macro_f1"))
            assert row["n_test"] > 0 and row["reason"] is None and row["verdict"] != NOT_APPLICABLE
            assert row["train_seconds"] >= 0
        else:
            assert row["reason"] and row["verdict"] == NOT_APPLICABLE and row["accuracy"] is row["gain"] is None
        if row["applicable"] and row["reference"]:
            assert row["gain_low"] <= row["gain"] <= row["gain_high"] and 0 <= row["p_value"] <= 1


def test_the_rows_are_the_baseline_the_phases_every_technique_and_every_rung(gains: list[dict[str, Any]]) -> None:
    assert gains[0]["technique"] == "baseline" and gains[0]["applicable"]
    by_view = {
        view: [row["technique"] for row in gains if row["view"] == view] for view in ("phase", "alone", "ladder")
    }
    assert by_view["phase"] == ["phase 1", "phase 2", "phase beyond", "phase 3"]
    assert by_view["alone"] == TECHNIQUES
    assert by_view["ladder"] == ["baseline", *RUNGS]
    assert [row["technique"] for row in gains if row["view"] == "clip"] == ["clips", *TEMPORAL]
    reasons = {(row["view"], row["technique"]): row["reason"] for row in gains}
    params = read_yaml(ROOT / "params.yaml")
    wanted = params["profiles"]["smoke"]["techniques"]
    for name in TEMPORAL:
        assert reasons["clip", name] == (None if name in wanted else "not in the smoke profile")
    for name in TECHNIQUES:
        for view in ("alone", "ladder") if name in RUNGS else ("alone",):
            assert reasons[view, name] == (None if name in wanted else "not in the smoke profile")


def test_every_way_to_vote_is_compared_with_the_best_member(road: Road, gains: list[dict[str, Any]]) -> None:
    rows = {row["technique"]: row for row in gains if row["view"] == "vote"}
    methods = ("mean", "voting", "weighted", "greedy", "logistic")
    for name in ("alone", "ladder", "library"):
        status = read_json(road.clone / f"data/stack/{name}/status.json")
        for method in methods:
            row = rows[f"stack_{name}_{method}"]
            assert (row["predictor"], row["reference"]) == (f"stack/{name}/{method}", status["best_member"])
            assert ("taken" in row["title"]) is (method == status["method"])
            assert row["gain_low"] <= row["gain"] <= row["gain_high"]
        taken = rows[f"stack_{name}_{status['method']}"]
        scored = read_json(road.clone / "metrics/runs.json")[f"stack/{name}"]
        assert taken["accuracy"] == scored["test"]["accuracy"]
    for name in ("baseline", "single", "stack"):
        views = [rows[f"tta_{name}_{weights}"] for weights in ("mean", "learned")]
        assert {row["reference"] for row in views} == {read_json(road.clone / f"data/tta/{name}/status.json")["of"]}
        assert all(row["milliseconds_per_face"] > 0 for row in views)


def test_the_clip_track_is_scored_on_clips_only(road: Road, gains: list[dict[str, Any]]) -> None:
    rows = {row["technique"]: row for row in gains if row["view"] == "clip" and row["applicable"]}
    card = read_json(road.clone / "data/ingest/card.json")
    assert set(rows) == {"clips", "temporal_still", "temporal_lstm"}
    for row in rows.values():
        assert row["n_test"] == card["clip_counts"]["test"] == 14
    assert rows["temporal_lstm"]["reference"] == "clips/baseline" and rows["clips"]["reference"] is None
    assert rows["temporal_still"]["train_seconds"] == 0 < rows["temporal_lstm"]["train_seconds"]


def test_the_ladder_is_what_validation_chose(road: Road, gains: list[dict[str, Any]]) -> None:
    states = {name: read_yaml(road.clone / f"data/select/{name}/state.yaml") for name in RUNGS}
    first = read_yaml(road.clone / "data/select/baseline/state.yaml")
    current, score = "train/baseline", first["validation"]["score"]
    for name, state in states.items():
        assert state["reference"] == current
        seen = state["validation"]
        if state["applicable"]:
            assert seen["before"] == score and seen["error"] > 0
            assert state["kept"] is (seen["score"] >= score - seen["error"])
        if state["kept"]:
            current, score = state["candidate"], seen["score"]
        assert state["current"] == current
        row = next(row for row in gains if row["view"] == "ladder" and row["technique"] == name)
        assert row["kept"] is (state["kept"] if state["applicable"] else None)


def test_the_summary_is_flat_and_dvc_shows_it(road: Road) -> None:
    summary = read_json(road.clone / "metrics" / "summary.json")
    assert summary and all(value is None or isinstance(value, int | float) for value in summary.values())
    assert {"baseline_accuracy", "final_accuracy", "final_gain"} <= set(summary)
    shown = shell(road.clone, "dvc", "metrics", "show", "--json")
    assert shown.returncode == 0
    found = json.loads(shown.stdout[shown.stdout.index("{") :])
    assert found[""]["data"][str(Path("metrics") / "summary.json")]["data"] == {
        k: v for k, v in summary.items() if v is not None
    }


def test_reports_and_mlflow_are_there(road: Road) -> None:
    table = (road.clone / "reports/gains.md").read_text(encoding="utf-8")
    assert "enerated faces, not people" in table and "## The final recipe" in table
    assert "figures/ladder.svg" in table and "Minimum detectable gain" in table
    drawn = sorted((road.clone / "reports/figures").glob("*.svg"))
    assert {"ladder", "confusion-baseline", "learning"} <= {path.stem for path in drawn}
    page = (road.clone / "reports/index.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.count("<svg") >= len(drawn)
    shown = shell(road.clone, "dvc", "plots", "show", "--out", "plots")
    assert shown.returncode == 0 and "ladder.svg" in (road.clone / "plots/index.html").read_text(encoding="utf-8")
    assert (road.clone / "mlflow.db").stat().st_size > 0


def test_the_baselines_three_seeds_stand_beside_every_row_of_stills(gains: list[dict[str, Any]]) -> None:
    baseline = gains[0]
    assert (baseline["seeds"], baseline["seed_sd_of"]) == (3, "own") and baseline["seed_sd"] >= 0
    rows = [row for row in gains if row["applicable"] and row["predictor"] != "train/baseline"]
    for row in rows:
        on_clips = row["predictor"].startswith("clips/")
        assert row["seeds"] == 1 and row["seed_sd_of"] == (None if on_clips else "baseline")
        assert row["seed_sd"] == (None if on_clips else baseline["seed_sd"])
        assert row["p_value"] is None or row["p_value"] <= row["p_adjusted"] <= 1
        assert row["milliseconds_per_face"] is None if on_clips else row["milliseconds_per_face"] > 0


def test_nothing_of_the_default_data_leaks(road: Road) -> None:
    found = read_json(road.clone / "data/ingest/leakage.json")
    assert found["leaks"] == 0 and found["pictures"] > 300


def test_every_applicable_run_wrote_what_it_promised(road: Road) -> None:
    for folder in sorted((road.clone / "data/train").iterdir()):
        if not folder.is_dir():
            continue
        status = read_json(folder / "status.json")
        if status["state"] == "done":
            seeds = [folder / f"seed-{index}" for index in (1, 2)] if folder.name == "baseline" else []
            for each in (folder, *seeds):
                wanted = {"weights.safetensors", "recipe.yaml", "history.json", "predictions.parquet"}
                assert wanted <= set(files(each))
            assert read_yaml(folder / "recipe.yaml")["size"] == 32
        else:
            assert status["reason"] and set(files(folder)) == {"status.json"}


def test_a_second_repro_trains_nothing(road: Road) -> None:
    again = shell(road.clone, sys.executable, "-m", "stages.run", "--profile", "smoke")
    assert again.returncode == 0, again.stdout[-3000:]
    assert ran(again.stdout) == ["track"]
    assert (road.clone / "params.yaml").read_bytes() == road.params


@pytest.fixture(scope="module")
def locked(road: Road, gains: list[dict[str, Any]]) -> Mapping[str, Path]:
    """Everything that trains and chooses, once more by hand, with the test split's truth deleted."""
    clone = road.clone
    hidden = clone / "hidden"
    hidden.mkdir()
    for number, name in enumerate(LOCKED):
        (clone / name).rename(hidden / str(number))
    shutil.rmtree(clone / ".work")  # trained again, not taken from the store
    params = (clone / "params.yaml").read_text(encoding="utf-8")
    (clone / "smoke.yaml").write_text(re.sub(r"(?m)^profile: *\w+", "profile: smoke", params), encoding="utf-8")
    made = {}

    def again(name: str, output: str, *arguments: str) -> None:
        made[output] = clone / "again" / output
        stage(clone, name, *arguments, "--out", f"again/{output}")

    again("plan", "plans", "--params", "smoke.yaml")
    again("pretrain", "data/pretrain/resnet", "resnet")
    for run in ("baseline", "alone-au_multitask", "alone-face_pretraining"):
        again("train", f"data/train/{run}", run, "--plan", f"plans/{run}.yaml")
    again("select", "data/select/baseline", "baseline", "--after", "plans", "--candidate", "train/baseline")
    rung = ["au_multitask", "--after", "data/select/baseline", "--candidate", "train/ladder-au_multitask"]
    again("select", "data/select/au_multitask", *rung)
    again("stack", "data/stack/alone", "alone", "--group", "base", "--params", "smoke.yaml")
    baseline = ["baseline", "--of", "train/baseline", "--state", "plans/state.yaml", "--params", "smoke.yaml"]
    again("tta", "data/tta/baseline", *baseline)
    for run in ("baseline", "lstm"):
        again("train_clips", f"data/clips/{run}", run, "--plan", f"plans/clips/{run}.yaml")
    again("stack", "data/stack/library", "library", "--group", "all", "--params", "smoke.yaml")
    for number, name in enumerate(LOCKED):
        (hidden / str(number)).rename(clone / name)
    return made


def test_nothing_that_trains_or_chooses_has_seen_the_test_splits_truth(road: Road, locked: Mapping[str, Path]) -> None:
    """Without it the same bytes come out: plans, weights, predictions, choices."""
    compared = 0
    for output, folder in locked.items():
        before, after = files(road.clone / output), files(folder)
        assert set(before) == set(after), output
        for name, content in after.items():
            if name in ("status.json", "history.json", "pretraining.json"):
                same = without_times(read_json(road.clone / output / name)) == without_times(read_json(folder / name))
            else:
                same = content == before[name]
            assert same, f"{output}/{name}"
            compared += name in ("predictions.parquet", "weights.safetensors", "ssl.safetensors", "state.yaml")
    assert compared >= 10
    trained = [folder for output, folder in locked.items() if "/train/" in output]
    assert all(read_json(folder / "status.json")["train_seconds"] > 0 for folder in trained)


def test_evaluation_does_need_the_truth(road: Road, locked: Mapping[str, Path]) -> None:
    """So the test above deleted the right files."""
    truth = road.clone / LOCKED[0]
    truth.rename(truth.with_suffix(".away"))
    try:
        result = shell(road.clone, sys.executable, "-m", "stages.evaluate", "--out", "again/runs.json")
    finally:
        truth.with_suffix(".away").rename(truth)
    assert result.returncode == 1 and "test_truth.parquet" in result.stdout and "Traceback" not in result.stdout
