"""Verdicts at their edges, and rows in cases that the whole tree of test_report does not have."""

import pytest

from fer_core.errors import DataError
from fer_core.evaluation.gains import KEYS, gain_rows, seeds_of, standing, verdict
from fer_core.evaluation.head import gap_sentence, headline, summarise
from fer_core.evaluation.paired import Comparison, Interval
from fer_core.evaluation.power import detectable_gain
from fer_core.evaluation.table import claim_text, gain_text, p_text, score_text, seeds_text, title_text, verdict_text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-3.0, -0.1, "harmful"),
        (-3.0, 0.0, "not distinguishable from 0"),
        (0.0, 0.0, "not distinguishable from 0"),
        (0.0, 30.0, "not distinguishable from 0"),
        (-1.0, 30.0, "not distinguishable from 0"),
        (0.1, 4.9, "below the claim"),
        (0.1, 5.0, "compatible with the claim"),
        (6.0, 7.0, "compatible with the claim"),
        (10.0, 20.0, "compatible with the claim"),
        (10.1, 20.0, "above the claim"),
    ],
)
def test_verdict_against_a_claim_of_5_to_10(low, high, expected):
    assert verdict(low, high, 5, 10) == expected


def test_an_open_claim_cannot_be_exceeded():
    assert verdict(50, 60, 5, None) == "compatible with the claim"
    assert verdict(1, 2, 5, None) == "below the claim"


def test_without_a_claim_a_gain_is_only_told_from_0():
    assert verdict(0.1, 2, None, None) == "above 0, nothing was claimed"
    assert verdict(-0.1, 2, None, None) == "not distinguishable from 0"
    assert verdict(-2, -1, None, None) == "harmful"


def run(accuracy=0.5, **facts):
    test = {"accuracy": accuracy, "n": 100, "classes_present": 3, "nll": 1.0}
    validation = {"accuracy": 0.5, "macro_f1": 0.4}
    return {"state": "done", "reason": None, "test": test, "validation": validation, "alarms": []} | facts


def compare(candidate, reference):
    gain = Interval(5.0, 1.0, 9.0)
    return Comparison(gain, gain, gain, gain, gain, 0.01, 12, 3, 1)


def score(predictor, metric):
    return Interval(0.5, 0.4, 0.6)


def road(**technique):
    plan = {"phase": 1, "title": "T", "claimed": [3, 8], "applicable": True, "reason": None}
    plan |= {"alone": "train/alone-t", "reference_alone": "train/baseline", "candidate": "train/ladder-t"}
    phase = {"title": "Phase 1: first", "from": 55, "to": 65, "claimed": [10, 10]}
    return {"phases": {1: phase}, "techniques": {"t": plan | technique}}


STATE = {"applicable": True, "kept": True, "candidate": "train/ladder-t", "reference": "train/baseline"}
STATE |= {"current": "train/ladder-t"}
RUNS = {name: run(fingerprint=name, train_seconds=10.0) for name in ("train/baseline", "train/ladder-t")}


def test_a_run_that_was_not_needed_keeps_its_reason():
    runs = RUNS | {"train/alone-t": {"state": "not_needed", "reason": "same as the baseline"}}
    rows = gain_rows(road(), {"t": STATE}, runs, compare, score)
    alone = rows[2]
    assert (alone["view"], alone["applicable"], alone["reason"]) == ("alone", False, "same as the baseline")
    assert verdict_text(alone) == "not applicable: same as the baseline"


def test_what_lies_beyond_the_roadmap_is_a_phase_without_a_claim():
    beyond = {"title": "Beyond the roadmap", "from": None, "to": None, "claimed": None}
    layout = road(phase="beyond", claimed=None)
    layout["phases"]["beyond"] = beyond
    rows = gain_rows(layout, {"t": STATE}, RUNS | {"train/alone-t": run()}, compare, score)
    row = next(row for row in rows if row["technique"] == "phase beyond")
    assert (row["phase"], row["claimed_low"], row["gain"]) == ("beyond", None, 5.0)
    assert verdict_text(row) == "above 0, nothing was claimed" and claim_text(row) == "–"
    assert title_text(row) == "Beyond the roadmap", "not: Phase beyond"
    summary = summarise(rows, "train/ladder-t", compare, score)
    assert summary["phase_beyond_accuracy"] == 0.5
    assert "claims 55 -> 65" in headline(summary, layout)
    empty = road()
    empty["phases"]["beyond"] = beyond
    rows = gain_rows(empty, {"t": STATE}, RUNS | {"train/alone-t": run()}, compare, score)
    assert all(row["technique"] != "phase beyond" for row in rows), "no row for a phase of nothing"


def test_weak_au_labels_are_named_in_every_row_that_learned_them():
    weak = run(fingerprint="w", train_seconds=1.0, weak_aus=True)
    runs = RUNS | {"train/alone-t": weak, "stack/alone": run(members=["train/alone-t"])}
    rows = gain_rows(road(), {"t": STATE}, runs, compare, score)
    assert [row["title"] for row in rows if row["technique"] == "t"] == ["T (weak AU labels)", "T"]
    rows = gain_rows(road(alone="stack/alone"), {"t": STATE}, runs, compare, score)
    assert rows[2]["title"] == "T (weak AU labels)", "an ensemble with such a member"
    everything = {name: entry | {"weak_aus": True} for name, entry in RUNS.items()} | {"train/alone-t": run()}
    assert gain_rows(road(), {"t": STATE}, everything, compare, score)[0]["title"] == "Baseline (weak AU labels)"


def test_a_technique_of_the_users_own_that_is_not_on_the_ladder_is_an_alone_row_only():
    rows = gain_rows(road(candidate=None), {}, RUNS | {"train/alone-t": run()}, compare, score)
    assert [row["technique"] for row in rows] == ["baseline", "phase 1", "t"]
    assert rows[1]["reason"] == "none of its techniques is on this road"
    assert standing(road(candidate=None), {}) == "train/baseline"


def test_the_same_training_is_not_paid_twice():
    runs = RUNS | {"train/ladder-t": RUNS["train/baseline"], "train/alone-t": run()}
    rows = gain_rows(road(), {"t": STATE}, runs, compare, score)
    assert rows[-1]["train_seconds"] == 0
    assert rows[0]["train_seconds"] == 10


def test_every_row_has_every_key_in_one_order():
    for row in gain_rows(road(), {"t": STATE}, RUNS, compare, score):
        assert tuple(row) == KEYS


def by_seed(*accuracies, name="train/baseline"):
    names = [name, *(f"{name}/seed-{index}" for index in range(1, len(accuracies)))]
    return {one: run(accuracy, fingerprint=one) for one, accuracy in zip(names, accuracies, strict=True)}


def test_the_luck_of_seeds_stands_beside_every_row():
    """0.5, 0.52 and 0.57 have the mean 0.53 and the standard deviation sqrt((9 + 1 + 16) / 2) points."""
    runs = RUNS | by_seed(0.5, 0.52, 0.57) | {"train/alone-t": run()}
    baseline, _, alone, rung = gain_rows(road(), {"t": STATE}, runs, compare, score)
    assert (baseline["seeds"], baseline["seed_sd_of"]) == (3, "own")
    assert baseline["seed_sd"] == pytest.approx(13**0.5)
    for row in (alone, rung):
        assert (row["seeds"], row["seed_sd"], row["seed_sd_of"]) == (1, baseline["seed_sd"], "baseline")
    assert (seeds_text(baseline), seeds_text(alone)) == ("3, ±3.6", "1, ±3.6 (baseline)")
    own = runs | by_seed(0.4, 0.5, name="train/alone-t")
    alone = gain_rows(road(), {"t": STATE}, own, compare, score)[2]
    assert (alone["seeds"], alone["seed_sd_of"]) == (2, "own") and alone["seed_sd"] == pytest.approx(50**0.5)


def test_without_a_second_seed_no_spread_is_invented():
    rows = gain_rows(road(), {"t": STATE}, RUNS | {"train/alone-t": run()}, compare, score)
    assert {(row["seeds"], row["seed_sd"], row["seed_sd_of"]) for row in rows} == {(1, None, None)}
    assert seeds_text(rows[0]) == "1"


def test_ten_seeds_are_in_the_order_of_their_numbers():
    runs = [f"a/seed-{index}" for index in range(12, 0, -1)] + ["a", "ab/seed-1"]
    assert seeds_of(runs, "a") == ["a", *(f"a/seed-{index}" for index in range(1, 13))]
    assert seeds_of(runs, "a", 2) == ["a", "a/seed-1"] and seeds_of(runs, "ab") == ["ab", "ab/seed-1"]


def test_p_is_corrected_over_the_table_and_the_same_pair_counts_once():
    """The rung and its phase compare the same pair, the technique alone another: two tests of p 0.01."""
    rows = gain_rows(road(), {"t": STATE}, RUNS | {"train/alone-t": run()}, compare, score)
    assert [row["p_adjusted"] for row in rows] == [None, 0.02, 0.02, 0.02]
    assert p_text(rows[1]) == "0.01 (0.02)" and p_text(rows[0]) == "–"


def test_what_a_row_could_have_shown():
    """12 + 3 discordant faces of 100."""
    rows = gain_rows(road(), {"t": STATE}, RUNS | {"train/alone-t": run()}, compare, score)
    assert rows[0]["detectable"] is None and rows[0]["discordant"] is None
    assert rows[1]["discordant"] == 0.15 and rows[1]["detectable"] == pytest.approx(detectable_gain(100, 0.15))
    summary = summarise(rows, "train/ladder-t", compare, score)
    assert summary["detectable_gain"] == pytest.approx(detectable_gain(100, 0.15), abs=1e-6)


def test_what_was_pretrained_for_several_counts_once():
    """A stack of two that share 30 s of pretraining, on a baseline that shares 5 s of another with one of them."""
    before = {"train/baseline": {"x": 5.0}, "train/a": {"x": 5.0, "y": 30.0}, "train/b": {"y": 30.0}}
    runs = {name: run(fingerprint=name, train_seconds=10.0, before=cost) for name, cost in before.items()}
    runs["train/alone-t"] = run(members=["train/a", "train/b"])
    row = gain_rows(road(candidate=None), {}, runs, compare, score)[2]
    assert (row["train_seconds"], row["pretrain_seconds"]) == (20.0, 30.0)
    assert row["gain_per_minute"] == pytest.approx(5.0 / (50 / 60))


def test_a_stack_takes_as_long_as_its_members():
    runs = RUNS | {"train/a": run(milliseconds_per_face=0.5), "train/b": run(milliseconds_per_face=0.25)}
    runs["train/alone-t"] = run(members=["train/a", "train/b"])
    assert gain_rows(road(), {"t": STATE}, runs, compare, score)[2]["milliseconds_per_face"] == 0.75
    runs["train/b"] = run()
    assert gain_rows(road(), {"t": STATE}, runs, compare, score)[2]["milliseconds_per_face"] is None


def test_leave_one_out_measures_the_whole_recipe_against_all_but_one():
    runs = RUNS | {"train/member-current": run(0.6), "without/t": run(0.5)}
    rows = [row for row in gain_rows(road(), {"t": STATE}, runs, compare, score) if row["view"] == "without"]
    assert [(row["technique"], row["predictor"], row["reference"]) for row in rows] == [
        ("t", "train/member-current", "without/t")
    ]
    assert (rows[0]["gain"], rows[0]["claimed_low"], rows[0]["verdict"]) == (5.0, 3, "compatible with the claim")
    runs["without/t"] = {"state": "not_applicable", "reason": "no AU labels"}
    rows = [row for row in gain_rows(road(), {"t": STATE}, runs, compare, score) if row["view"] == "without"]
    assert (rows[0]["applicable"], rows[0]["reason"]) == (False, "no AU labels")


def test_missing_states_and_baseline_are_refused():
    with pytest.raises(DataError, match="rung t has no state"):
        gain_rows(road(), {}, RUNS, compare, score)
    with pytest.raises(DataError, match="train/baseline has no predictions"):
        gain_rows(road(), {"t": STATE}, {}, compare, score)


def test_words():
    row = gain_rows(road(), {"t": STATE}, RUNS, compare, score)[-1]
    assert (gain_text(row), claim_text(row), score_text(row, "uar")) == ("+5.0 [1.0, 9.0]", "3–8", "50.0 ↑")
    assert claim_text(row | {"claimed_high": None}) == "3+"
    assert claim_text(row | {"claimed_high": 3}) == "3"
    assert score_text(row | {"uar_gain_low": -4, "uar_gain_high": -0.1}, "uar") == "50.0 ↓"
    assert score_text(row | {"uar_gain_low": -4, "uar_gain_high": 0}, "uar") == "50.0"
    found = {"baseline_accuracy": 0.5, "final_accuracy": 0.4, "final_gain": -10.04}
    found |= {"final_gain_low": -12.0, "final_gain_high": -8.0}
    assert headline(found, road()) == (
        "baseline 50.0 % -> final 40.0 %: -10.0 points [-12.0, -8.0]; the roadmap claims 55 -> 65"
    )


def summary_with(ceiling):
    rows = gain_rows(road(), {"t": STATE}, RUNS, compare, score)
    return summarise(rows, "train/ladder-t", compare, score, ceiling)


def test_the_share_of_the_gap_that_is_closed():
    """Baseline 50 %, ceiling 90 %: 5 points of 40 are an eighth, and 1 and 9 points a 40th and 9 40ths."""
    found = summary_with({"accuracy": 0.9, "macro_f1": 0.7})
    assert (found["ceiling_accuracy"], found["ceiling_macro_f1"], found["gap_closed"]) == (0.9, 0.7, 0.125)
    assert gap_sentence(found) == (
        "The ladder closes 12.5 % [2.5, 22.5] of the gap from the baseline (50.0 %) to the ceiling (90.0 %)."
    )


@pytest.mark.parametrize("level", [0.5, 0.4])
def test_a_ceiling_that_is_not_above_the_baseline_leaves_no_gap(level):
    found = summary_with({"accuracy": level, "macro_f1": 0.7})
    assert found["ceiling_accuracy"] == level and found["gap_closed"] is None
    assert gap_sentence(found).startswith("There is no gap to close from the baseline (50.0 %) to the ceiling (")


def test_without_a_ceiling_nothing_is_said_of_one():
    found = summary_with(None)
    assert [found[key] for key in ("ceiling_accuracy", "ceiling_macro_f1", "gap_closed")] == [None] * 3
    assert gap_sentence(found) is None
    older = {key: value for key, value in found.items() if not key.startswith(("ceiling", "gap"))}
    assert gap_sentence(older) is None, "a summary of an older report"
