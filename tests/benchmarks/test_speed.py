"""The benchmark of speed on tiny sizes: its rows, its arithmetic, its file and its exit. No speed is judged."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from typer.testing import CliRunner

from benchmarks.speed import __main__ as command
from benchmarks.speed import aligning, au_join, evaluation, measure, peers, pretraining, timm_script, training
from benchmarks.speed.cases import CPU_CASES, Case, recipe_of
from benchmarks.speed.machine import file_name
from benchmarks.speed.made_up import CLASSES, faces, folder_of_pictures
from benchmarks.speed.measure import CEILING, OURS, Comparison, Missing, Side, compare, in_turn, through
from benchmarks.speed.report import Bound, lines, sentence, summary, table, verdicts
from benchmarks.speed.settings import Settings
from fer_core.errors import ConfigError, DataError

CPU = torch.device("cpu")
TINY = Case("test_resnet", 32, batch=4, of_ceiling=0.88, of_timm=1.6)
MADE_UP = Comparison(
    "training",
    "a 64 px",
    {OURS: [90.0, 80.0, 99.0], CEILING: [100.0, 100.0, 90.0], "peer": [45.0, 100.0, 66.0]},
    {OURS: 12.4, CEILING: None, "peer": 3.6},
    {"timm train.py": "give --timm-train"},
)


def settings(folder: Path, script: Path | None = None) -> Settings:
    return Settings(CPU, rounds=2, seconds=0.01, threads=1, workers=(0,), timm_train=script, work=folder)


def fixed(name: str, rate: float, log: list[str]) -> Side:
    def turn() -> float:
        log.append(name)
        return rate

    return Side(name, lambda: turn)


# --- arithmetic


def test_ratios_are_of_one_round() -> None:
    assert MADE_UP.ratios(OURS, CEILING) == [0.9, 0.8, 1.1]
    assert MADE_UP.ratios(OURS, "peer") == [2.0, 0.8, 1.5]
    assert MADE_UP.ratios(OURS, "nobody") == []


def test_the_order_changes_from_round_to_round() -> None:
    log: list[str] = []
    rates = in_turn({name: fixed(name, 1.0, log).make() for name in "abc"}, 4)
    assert log == [*"abc", *"acb", *"cab", *"cba"]
    assert rates == {name: [1.0] * 4 for name in "abc"}


def test_a_turn_may_have_steps_of_two_sides() -> None:
    turns: dict[str, Any] = {"a": lambda: {"a": 1.0, "b": 2.0}, "b": dict, "c": lambda: 3.0}
    assert in_turn(turns, 2) == {"a": [1.0, 1.0], "b": [2.0, 2.0], "c": [3.0, 3.0]}


def test_the_first_two_turns_are_not_counted_and_a_side_that_is_missing_says_why() -> None:
    log: list[str] = []

    def needs() -> Callable[[], float]:
        raise Missing("needs a file")

    found = compare("p", "c", [fixed("a", 2.0, log), Side("b", needs), fixed("c", 4.0, log)], 2)
    assert found.rates == {"a": [2.0, 2.0], "c": [4.0, 4.0]}
    assert found.missing == {"b": "needs a file"}
    assert log.count("a") == 4


def test_every_side_is_closed_even_when_one_fails() -> None:
    closed: list[str] = []

    def breaks() -> Callable[[], float]:
        raise DataError("no")

    first = Side("a", lambda: lambda: 1.0, lambda: closed.append("a"))
    with pytest.raises(DataError, match="no"):
        compare("p", "c", [first, Side("b", breaks, lambda: closed.append("b"))], 1)
    assert closed == ["a", "b"]


def test_a_side_that_knows_its_memory_in_the_end_is_believed() -> None:
    assert compare("p", "c", [Side("a", lambda: lambda: 1.0, lambda: 7.5)], 1).memory == {"a": 7.5}


def test_a_loader_is_timed_behind_what_it_had_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    times, seen = [0.0, 10.0, 13.0, 14.0], list[int]()  # after so many batches
    monkeypatch.setattr(measure, "clock", lambda device: times[len(seen)])
    assert through(range(9), seen.append, 1, 2, CPU) == 0.5  # two batches in four seconds
    assert seen == [0, 1, 2]
    monkeypatch.setattr(measure, "clock", lambda device: 0.0)
    with pytest.raises(DataError, match="Expected 10 batches or more"):
        through(range(9), seen.append, 0, 10, CPU)


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_memory_is_what_was_added_at_the_peak() -> None:
    with measure.added_memory() as added:
        block = torch.ones(40 * 2**20 // 4)  # 40 MiB, written to, and gone at the end
        del block
    if "mib" not in added:
        pytest.skip("this system does not let a process reset its peak")
    assert 38 <= added["mib"] <= 60


# --- table, bounds, file


def test_the_table_has_a_row_a_side_and_one_for_what_is_missing() -> None:
    assert lines(MADE_UP) == [
        ("training", "a 64 px", OURS, "90.0", "0.90 [0.80, 1.10]", "–", "12"),
        ("training", "a 64 px", CEILING, "100", "–", "–", "–"),
        ("training", "a 64 px", "peer", "66.0", "0.73 [0.45, 1.00]", "1.50 [0.80, 2.00]", "4"),
        ("training", "a 64 px", "timm train.py", "not measured: give --timm-train", "", "", ""),
    ]
    text = table([MADE_UP]).splitlines()
    assert len(text) == 5
    assert text[0].split()[:3] == ["part", "case", "side"]
    assert text[2].split()[0] == CEILING  # part and case are not said again


@pytest.mark.parametrize(
    ("bound", "verdict", "median"),
    [
        (Bound("training", "a 64 px", CEILING, 0.9), "PASS", 0.9),  # just met
        (Bound("training", "a 64 px", CEILING, 0.901), "MISSED", 0.9),
        (Bound("training", "a 64 px", "peer", 1.5), "PASS", 1.5),
        (Bound("training", "a 64 px", "timm train.py", 1.6), "NOT MEASURED", None),
    ],
)
def test_bounds_are_judged_by_the_median(bound: Bound, verdict: str, median: float | None) -> None:
    (row,) = verdicts([MADE_UP], [bound, Bound("training", "another case", CEILING, 2.0)])
    assert (row["verdict"], row["median"]) == (verdict, median)
    assert sentence(row).startswith(f"{verdict}  training, a 64 px: {'beside' if median is None else median}")


def test_the_summary_keeps_every_round() -> None:
    row = summary(MADE_UP)
    assert row["rates"] == MADE_UP.rates
    assert row["median_rates"] == {OURS: 90.0, CEILING: 100.0, "peer": 66.0}
    ratios = row["ratios"]
    assert isinstance(ratios, dict)
    assert set(ratios) == {"ours / ceiling", "ceiling / ours", "peer / ceiling", "peer / ours"}
    assert ratios["ours / ceiling"] == {"median": 0.9, "least": 0.8, "most": 1.1, "rounds": [0.9, 0.8, 1.1]}


def test_the_file_is_named_by_date_commit_chip_and_torch() -> None:
    name = file_name(date(2026, 3, 4), "abc", "Intel(R) Xeon(R) @ 2.0GHz", "2.15.0+cu132")
    assert name == "2026-03-04-abc-intel-r-xeon-r-2-0ghz-torch2.15.0.json"


def test_the_issues_bounds_are_all_there() -> None:
    found = {(bound.part, bound.case, bound.beside): bound.least for bound in command.bounds_of(CPU_CASES)}
    assert found == {
        ("training", "test_resnet 64 px", "ceiling"): 0.88,
        ("training", "test_vit 64 px", "ceiling"): 0.88,
        ("training", "test_efficientnet 64 px", "ceiling"): 0.88,
        ("training", "resnet18 64 px", "ceiling"): 0.95,
        ("training", "test_resnet 64 px", "timm train.py"): 1.6,
        ("training", "resnet18 64 px", "timm train.py"): 1.2,
        ("pretraining", "simclr, test_resnet 64 px", "lightly"): 1.5,
        ("pretraining", "byol, test_resnet 64 px", "lightly"): 1.5,
    }


# --- the command


@pytest.fixture
def invented(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Let training have made-up rates: ours changes with the test, the ceiling makes 100."""
    rates = {OURS: 90.0, CEILING: 100.0}

    def measured(settings: Settings, cases: Sequence[Case]) -> Iterator[Comparison]:
        yield Comparison("training", cases[0].title, {name: [rate] * settings.rounds for name, rate in rates.items()})

    monkeypatch.setattr(command, "PARTS", {"training": measured})
    monkeypatch.setattr(command, "CPU_CASES", (TINY,))
    monkeypatch.setattr(command, "pick_device", lambda: CPU)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return rates


def test_a_missed_bound_ends_with_1_and_a_held_one_with_0(invented: dict[str, float], tmp_path: Path) -> None:
    run = ["--threads", "1", "--rounds", "3", "--out", str(tmp_path)]
    good = CliRunner().invoke(command.app, run)
    assert good.exit_code == 0, good.output
    assert "PASS  training, test_resnet 32 px: 0.900 times ceiling, at least 0.88 asked" in good.output
    assert "NOT MEASURED  training, test_resnet 32 px: beside timm train.py" in good.output
    (path,) = tmp_path.iterdir()
    written = json.loads(path.read_text())
    assert written["machine"]["torch_threads"] == 1 and written["machine"]["versions"]["torch"]
    assert written["comparisons"][0]["rates"] == {OURS: [90.0] * 3, CEILING: [100.0] * 3}
    assert [row["verdict"] for row in written["bounds"]] == ["PASS", "NOT MEASURED"]

    invented[OURS] = 80.0
    bad = CliRunner().invoke(command.app, run)
    assert bad.exit_code == 1
    assert "MISSED  training, test_resnet 32 px: 0.800 times ceiling, at least 0.88 asked" in bad.output
    assert "missed: 1 of 2 bounds" in bad.output


def test_an_unknown_part_is_refused(invented: dict[str, float], tmp_path: Path) -> None:
    assert command.chosen("") == ["training"]
    with pytest.raises(ConfigError, match=r"`--only` to name parts of training; got 'trainig'"):
        command.chosen("training,trainig")


# --- the sides, on tiny sizes


def test_ours_is_the_road_with_all_that_costs_time() -> None:
    recipe = recipe_of(TINY)
    assert (recipe.augment, recipe.mix, recipe.ema, recipe.au_weight) == ("generic", "mixup", 0.99, 0.5)
    assert (recipe.timm, recipe.size, recipe.batch_size, recipe.optimizer) == ("test_resnet", 32, 4, "adamw")


def test_training_has_all_its_rows(tmp_path: Path) -> None:
    found = training.measure_case(TINY, settings(tmp_path))
    assert list(found.rates) == [OURS, CEILING, "timm's pieces", "PyTorch loop"]
    assert found.missing == {"timm train.py": "give --timm-train"}
    assert all(len(rates) == 2 and min(rates) > 0 for rates in found.rates.values())
    assert found.details["batch"] == 4 and len(found.details["checkpoint_seconds"]) == 4  # type: ignore[arg-type]


def test_an_epoch_pays_its_share_of_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    side = training.ours(TINY, 3, training.Between(3, CPU), {})
    turn = side.make()
    for saving, between in (
        (7.0, 700.0),  # a hundred times as long as the save
        (0.5, 2 * 2700 / 12),  # an epoch of all faces, which takes longer
    ):
        times = iter([0.0, 2.0, 2 + saving, 2.5 + saving])  # start, trained, saved, validated
        monkeypatch.setattr(training, "clock", lambda device, times=times: next(times))
        assert turn() == {OURS: pytest.approx(12 / (2 + saving * 2 / between))}
    side.close()


def test_steps_of_the_ceiling_come_between_ours_and_have_clocks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = [0.0], list[str]()

    def takes(seconds: float, name: str) -> Callable[..., Any]:
        def step(*given: object) -> Any:
            now[0] += seconds
            order.append(name)
            return given

        return step

    monkeypatch.setattr(training, "clock", lambda device: now[0])
    between = training.Between(2, CPU)
    step = between.before(takes(3.0, "ours"))
    assert step(1, 2) == (1, 2) and (between.steps, between.seconds) == (0, 0.0)  # the ceiling is not built yet
    between.step = takes(1.0, "ceiling")
    between.begin()
    order.clear()
    for _ in range(5):
        step()
    assert "".join(name[0] for name in order) == "ccooccoocco"
    assert (between.steps, between.seconds) == (6, 6.0)


def test_our_rate_is_without_the_ceilings_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def passes(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(training, "clock", lambda device: now[0])
    monkeypatch.setattr(training.Learner, "step", lambda self: passes(2.0))
    monkeypatch.setattr(training, "train_epoch", lambda learner, epoch: {"steps": [learner.step() for _ in range(3)]})
    monkeypatch.setattr(training, "validate", lambda *given: passes(1.0))
    between = training.Between(2, CPU)
    side = training.ours(TINY, 3, between, {})
    turn = side.make()
    assert turn() == {OURS: 2.0}  # 12 pictures in 6 seconds; a save takes none on this clock
    between.step = lambda: passes(0.5)
    assert turn() == {OURS: 2.0, CEILING: 8.0}
    side.close()


def test_pretraining_has_all_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = pretraining.plan
    monkeypatch.setattr(pretraining, "plan", lambda method: plan(method) | {"batch_size": 4})
    for method in ("simclr", "byol"):
        found = pretraining.measure_method(method, TINY, settings(tmp_path))
        assert list(found.rates) == [OURS, CEILING, "lightly"]
        assert found.case == f"{method}, test_resnet 32 px"


def test_evaluation_has_all_its_rows_and_takes_our_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "BATCH", 16)
    found = evaluation.measure_case(TINY, settings(tmp_path))
    assert list(found.rates) == [OURS, CEILING, "PyTorch loop"]
    model = training.build(recipe_of(TINY), CPU)

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            model(torch.rand(2, 3, 32, 32))

    assert evaluation.used_precision(model, run, CPU) == "bf16"


def test_pil_views_are_ours_within_a_few_grey_levels() -> None:
    from PIL import Image

    from fer_core.tta import VIEWS, make_views

    smooth = cv2.GaussianBlur(faces(1, 64).pixels[0].numpy(), (0, 0), 3)
    ours = make_views(torch.from_numpy(smooth).permute(2, 0, 1)[None].float() / 255, list(VIEWS))[:, 0]
    theirs = evaluation.Views(list(VIEWS))(Image.fromarray(smooth))
    inside = (ours - theirs)[:, :, 10:-10, 10:-10].abs()
    assert inside.mean(dim=(1, 2, 3)).max() < 0.03


def test_alignment_and_the_join_have_their_rows(tmp_path: Path) -> None:
    (found,) = au_join.measure(settings(tmp_path), ())
    assert (found.part, list(found.rates)) == ("aus", [OURS, "pandas merge"])
    (found,) = aligning.measure(settings(tmp_path), ())
    assert list(found.rates) == [OURS, "facenet-pytorch", "ours, one at a time"]


def test_the_folder_of_pictures_has_as_many_as_asked(tmp_path: Path) -> None:
    folder = folder_of_pictures(tmp_path, 600, 16)
    files = list((folder / "train").glob("*/*.jpg"))
    assert len(files) == 600 and len({file.stat().st_ino for file in files}) == 512
    assert {file.parent.name for file in files} == set(CLASSES)


def test_the_number_of_workers_is_the_quickest_of_those_tried() -> None:
    rates, log = {0: 3.0, 1: 5.0, 2: 4.0}, list[str]()
    chosen = Settings(CPU, 1, 0.4, 1, (0, 1, 2), None, Path())
    for _ in range(2):  # the second time it is known
        assert peers.best_workers(chosen, 64, lambda workers: fixed("x", rates[workers], log)) == 1
    assert len(log) == 6


# --- a script that logs as timm's does

LOGS = """
import sys, time
assert "--batch-size" in sys.argv
for epoch in range(100):
    for step in range(0, 1000, 2):
        time.sleep(0.02)
        print(f"Train: {epoch} [{step:>4d}/1000 (  0%)]  Loss: 1.0", file=sys.stderr, flush=True)
"""


def test_a_script_sleeps_until_its_turn_and_is_timed_by_its_log(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(LOGS)
    chosen = Settings(CPU, 1, 0.4, 1, (0,), script, tmp_path)
    side = timm_script.side(TINY, chosen, "fp32", tmp_path, 0, 8)
    turn = side.make()
    time.sleep(0.5)
    rate = turn()
    memory = side.close()
    assert 20 < rate < 401  # two steps of four pictures in 0.02 s or more: the sleep of half a second is not counted
    assert memory is None or memory >= 0


def test_a_script_that_fails_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "train.py"
    script.write_text("raise SystemExit('no such model')")
    monkeypatch.setattr(timm_script, "command", lambda *_: [sys.executable, str(script)])
    side = timm_script.side(TINY, settings(tmp_path, script), "fp32", tmp_path, 0, 8)
    with pytest.raises(Missing, match=r"train\.py ended: .*no such model"):
        side.make()
    side.close()
    with pytest.raises(Missing, match="is no file"):
        timm_script.side(TINY, settings(tmp_path, tmp_path / "none.py"), "fp32", tmp_path, 0, 8).make()


def test_the_script_is_told_what_the_others_do(tmp_path: Path) -> None:
    vit = Case("test_vit", 64, {"patch_size": 16})
    line = " ".join(timm_script.command(vit, settings(tmp_path, tmp_path), "bf16", tmp_path, 1, 5))
    for part in (
        "--model test_vit",
        "--input-size 3 64 64",
        "--batch-size 64",
        "--amp --amp-dtype bfloat16",
        "--channels-last",
        "--opt adamw",
        "--mixup 0.2",
        "--model-ema --model-ema-decay 0.99",
        "--model-kwargs patch_size=16 img_size=64",
    ):
        assert part in line
