"""What docs/techniques.md says was measured is what was; every variant is a recipe that resolves."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from benchmarks import techniques
from benchmarks.techniques import DOCUMENT, RESULTS, app, gave, tables, write_document
from benchmarks.trial import Trial, device_name, measure, plan_trial
from benchmarks.variants import GROUPS
from fer_core.config import Params, load_params
from fer_core.errors import ConfigError, DataError
from fer_core.files import read_json, write_json
from fer_core.manifest import without_clips
from fer_core.recipe import Recipe

ROOT = Path(__file__).parents[2]
EVERY = [(group, variant) for group, variants in GROUPS.items() for variant in variants]
FIGURES = {"accuracy": 0.5, "uar": 0.4, "macro_f1": 0.3, "train_accuracy": 0.9, "best_epoch": 2, "seconds": 7}


@cache
def params() -> Params:
    return load_params(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))


def planned(change: dict[str, Any], profile: str = "demo") -> Trial:
    return plan_trial(params(), change, 3, profile)


def tiny(folder: Path, size: int = 32) -> Path:
    """A data folder: 24 train and 12 validation faces of three classes, and eight people of the pool three times."""
    rng = np.random.default_rng(0)
    splits = ["train"] * 24 + ["validation"] * 12 + ["pool"] * 24
    rows = np.arange(len(splits))
    pool = rows >= 36
    table = pd.DataFrame(
        {
            "sample_id": [f"face-{row}" for row in rows],
            "split": splits,
            "subject": [f"person-{row % 8}" if row >= 36 else None for row in rows],
            "emotion": pd.array(np.where(pool, -1, rows % 3), dtype="Int16"),
            "votes": [None] * len(rows),
            "aligned_landmarks": [None] * len(rows),
            "crop_index": pd.array(rows, dtype="Int32"),
            "AU12": np.where(pool, np.nan, rows % 2).astype(np.float32),
        }
    )
    table["emotion"] = table["emotion"].mask(pool)
    tones = np.where(pool, 20 * (rows % 8), 70 * (rows % 3))[:, None, None, None]
    crops = np.clip(tones + rng.normal(40, 15, (len(rows), size, size, 3)), 0, 255).astype(np.uint8)
    for name in ("ingest", "join_aus", "align"):
        (folder / name).mkdir(parents=True)
    without_clips(table).to_parquet(folder / "join_aus" / "manifest.parquet")
    np.save(folder / "align" / "faces.npy", crops)
    write_json(folder / "join_aus" / "aus.json", {"names": ["AU12"]})
    write_json(folder / "ingest" / "card.json", {"classes": ["a", "b", "c"], "vote_names": None})
    return folder


def shown(name: str) -> str:
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    return text.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].strip()


def test_the_document_shows_the_figures_that_are_committed() -> None:
    assert shown("variants") == tables(json.loads((ROOT / RESULTS).read_text(encoding="utf-8")))


def test_the_document_shows_the_gains_that_are_published() -> None:
    """The README's table is of the same road, and stays when a road of one's own replaces metrics/gains.json."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line.strip("|").split("|") for line in shown("gave").splitlines()[2:]]
    assert len(lines) == 25, "19 techniques and the clip track"
    for cells in lines:
        title, gain, _, claimed, verdict = (cell.strip() for cell in cells)
        names = (f"| {title}, alone |", f"| {title} |")  # a technique, a row of the clip track
        row = next(line for line in readme.splitlines() if line.startswith(names))
        assert row.endswith(f"| {gain} | {claimed} | {verdict} |")


def test_gains_are_told_alone_and_on_the_ladder() -> None:
    row = {"title": "Votes", "technique": "votes", "gain": 1.0, "gain_low": -1.0, "gain_high": 3.0, "phase": "beyond"}
    row |= {"claimed_low": None, "claimed_high": None, "verdict": "not distinguishable from 0", "reason": None}
    rows = [row | {"view": "alone"}, row | {"view": "ladder", "kept": False, "gain": -2.0}, row | {"technique": "vit"}]
    (line,) = gave(rows[:2]).splitlines()[2:]
    assert line == "| Votes | +1.0 [-1.0, 3.0] | -2.0 [-1.0, 3.0], not kept | – | not distinguishable from 0 |"


@pytest.mark.parametrize(("group", "variant"), EVERY)
def test_every_variant_resolves_to_a_recipe_of_its_own(group: str, variant: str) -> None:
    change: dict[str, Any] = GROUPS[group][variant]
    trial = planned(change)
    assert trial.recipe.seed == 3
    for key, value in change.items():
        if isinstance(value, dict):
            own = {"ssl": asdict(trial.recipe.ssl), **trial.pretraining, **trial.synthesis}[key] or {}
            assert all(own[name] == setting for name, setting in value.items())
        else:
            assert getattr(trial.recipe, key) == value
    assert not change or trial != planned({})


def test_no_variant_is_another() -> None:
    trials: list[Trial] = []
    for group, variant in EVERY:
        if (trial := planned(GROUPS[group][variant])) in trials:
            raise AssertionError(f"{variant} is the same as another")
        trials.append(trial)


def test_all_compute_alike_on_every_device() -> None:
    for group, variant in EVERY:
        trial = planned(GROUPS[group][variant])
        assert trial.recipe.precision == "fp32"
        assert trial.pretraining.get("model", {"precision": "fp32"})["precision"] == "fp32"


@pytest.mark.parametrize(
    ("group", "variant", "kinds"),
    [
        ("baseline", "baseline", []),
        ("attention", "se", []),
        ("identity", "cosface", ["identity"]),
        ("ssl", "moco", ["ssl"]),
        ("ssl", "vit (control)", []),
        ("ssl", "vit, mae", ["ssl"]),
        ("ssl", "byol, then identity", ["ssl", "ssl_identity"]),
    ],
)
def test_first_weights_are_those_that_the_recipe_asks_for(group: str, variant: str, kinds: list[str]) -> None:
    trial = planned(GROUPS[group][variant])
    assert trial.pretraining["kinds"] == kinds
    assert (kinds[-1] if kinds else None) == trial.recipe.initial_weights
    if kinds:
        assert trial.pretraining["model"]["timm"] == trial.recipe.timm
        assert trial.pretraining["seed"] == 3


def test_settings_come_from_params_and_the_profile() -> None:
    arc, cos = (planned(GROUPS["identity"][name]).pretraining["identity"] for name in ("arcface", "cosface"))
    assert (arc["loss"], arc["margin"]) == ("arcface", 0.5)
    assert (cos["loss"], cos["margin"]) == ("cosface", 0.35)
    assert arc["epochs"] == cos["epochs"] == params().profiles["demo"].identity_epochs
    assert planned(GROUPS["ssl"]["simclr"]).pretraining["ssl"]["epochs"] == params().profiles["demo"].ssl_epochs
    gan = planned(GROUPS["synthesis"]["gan, 100 a class"]).synthesis["gan"]
    assert (gan["per_class"], gan["steps"]) == (100, params().profiles["demo"].gan_steps)
    assert planned({"synthesis": "gan", "gan": {"steps": 5}}).synthesis["gan"]["steps"] == 5
    assert not planned({}).synthesis["wanted"]


@pytest.mark.parametrize("change", [{"attenton": "se"}, {"identity": {"los": "arcface"}}, {"gan": {"step": 1}}])
def test_a_misspelt_key_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        planned(change)


def quick(change: dict[str, Any]) -> Trial:
    return planned({"epochs": 2, "warmup_epochs": 0} | change, "smoke")


@pytest.mark.parametrize(
    "change",
    [
        {"init": "identity", "identity": {"loss": "cosface"}},
        {"ssl": {"method": "simclr"}},
        {"ssl": {"method": "byol"}, "init": "identity"},
        {"ssl": {"method": "mae"}, "backbone": "vit"},
    ],
    ids=str,
)
def test_what_needs_first_weights_pretrains_and_starts_from_them(
    change: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    real: Callable[..., Any] = measure.__globals__["train"]

    def watched(recipe: Recipe, sets: Any, labels: Any, initial: Path, work: Path, title: str) -> Any:
        assert initial.exists()
        seen.append(initial)
        return real(recipe, sets, labels, initial, work, title)

    monkeypatch.setitem(measure.__globals__, "train", watched)
    trial = quick(change)
    row = measure(tiny(tmp_path), trial, "test")
    assert [path.stem for path in seen] == [trial.recipe.initial_weights]
    assert 0 <= row["macro_f1"] <= 1
    assert row["device"] == device_name()
    assert not seen[0].exists(), "the work folder is gone"


def test_pretraining_looks_at_the_pool_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def fake(encoder: Any, faces: Any, *_: Any, **__: Any) -> list[dict[str, Any]]:
        seen.append(faces.ids)
        return [{"seconds": 40.0}]

    monkeypatch.setitem(measure.__globals__, "pretrain_self_supervised", fake)
    monkeypatch.setitem(measure.__globals__, "pretrain_identity", fake)
    row = measure(tiny(tmp_path), quick({"ssl": {"method": "byol"}, "init": "identity"}), "test")
    assert seen == [[f"face-{number}" for number in range(36, 60)]] * 2
    assert row["before_seconds"] == 80


def test_synthetic_faces_join_the_train_faces_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[str]] = {}
    real: Callable[..., Any] = measure.__globals__["train"]

    def watched(recipe: Recipe, sets: Any, *others: Any) -> Any:
        seen.update({split: faces.ids for split, faces in sets.items()})
        return real(recipe, sets, *others)

    monkeypatch.setitem(measure.__globals__, "train", watched)
    gan = {"per_class": 10, "steps": 2, "width": 4, "batch_size": 4}
    row = measure(tiny(tmp_path), quick({"synthesis": "gan", "gan": gan, "sampler": "none"}), "test")
    assert [name.startswith("synthetic") for name in seen["train"]] == [False] * 24 + [True] * 6
    assert seen["validation"] == [f"face-{number}" for number in range(24, 36)]
    assert 0 <= row["accuracy"] <= 1


def test_au_f1_is_told_where_there_is_an_au_head(tmp_path: Path) -> None:
    data = tiny(tmp_path)
    assert 0 <= measure(data, quick({"au_weight": 0.5}), "test")["au_f1"] <= 1
    row = measure(data, quick({}), "test")
    assert "au_f1" not in row
    assert "before_seconds" not in row
    assert (row["seed"], row["device"]) == (3, device_name())


class Here:
    """A pool that works at once, in this process."""

    def __init__(self, workers: int, *_: Any, **__: Any) -> None:
        self.workers = workers

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, function: Callable[..., Any], *given: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(function(*given))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command on three variants, the second of which fails; nothing is really trained."""
    groups = {"baseline": {"baseline": {}}, "pair": {"bad": {"loss": "focal"}, "good": {"loss": "cb"}}}
    (tmp_path / "join_aus").mkdir()
    (tmp_path / "join_aus" / "manifest.parquet").touch()

    def fake(data: Path, trial: Trial, title: str) -> dict[str, Any]:
        measured.append((trial.recipe.loss, trial.recipe.seed))
        if trial.recipe.loss in failing:
            raise DataError("the run is bad")
        return {"seed": trial.recipe.seed, **FIGURES, "device": "a GPU"}

    measured: list[tuple[str, int]] = []
    failing = ["focal"]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(techniques, "GROUPS", groups)
    monkeypatch.setattr(techniques, "measure", fake)
    monkeypatch.setattr(techniques, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(techniques, "write_document", lambda *_: None)

    def run(*given: str) -> Result:
        measured.clear()
        return CliRunner().invoke(app, [*given, "--data", str(tmp_path), "--out", str(tmp_path / "results.json")])

    run.measured, run.failing, run.out = measured, failing, tmp_path / "results.json"  # type: ignore[attr-defined]
    return run


def test_a_run_that_fails_is_told_and_loses_no_other(bench: Any) -> None:
    result = bench("--seeds", "2")
    assert result.exit_code == 1
    assert "2 of 6 runs failed:\npair: bad, seed" in result.output
    assert "DataError: the run is bad" in result.output
    assert "[6/6, 0 s left]" in result.output
    results = read_json(bench.out)
    assert {group: list(variants) for group, variants in results.items()} == {
        "baseline": ["baseline"],
        "pair": ["good"],
    }
    assert [row["seed"] for row in results["pair"]["good"]["seeds"]] == [0, 1]
    assert results["pair"]["good"]["mean"]["uar"] == pytest.approx(0.4)


def test_one_seed_of_all_comes_before_the_next(bench: Any) -> None:
    bench("--seeds", "2")
    assert bench.measured == [("ce", 0), ("focal", 0), ("cb", 0), ("ce", 1), ("focal", 1), ("cb", 1)]


def test_only_what_is_missing_is_measured(bench: Any) -> None:
    bench("--seeds", "1")
    bench.failing.clear()
    assert bench("--seeds", "2").exit_code == 0
    assert bench.measured == [("focal", 0), ("ce", 1), ("focal", 1), ("cb", 1)]
    assert list(read_json(bench.out)["pair"]) == ["bad", "good"], "in the order of the groups"
    assert bench("--seeds", "1").exit_code == 0
    assert bench.measured == []
    assert len(read_json(bench.out)["pair"]["good"]["seeds"]) == 2, "a third call forgets no seed"
    assert bench("--seeds", "1", "--again").exit_code == 0
    assert len(bench.measured) == 3


def test_figures_of_other_keys_or_of_no_device_are_measured_anew(bench: Any) -> None:
    old = {"set": {"loss": "cb"}, "mean": FIGURES, "seeds": [{"seed": 0, **FIGURES}]}
    other = {"set": {}, "mean": FIGURES, "seeds": [{"seed": 0, **FIGURES, "device": "cpu"}]}
    write_json(
        bench.out, {"pair": {"good": old, "bad": other | {"set": {"loss": "ldam"}}}, "baseline": {"baseline": other}}
    )
    bench("--seeds", "1")
    assert bench.measured == [("focal", 0), ("cb", 0)]
    assert read_json(bench.out)["pair"]["good"]["seeds"][0]["device"] == "a GPU"


@pytest.mark.slow
def test_workers_of_their_own_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spawned, as CUDA wants it: nothing of this process is seen there but what is handed over."""
    few = {"epochs": 1, "warmup_epochs": 0}
    groups = {"baseline": {"baseline": few}, "more": {"none such": {"backbone": "no_such_network"} | few}}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(techniques, "GROUPS", groups)
    monkeypatch.setattr(techniques, "write_document", lambda *_: None)
    out = tmp_path / "results.json"
    given = ["--seeds", "1", "--workers", "1", "--data", str(tiny(tmp_path / "data", 64)), "--out", str(out)]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 1, result.output
    assert "1 of 2 runs failed:\nmore: none such, seed 0 failed: ConfigError" in result.output
    assert read_json(out)["baseline"]["baseline"]["seeds"][0]["device"] == device_name()


def entry(change: dict[str, Any], *devices: str | None, **figures: float) -> dict[str, Any]:
    rows = [{"seed": seed} | ({"device": device} if device else {}) for seed, device in enumerate(devices)]
    return {"set": change, "mean": FIGURES | figures, "seeds": rows}


def test_the_table_says_what_measured_it() -> None:
    one = {"ssl": {"byol": entry({"ssl": {"method": "byol"}, "init": "identity"}, "H100", "H100", before_seconds=12.4)}}
    lines = tables(one | {"baseline": {"baseline": entry({}, "H100")}}).splitlines()
    assert lines[:2] == ["Measured in fp32 on H100.", ""]
    assert lines[2].endswith("| Train s | Before s |")
    assert lines[4] == "| byol | `ssl.method: byol`, `init: identity` | 2 | 50.0 | 40.0 | 30.0 |  | 7 | 12 |"
    assert lines[5] == "| baseline |  | 1 | 50.0 | 40.0 | 30.0 |  | 7 |  |"
    mixed = tables({"a": {"x": entry({}, "H100", "cpu"), "y": entry({}, "H100", None)}}).splitlines()
    assert mixed[0] == "Runs in fp32: 2 on H100, 1 on cpu; older, in `precision: auto` on a device not noted: 1."
    assert tables({"a": {"x": entry({}, None)}}).startswith("| Variant |"), "and nothing where none is known"


def test_a_gpu_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert device_name() == "NVIDIA H100"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert device_name() == "cpu"


def test_every_technique_told_is_one_of_the_roadmap() -> None:
    assert set(techniques.TECHNIQUES) <= set(params().roadmap)


def test_the_figures_of_every_variant_are_those_that_its_keys_gave() -> None:
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))
    for group, variants in results.items():
        for name, entry in variants.items():
            assert entry["set"] == GROUPS[group][name], f"{group}: {name} was measured with other keys"


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "techniques.md"
    path.write_text("# Title\n<!-- variants -->\n")
    with pytest.raises(DataError, match="marks"):
        write_document({}, [], path)
    assert path.read_text() == "# Title\n<!-- variants -->\n"
