"""`stack` and `tta`: every way to vote in a folder of its own, runs named by hand, the library, weights of views."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_project import CLASSES, COUNTS, Project
from test_stages import call, candidate, run, train

from fer_core.ensemble import METHODS, fit
from fer_core.files import read_json, read_yaml, write_json, write_yaml

STATUS_KEYS = {"state", "reason", "fingerprint", "train_seconds", "pretrain_seconds", "parameters", "converged"}
STATUS_KEYS |= {"members", "left_out", "weak_aus", "best_member", "validation", "diversity", "method", "gain_over_best"}


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    run("plan")
    return project


def status_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(Path("data") / name / "status.json")
    return found


def logs_of(name: str, split: str) -> np.ndarray:
    """Log-probabilities (N, K) in the order of the ids."""
    table = pd.read_parquet(f"data/{name}/predictions.parquet").set_index("sample_id").sort_index()
    return np.stack(table.loc[table["split"] == split, "log_probabilities"].tolist()).astype(float)


def labels_of_validation() -> np.ndarray:
    table = pd.read_parquet("data/join_aus/manifest.parquet").set_index("sample_id").sort_index()
    return table.loc[table["split"] == "validation", "emotion"].to_numpy(dtype=np.int64)


def set_params(key: str, **changes: Any) -> None:
    params = read_yaml(Path("params.yaml"))
    params[key] |= changes
    write_yaml(Path("params.yaml"), params)


def group_of_three() -> None:
    for seed, (member, right) in enumerate((("resnet", 0.6), ("vit", 0.75), ("efficientnet", 0.5))):
        candidate(f"train/base-{member}", right, seed)
    candidate("train/base-current", 0.55, 7)


# ---- stack


def test_every_method_has_a_folder_with_the_same_keys(planned: Project) -> None:
    group_of_three()
    run("stack", "alone", "--group", "base")
    top = status_of("stack/alone")
    assert set(top) == STATUS_KEYS
    for method in METHODS:
        one = status_of(f"stack/alone/{method}")
        assert set(one) == STATUS_KEYS and one["method"] == method
        same = STATUS_KEYS - {"method", "gain_over_best", "fingerprint"}
        assert {key: one[key] for key in same} == {key: top[key] for key in same}
        for split in ("validation", "test"):
            assert logs_of(f"stack/alone/{method}", split).shape == (COUNTS[split], len(CLASSES))
    for split in ("validation", "test"):
        assert np.array_equal(logs_of("stack/alone", split), logs_of(f"stack/alone/{top['method']}", split))
    means = [np.exp(logs_of(name, "test")) for name in top["members"]]
    assert np.allclose(np.exp(logs_of("stack/alone/mean", "test")), np.mean(means, axis=0), atol=1e-6)


def test_the_weights_file_tells_of_methods_members_and_pairs(planned: Project) -> None:
    group_of_three()
    run("stack", "alone", "--group", "base")
    report, status = read_json(Path("data/stack/alone/weights.json")), status_of("stack/alone")
    members = status["members"]
    assert members == [f"train/base-{name}" for name in ("efficientnet", "resnet", "vit", "current")]
    assert set(report["methods"]) == set(METHODS) and report["method"] == status["method"]
    assert report["validation"] == status["validation"] == {k: v["macro_f1"] for k, v in report["methods"].items()}
    labels = labels_of_validation()
    for method, one in report["methods"].items():
        assert list(one["weights"]) == members and sum(one["weights"].values()) == pytest.approx(1)
        hits = logs_of(f"stack/alone/{method}", "validation").argmax(1) == labels
        assert one["accuracy"] == pytest.approx(hits.mean())
    for name, scored in report["member_scores"].items():
        assert scored["accuracy"] == pytest.approx((logs_of(name, "validation").argmax(1) == labels).mean())
    best = max(members, key=lambda name: report["member_scores"][name]["macro_f1"])
    assert status["best_member"] == report["best_member"] == best
    taken, alone = report["methods"][report["method"]], report["member_scores"][best]
    assert status["gain_over_best"] == pytest.approx({key: 100 * (taken[key] - alone[key]) for key in alone})
    assert set(report["diversity"]) == {"disagreement", "error_correlation", "double_fault"}
    assert set(report["pairs"]["disagreement"][members[0]]) == set(members[1:])


@pytest.mark.parametrize("method", METHODS)
def test_the_method_of_params_is_taken(method: str, planned: Project) -> None:
    group_of_three()
    set_params("stack", method=method)
    run("stack", "alone", "--group", "base")
    assert status_of("stack/alone")["method"] == method
    assert all(status_of(f"stack/alone/{other}")["state"] == "done" for other in METHODS)


def test_a_method_that_does_not_exist_leaves_the_old_stack(planned: Project) -> None:
    group_of_three()
    run("stack", "alone", "--group", "base")
    set_params("stack", method="boosting")
    result = call("stack", "alone", "--group", "base")
    assert result.exit_code == 1 and "`stack.method` to be one of" in result.output
    assert status_of("stack/alone")["state"] == "done"


def test_stacking_needs_no_test_label(planned: Project) -> None:
    group_of_three()
    assert not Path("data/ingest/test_truth.parquet").exists()
    manifest = pd.read_parquet("data/join_aus/manifest.parquet")
    assert manifest.loc[manifest["split"] == "test", "emotion"].isna().all()
    run("stack", "alone", "--group", "base")
    before = logs_of("stack/alone", "validation")
    for file in Path("data/train").glob("*/predictions.parquet"):  # other predictions of test choose nothing else
        table = pd.read_parquet(file)
        rows = table.index[table["split"] == "test"]
        table.loc[rows, "log_probabilities"] = pd.Series(list(table.loc[rows, "log_probabilities"])[::-1], index=rows)
        table.to_parquet(file, index=False)
    weights = Path("data/stack/alone/weights.json").read_bytes()
    run("stack", "alone", "--group", "base")
    assert Path("data/stack/alone/weights.json").read_bytes() == weights
    assert np.array_equal(logs_of("stack/alone", "validation"), before)


def test_of_one_member_the_methods_say_that_there_is_nothing_to_vote_on(planned: Project) -> None:
    candidate("train/final-current", 0.6)
    run("stack", "final", "--group", "final")
    top = status_of("stack/final")
    assert (top["method"], top["best_member"], top["diversity"]) == ("single", "train/final-current", None)
    assert top["gain_over_best"] == {"macro_f1": 0.0, "accuracy": 0.0}
    for method in METHODS:
        one = status_of(f"stack/final/{method}")
        assert one["state"] == "not_applicable" and "nothing to vote on" in one["reason"]
        assert not Path(f"data/stack/final/{method}/predictions.parquet").exists()


def test_a_stack_that_does_not_apply_says_so_for_every_method(planned: Project) -> None:
    run("stack", "alone", "--group", "base")
    expected = {"state": "not_applicable", "reason": "no member was planned"}
    assert all(status_of(f"stack/alone{part}") == expected for part in ("", *(f"/{name}" for name in METHODS)))


def test_runs_may_be_named_by_hand(planned: Project) -> None:
    candidate("train/alone-attention", 0.6, 0)
    candidate("train/alone-vit", 0.7, 1)
    Path("plans/road.yaml").unlink()  # the road has no say in it
    run("stack", "mine", "--members", "train/alone-vit", "--members", "train/alone-attention")
    found = status_of("stack/mine")
    assert found["members"] == ["train/alone-vit", "train/alone-attention"] and found["state"] == "done"
    assert set(METHODS) == {path.parent.name for path in Path("data/stack/mine").glob("*/status.json")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--members", "train/alone-vti"], ["`--members` to be one of train/alone-", "Did you mean 'train/alone-vit'"]),
        (["--members", "train/alone-vit", "--members", "train/alone-mixing"], ["train/alone-mixing", "switched off"]),
        (["--members", "train/alone-vit", "--group", "base"], ["either `--group` or `--members`", "got both"]),
        ([], ["either `--group` or `--members`", "got neither"]),
    ],
)
def test_runs_that_are_unknown_or_untrained_are_refused_by_name(
    arguments: list[str], words: list[str], planned: Project
) -> None:
    candidate("train/alone-vit", 0.7, 1)
    write_json(Path("data/train/alone-mixing/status.json"), {"state": "not_applicable", "reason": "switched off"})
    result = call("stack", "mine", *arguments)
    assert result.exit_code == 1 and result.output.startswith("error: "), result.output
    assert all(word in result.output for word in words), result.output
    assert not Path("data/stack/mine").exists()


def test_the_library_holds_every_trained_run_once_and_selects_greedily(planned: Project) -> None:
    group_of_three()
    candidate("train/alone-vit", 0.75, 1)
    write_json(Path("data/train/alone-vit/status.json"), read_json(Path("data/train/base-vit/status.json")))
    write_json(Path("data/train/alone-mixing/status.json"), {"state": "not_applicable", "reason": "switched off"})
    run("stack", "library", "--group", "all")
    found = status_of("stack/library")
    assert found["method"] == "greedy"
    names = ("alone-vit", "base-efficientnet", "base-resnet", "base-current")
    assert found["members"] == [f"train/{name}" for name in names], "base-vit is alone-vit"
    set_params("stack", method="mean")
    run("stack", "library", "--group", "all")
    assert status_of("stack/library")["method"] == "mean"


# ---- tta


def test_what_is_made_otherwise_has_a_fingerprint_of_its_own(planned: Project) -> None:
    """MLflow shows each fingerprint once."""
    group_of_three()
    run("stack", "alone", "--group", "base")
    found = {name: status_of(f"stack/alone/{name}")["fingerprint"] for name in METHODS}
    assert len(set(found.values())) == len(METHODS)
    top = status_of("stack/alone")
    assert top["fingerprint"] == found[top["method"]]
    assert top["fingerprint"] not in [status_of(f"train/base-{name}")["fingerprint"] for name in ("vit", "resnet")]
    set_params("stack", folds=4)
    run("stack", "alone", "--group", "base")
    assert status_of("stack/alone/mean")["fingerprint"] != found["mean"]


def test_a_member_that_diverged_is_left_out_and_named(planned: Project) -> None:
    group_of_three()
    path = Path("data/train/base-vit/predictions.parquet")
    table = pd.read_parquet(path)
    table["log_probabilities"] = [np.full(len(CLASSES), np.nan, np.float32)] * len(table)
    table.to_parquet(path)
    result = call("stack", "alone", "--group", "base")
    assert result.exit_code == 0 and "left out, as their predictions are not numbers: train/base-vit" in result.output
    status = status_of("stack/alone")
    assert status["left_out"] == ["train/base-vit"] and "train/base-vit" not in status["members"]
    assert np.isfinite(logs_of("stack/alone", "test")).all()
    result = call("stack", "mine", "--members", "train/base-vit")
    assert result.exit_code == 1 and "train/base-vit diverged" in result.output


def test_folders_of_an_earlier_road_do_not_vote(planned: Project) -> None:
    group_of_three()
    for name in ("base-old", "alone-old"):
        candidate(f"train/{name}", 1.0, 9)
    for name, group in (("alone", "base"), ("library", "all")):
        run("stack", name, "--group", group)
        assert not [member for member in status_of(f"stack/{name}")["members"] if member.endswith("old")]


def test_a_group_that_the_road_does_not_have_is_refused(planned: Project) -> None:
    result = call("stack", "mine", "--group", "bse")
    assert result.exit_code == 1 and "Did you mean 'base'" in result.output
    assert not Path("data/stack/mine").exists()


def test_both_weightings_come_from_one_pass(planned: Project) -> None:
    train("baseline")
    set_params("tta", weights="learned")
    run("tta", "baseline", "--of", "train/baseline")
    top, parts = status_of("tta/baseline"), {name: status_of(f"tta/baseline/{name}") for name in ("mean", "learned")}
    assert top == parts["learned"] and top["weights_method"] == "learned"
    names = top["view_names"]
    assert top["views"] == len(names) == 8 and names[0] == "identity" and top["of"] == "train/baseline"
    for part in parts.values():
        weights = part["view_weights"]["train/baseline"]
        assert list(weights) == names and sum(weights.values()) == pytest.approx(1, abs=1e-3)
        assert part["milliseconds_per_face"] == top["milliseconds_per_face"] > 0
        assert part["milliseconds_per_face_plain"] == top["milliseconds_per_face_plain"] > 0
    assert set(parts["mean"]["view_weights"]["train/baseline"].values()) == {0.125}
    for split in ("validation", "test"):
        assert np.array_equal(logs_of("tta/baseline", split), logs_of("tta/baseline/learned", split))
    assert not np.allclose(logs_of("tta/baseline/mean", "test"), logs_of("tta/baseline/learned", "test"))


def test_views_may_be_named_in_params(planned: Project) -> None:
    train("baseline")
    names = ["identity", "flip", "crop_centre", "crop_top_right", "crop_bottom_left"]
    set_params("tta", views=names)
    run("tta", "baseline", "--of", "train/baseline")
    assert status_of("tta/baseline")["view_names"] == names and status_of("tta/baseline")["views"] == 5
    set_params("tta", views=["identity", "flop", *names[2:]])
    result = call("tta", "baseline", "--of", "train/baseline")
    assert result.exit_code == 1 and "Did you mean 'flip'" in result.output


def test_a_stack_votes_on_its_members_joined_views(planned: Project) -> None:
    for name in ("base-resnet", "base-vit"):
        train(name)
    set_params("stack", method="weighted")
    run("stack", "alone", "--group", "base")
    run("tta", "alone", "--of", "stack/alone")
    members = ["train/base-resnet", "train/base-vit"]
    assert status_of("tta/alone")["method"] == "weighted" and status_of("tta/alone")["members"] == members
    for member in members:
        run("tta", member.removeprefix("train/"), "--of", member)
    means = {
        split: np.stack([logs_of(f"tta/{member.removeprefix('train/')}/mean", split) for member in members])
        for split in ("validation", "test")
    }
    fitted = fit("weighted", means["validation"], labels_of_validation(), folds=5, seed=0)
    assert np.allclose(logs_of("tta/alone/mean", "test"), fitted.predict(means["test"]), atol=1e-4)


def test_the_best_member_alone_has_its_views(planned: Project) -> None:
    train("baseline")
    train("base-vit")
    run("stack", "ladder", "--members", "train/baseline", "--members", "train/base-vit")
    best = status_of("stack/ladder")["best_member"]
    write_yaml(Path("state.yaml"), read_yaml(Path("plans/state.yaml")) | {"kept_rungs": []})
    other = ({"train/baseline", "train/base-vit"} - {best}).pop()
    run("tta", "single", "--of", "stack/ladder", "--best-member", "--single", other, "--state", "state.yaml")
    found = status_of("tta/single")
    assert (found["of"], found["members"], found["method"]) == (best, [best], "single")
    write_json(Path("data/stack/ladder/status.json"), {"state": "not_applicable", "reason": "switched off"})
    run("tta", "single", "--of", "stack/ladder", "--best-member", "--single", other)
    assert status_of("tta/single")["of"] == other
    run("tta", "single", "--of", "stack/ladder", "--best-member")
    expected = {"state": "not_applicable", "reason": "switched off"}
    assert all(status_of(f"tta/single{part}") == expected for part in ("", "/mean", "/learned"))
    result = call("tta", "single", "--of", "train/baseline", "--best-member")
    assert result.exit_code == 1 and "to name a stack with --best-member; got train/baseline" in result.output


def test_one_view_costs_what_the_picture_alone_costs(planned: Project) -> None:
    train("baseline")
    write_yaml(Path("state.yaml"), read_yaml(Path("plans/state.yaml")) | {"kept_rungs": []})
    run("tta", "final", "--of", "train/baseline", "--state", "state.yaml", "--only-if-kept")
    found = status_of("tta/final")
    assert found["milliseconds_per_face"] == found["milliseconds_per_face_plain"] and found["views"] == 1
    for part in ("mean", "learned"):
        assert np.allclose(logs_of(f"tta/final/{part}", "test"), logs_of("train/baseline", "test"), atol=1e-5)
