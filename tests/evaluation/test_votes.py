"""Rows that compare ways to vote and models of clips, the final recipe in words, and judges of several truths."""

from typing import Any

import pytest

from fer_core.errors import DataError
from fer_core.evaluation.final_recipe import recipe_lines
from fer_core.evaluation.gains import gain_rows
from fer_core.evaluation.paired import Comparison, Interval, Judge, Judges
from fer_core.evaluation.table import markdown
from fer_core.evaluation.votes import diversity_lines

TITLES = {"ensemble": "Ensemble", "tta": "TTA", "temporal_lstm": "LSTM"}


def run(**facts: Any) -> dict[str, Any]:
    test = {"accuracy": 0.5, "n": 100, "classes_present": 3, "nll": 1.0}
    found = {"state": "done", "reason": None, "test": test, "validation": {"accuracy": 0.5, "macro_f1": 0.4}}
    return found | {"alarms": [], "train_seconds": 10.0} | facts


MEMBERS = ["train/base-a", "train/base-b"]
VOTING: dict[str, Any] = {"members": MEMBERS, "best_member": "train/base-b", "method": "greedy"}
VIEWED: dict[str, Any] = {"of": "stack/alone", "members": MEMBERS, "views": 8, "weights_method": "learned"}
VIEWED["method"] = "greedy"
VIEWED["milliseconds_per_face_plain"] = 0.25
RUNS: dict[str, dict[str, Any]] = {
    "train/baseline": run(fingerprint="a"),
    "train/base-a": run(fingerprint="a"),
    "train/base-b": run(fingerprint="b", train_seconds=20.0),
    "stack/alone": run(**VOTING),
    "stack/alone/greedy": run(**VOTING),
    "stack/alone/mean": run(**VOTING),
    "stack/alone/voting": {"state": "not_applicable", "reason": "made up"},
    "stack/ladder": {"state": "not_applicable", "reason": "no AU labels", "best_member": None},
    "stack/mine": run(**VOTING),
    "stack/mine/mean": run(**VOTING),
    "tta/baseline": run(**VIEWED, milliseconds_per_face=1.5),
    "tta/baseline/mean": run(**VIEWED, milliseconds_per_face=1.5),
    "tta/baseline/learned": run(**VIEWED, milliseconds_per_face=1.5),
    "tta/ladder": run(**VIEWED),
    "tta/ladder/mean": run(**VIEWED),
    "tta/final": run(**VIEWED | {"views": 1}),
    "clips/baseline": run(),
    "clips/lstm": run(),
}


def plan(kind: str, alone: str, claimed: list[int], reference: str = "train/baseline") -> dict[str, Any]:
    found: dict[str, Any] = {"phase": None, "kind": kind, "applicable": True, "reason": None, "candidate": None}
    return found | {"alone": alone, "reference_alone": reference, "claimed": claimed}


TECHNIQUES = {
    "ensemble": plan("ensemble", "stack/alone", [3, 7]),
    "tta": plan("tta", "tta/baseline", [1, 3]),
    "temporal_lstm": plan("temporal", "clips/lstm", [10, 20], "clips/baseline"),
}
ROAD: dict[str, Any] = {
    "phases": {},
    "baseline": {"loss": "ce", "ssl": {"method": "none", "lr": 0.1}},
    "techniques": {name: found | {"title": TITLES[name]} for name, found in TECHNIQUES.items()},
}


class Seen:
    """What was compared with what."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    def compare(self, candidate: str, reference: str) -> Comparison:
        self.pairs.append((candidate, reference))
        gain = Interval(5.0, 4.0, 6.0)
        return Comparison(gain, gain, gain, gain, gain, 0.01, 12, 3, 1)

    def score(self, predictor: str, metric: str) -> Interval:
        return Interval(0.5, 0.4, 0.6)


def rows_of(runs: dict[str, dict[str, Any]], view: str) -> list[dict[str, Any]]:
    seen = Seen()
    return [row for row in gain_rows(ROAD, {}, runs, seen.compare, seen.score) if row["view"] == view]


def test_every_method_is_measured_against_the_best_member() -> None:
    rows = [row for row in rows_of(RUNS, "vote") if row["technique"].startswith("stack_alone")]
    assert [(row["predictor"], row["reference"]) for row in rows] == [
        ("train/base-b", None),
        ("stack/alone/mean", "train/base-b"),
        ("stack/alone/greedy", "train/base-b"),
    ], "one that was not made has no row"
    assert [("taken" in row["title"]) for row in rows] == [False, False, True]
    assert [(row["claimed_low"], row["claimed_high"]) for row in rows] == [(None, None), (3, 7), (3, 7)]
    assert [row["verdict"] for row in rows] == ["reference", "compatible with the claim", "compatible with the claim"]
    assert [row["train_seconds"] for row in rows] == [20, 10, 10], "beyond the best member's own"


def test_each_weighting_is_measured_against_one_view() -> None:
    rows = [row for row in rows_of(RUNS, "vote") if row["technique"].startswith("tta")]
    assert [(row["predictor"], row["reference"]) for row in rows] == [
        ("stack/alone", None),
        ("tta/baseline/mean", "stack/alone"),
        ("tta/baseline/learned", "stack/alone"),
    ], "a result of one view is no average, and the rung's views stand under another name"
    assert [row["milliseconds_per_face"] for row in rows] == [0.25, 1.5, 1.5]
    assert rows[0]["title"] == "Views of stack/alone: one view" and rows[1]["claimed_high"] == 3
    assert [("taken" in row["title"]) for row in rows] == [False, False, True]


def test_views_of_one_predictor_are_shown_once() -> None:
    again = {f"tta/single{part}": RUNS[f"tta/baseline{part}"] for part in ("", "/mean", "/learned")}
    titles = [row["title"] for row in rows_of(RUNS | again, "vote") if row["title"].startswith("Views of stack/alone")]
    assert len(titles) == len(set(titles)) == 3


def test_a_stack_made_by_hand_has_rows_too_behind_the_roads_own() -> None:
    names = [row["technique"] for row in rows_of(RUNS, "vote")]
    assert names[-2:] == ["stack_mine_reference", "stack_mine_mean"]
    assert len(names) == len(set(names))


def test_models_of_clips_are_a_view_with_a_reference_of_their_own() -> None:
    rows = rows_of(RUNS, "clip")
    assert rows[0]["title"] == "The clip track's baseline: stills of the clip, trained on clips and averaged"
    assert [(row["technique"], row["reference"]) for row in rows] == [
        ("clips", None),
        ("temporal_lstm", "clips/baseline"),
    ]
    assert "temporal_lstm" not in [row["technique"] for row in rows_of(RUNS, "alone")]
    nothing = {name: found for name, found in RUNS.items() if not name.startswith("clips/")}
    assert [row["applicable"] for row in rows_of(nothing, "clip")] == [False, False]


def test_the_page_has_both_views_and_what_the_members_have_in_common() -> None:
    seen = Seen()
    rows = gain_rows(ROAD, {}, RUNS, seen.compare, seen.score)
    summary = {"baseline_accuracy": 0.5, "final_accuracy": 0.5, "final_gain": 0.0, "final_gain_low": 0.0}
    summary |= {"final_gain_high": 0.0, "ceiling_accuracy": None}
    phases = {"1": {"from": 55, "to": 80, "claimed": [5, None]}}
    page = markdown(rows, summary, ROAD | {"phases": phases}, [], extra={"vote": ["- told of the members", ""]})
    vote, clip = page.split("## How members and views vote")[1].split("## The clip track")
    assert "| 1.5 |" in vote and "ms a face" in vote and "- told of the members" in vote
    assert "Points a minute" not in clip.split("## ")[0] and "Kept" not in clip.split("## ")[0]
    assert "| Baseline |" not in vote + clip.split("## ")[0], "the stills' baseline is no reference there"
    for block in page.split("\n\n"):
        if block.startswith("|"):
            assert len({text.count("|") for text in block.splitlines()}) == 1


def test_one_member_alone_has_no_rows_and_the_library_no_row_alone() -> None:
    one = RUNS | {"stack/alone": run(**VOTING | {"members": MEMBERS[:1], "method": "single"})}
    assert not [row for row in rows_of(one, "vote") if row["technique"].startswith("stack_alone")]
    road = ROAD | {"techniques": {"library": plan("library", "stack/library", [3, 7]) | {"title": "All"}}}
    seen = Seen()
    runs = RUNS | {"stack/library": run(**VOTING), "stack/library/mean": run(**VOTING)}
    rows = gain_rows(road, {}, runs, seen.compare, seen.score)
    assert not [row for row in rows if row["view"] == "alone"]
    assert "Ensemble of all runs: best member, train/base-b" in [row["title"] for row in rows if row["view"] == "vote"]


def test_diversity_is_told_where_it_is_known() -> None:
    runs = RUNS | {"stack/alone": run(**VOTING, diversity={"disagreement": 0.25, "error_correlation": None})}
    assert diversity_lines(runs) == [
        "- Ensemble on the baseline, 2 members on validation: they disagree on a share of 0.25."
    ]


def state(kept: bool, recipe: dict[str, Any], applicable: bool = True) -> dict[str, Any]:
    return {"kept": kept, "applicable": applicable, "recipe": recipe}


def test_the_final_recipe_says_what_was_kept_and_changed() -> None:
    road = ROAD | {"techniques": {name: {"title": name.upper()} for name in ("one", "two", "three", "four")}}
    changed = {"loss": "cb", "ssl": {"method": "simclr", "lr": 0.1}}
    states = {
        "one": state(True, {"loss": "cb", "ssl": {"method": "none", "lr": 0.1}}),
        "two": state(False, changed),
        "three": state(False, changed, applicable=False),
        "four": state(True, changed),
    }
    text = "\n".join(recipe_lines(road, states, RUNS, "tta/baseline"))
    assert "- Kept: ONE, FOUR." in text and "- Tried and not kept: TWO." in text and "THREE" not in text
    assert "`loss: cb`, `ssl.method: simclr`." in text and "lr:" not in text
    assert "over 8 views" in text and "greedy selection of" in text and "`train/base-a`, `train/base-b`" in text
    nothing = "\n".join(recipe_lines(ROAD, {}, RUNS, "train/baseline"))
    assert "Changed in the baseline: nothing." in nothing and "Kept: none." in nothing and "views" not in nothing


def test_predictors_of_other_samples_are_never_compared() -> None:
    judges = Judges({"": Judge([0, 1], {"train/a": [0, 1], "train/b": [0, 0]}, classes=2, resamples=100)})
    judges.add("clips", Judge([0, 1, 1], {"clips/c": [0, 1, 1], "clips/d": [1, 0, 0]}, classes=2, resamples=100))
    assert judges.compare("train/a", "train/b").accuracy.value == 50
    assert judges.compare("clips/c", "clips/d").accuracy.value == 100
    assert judges.score("clips/d", "accuracy").value == 0
    with pytest.raises(DataError, match="clips/c and train/a were measured on other samples"):
        judges.compare("clips/c", "train/a")
