"""Two experiments on the same faces: by hand, against a naive bootstrap, against statsmodels, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from fer_core.errors import DataError
from fer_core.evaluation.compare import A_BETTER, B_BETTER, SAME, UNCERTAIN, compare, seed_luck, verdict
from fer_core.evaluation.compare_faces import Side
from fer_core.evaluation.power import detectable_gain

CLASSES = ["anger", "fear", "joy"]
N = 120
LABELS = np.arange(N) % 3
CLIP_LABELS = np.arange(6) % 3


def answers(rate: float, seed: int, labels: np.ndarray = LABELS) -> np.ndarray:
    """Right with the chance `rate`, else the next class."""
    right = np.random.default_rng(seed).random(len(labels)) < rate
    return np.where(right, labels, (labels + 1) % 3)


def table(predictors: dict[str, np.ndarray], subjects: list[str] | None = None) -> pd.DataFrame:
    """faces.parquet: N pictures and 6 clips."""
    stills = pd.DataFrame({"sample_id": [f"s{k:03d}" for k in range(N)], "track": "still", "label": LABELS})
    stills["subject"] = subjects
    clips = pd.DataFrame({"sample_id": [f"c{k}" for k in range(6)], "track": "clip", "label": CLIP_LABELS})
    joined = pd.concat([stills, clips], ignore_index=True)
    for name, values in predictors.items():
        clip = name.startswith("clips/")
        filled = [None] * N + list(values) if clip else [*values, *[None] * 6]
        joined[name] = pd.array(filled, dtype="Int16")
    return joined


def row(view: str, technique: str, predictor: str | None, values: np.ndarray | None = None, **more: Any) -> dict:
    truth = CLIP_LABELS if str(predictor).startswith("clips/") else LABELS
    found = {"view": view, "technique": technique, "title": technique.upper(), "predictor": predictor, "gain": None}
    found |= {"kept": None, "applicable": predictor is not None, "reason": None, "seed_sd": None}
    accuracy = None if values is None else float(np.mean([(part == truth).mean() for part in np.atleast_2d(values)]))
    return found | {"accuracy": accuracy} | more


def side(name: str, base: np.ndarray, alone: np.ndarray, rung: np.ndarray, kept: bool = True, **more: Any) -> Side:
    predictors = {"train/baseline": base, "train/alone-x": alone, "train/ladder-x": rung}
    rows = [row("ladder", "baseline", "train/baseline", base), row("alone", "x", "train/alone-x", alone)]
    rows += [row("ladder", "x", "train/ladder-x", rung, kept=kept)]
    about = {"data": "made up", "title": "Made up", "classes": CLASSES}
    return Side(name, rows, table(predictors), about, **more)


A = side("main", answers(0.5, 1), answers(0.6, 2), answers(0.7, 3))
B = side("workspace", answers(0.8, 4), answers(0.62, 5), answers(0.7, 3))


def by_name(rows: list[dict], view: str, technique: str) -> dict:
    return next(row for row in rows if (row["view"], row["technique"]) == (view, technique))


def test_headline_first_then_each_row_once() -> None:
    found = compare(A, B, resamples=200)
    assert [row["title"] for row in found.headline] == ["Baseline", "End of the ladder"]
    assert [(row["view"], row["technique"]) for row in found.rows] == [("alone", "x"), ("ladder", "x")]
    assert found.n == {"still": N, "clip": 6}
    base, final = found.headline
    assert base["verdict"] == B_BETTER
    assert base["difference"] > 0, "B minus A"
    assert (final["verdict"], final["difference"], final["p_value"], final["detectable"]) == (SAME, 0.0, None, None)
    assert (final["difference_low"], final["difference_high"]) == (0.0, 0.0)
    assert found.only == []


def test_the_other_way_round_is_the_mirror_image() -> None:
    forth, back = compare(A, B, resamples=200).headline[0], compare(B, A, resamples=200).headline[0]
    assert (forth["verdict"], back["verdict"]) == (B_BETTER, A_BETTER)
    assert back["difference"] == pytest.approx(-forth["difference"])
    assert back["difference_low"] == pytest.approx(-forth["difference_high"])
    assert (back["accuracy_a"], back["only_a"]) == (forth["accuracy_b"], forth["only_b"])
    assert back["p_adjusted"] == forth["p_adjusted"]


@pytest.mark.parametrize("subjects", [None, [f"p{k // 4}" for k in range(N)]])
def test_numbers_against_a_naive_bootstrap_and_statsmodels(subjects: list[str] | None) -> None:
    old, new = answers(0.5, 1), answers(0.8, 4)
    a, b = (replace(s, faces=s.faces.assign(subject=[*(subjects or [None] * N), *[None] * 6])) for s in (A, B))
    found = compare(a, b, resamples=300, seed=7).headline[0]
    right_a, right_b = old == LABELS, new == LABELS
    units = np.arange(N) if subjects is None else np.arange(N) // 4
    rng, values = np.random.default_rng(7), []
    draws = rng.integers(0, units.max() + 1, size=(300, units.max() + 1))
    for drawn in draws:
        faces = np.concatenate([np.flatnonzero(units == unit) for unit in drawn])
        values.append(100 * (right_b[faces].mean() - right_a[faces].mean()))
    assert found["difference"] == pytest.approx(100 * (right_b.mean() - right_a.mean()))
    assert found["difference_low"] == pytest.approx(np.percentile(values, 2.5))
    assert found["difference_high"] == pytest.approx(np.percentile(values, 97.5))
    counts = [[(right_a & right_b).sum(), (right_a & ~right_b).sum()], [(~right_a & right_b).sum(), 0]]
    assert found["p_value"] == pytest.approx(mcnemar(counts, exact=True).pvalue)
    assert (found["only_a"], found["only_b"]) == (counts[0][1], counts[1][0])
    assert found["discordant"] == pytest.approx((right_a != right_b).mean())
    assert found["detectable"] == pytest.approx(detectable_gain(N, (right_a != right_b).mean()))


def test_p_is_corrected_in_two_families_and_equal_answers_are_no_test() -> None:
    pairs = [(answers(0.5, 10 + k), answers(0.62, 20 + k)) for k in range(3)]
    pairs += [pairs[0]]  # the same answers by another name: one test
    pairs += [(answers(0.5, 30), answers(0.5, 30))]  # same answers on both sides: none

    def more(old: Side, which: int) -> Side:
        rows, faces = list(old.rows), old.faces
        for k, pair in enumerate(pairs):
            rows.append(row("vote", f"v{k}", f"stack/v{k}", pair[which]))
            faces = faces.assign(**{f"stack/v{k}": pd.array([*pair[which], *[None] * 6], dtype="Int16")})
        return replace(old, rows=rows, faces=faces)

    found = compare(more(A, 0), more(B, 1), resamples=200)
    tested = [by_name(found.rows, "alone", "x"), *(by_name(found.rows, "vote", f"v{k}") for k in range(3))]
    expected = multipletests([row["p_value"] for row in tested], method="holm")[1]
    assert [row["p_adjusted"] for row in tested] == pytest.approx(list(expected))
    assert by_name(found.rows, "vote", "v3")["p_adjusted"] == tested[1]["p_adjusted"]
    assert by_name(found.rows, "vote", "v4")["p_adjusted"] is None
    assert found.headline[0]["p_adjusted"] == found.headline[0]["p_value"], "the only test of the headline"


def test_a_row_of_the_headlines_pair_has_the_headlines_p() -> None:
    b = side("b", answers(0.8, 4), answers(0.62, 5), answers(0.75, 8))
    found = compare(A, b, resamples=200)
    (base, final), rung = found.headline, by_name(found.rows, "ladder", "x")
    assert base["p_value"] < final["p_value"] < by_name(found.rows, "alone", "x")["p_value"]
    assert base["p_adjusted"] == 2 * base["p_value"]
    assert final["p_adjusted"] == rung["p_adjusted"] == final["p_value"], "among the rows it would have been doubled"


def test_a_verdict_needs_the_interval_and_the_corrected_p() -> None:
    assert verdict(0.1, 5.0, 0.049) == B_BETTER
    assert verdict(-5.0, -0.1, 0.049) == A_BETTER
    assert verdict(0.0, 5.0, 0.001) == verdict(-5.0, 0.0, 0.001) == UNCERTAIN
    assert verdict(0.1, 5.0, 0.05) == verdict(-5.0, -0.1, 0.05) == UNCERTAIN


def test_where_no_rung_was_kept_the_baseline_stands_at_the_end() -> None:
    a, b = (
        replace(s, rows=[row | {"kept": False} if row["view"] == "ladder" else row for row in s.rows]) for s in (A, B)
    )
    assert [row["title"] for row in compare(a, b, resamples=100).headline] == ["Baseline"]
    final = compare(a, B, resamples=100).headline[1]
    assert (final["predictor_a"], final["predictor_b"]) == ("train/baseline", "train/ladder-x")


def with_seeds(old: Side, runs: list[np.ndarray], sd: float | None) -> Side:
    others = {f"train/baseline/seed-{k}": pd.array([*v, *[None] * 6], dtype="Int16") for k, v in enumerate(runs, 1)}
    first = old.rows[0] | {"seed_sd": sd}
    return replace(old, rows=[first, *old.rows[1:]], faces=old.faces.assign(**others))


def test_the_headlines_baseline_is_the_mean_of_the_seeds_that_both_have() -> None:
    old, new = [answers(0.5, 1), answers(0.5, 41)], [answers(0.8, 4), answers(0.6, 51), answers(0.6, 52)]
    a, b = with_seeds(A, old[1:], 2.0), with_seeds(B, new[1:], 1.5)
    found = compare(a, b, resamples=200).headline[0]
    accuracy = [[(run == LABELS).mean() for run in runs[:2]] for runs in (old, new)]
    assert (found["title"], found["seeds"]) == ("Baseline, mean of 2 seeds", 2)
    assert found["accuracy_a"] == pytest.approx(np.mean(accuracy[0]))
    assert found["difference"] == pytest.approx(100 * (np.mean(accuracy[1]) - np.mean(accuracy[0])))
    assert found["seed_luck"] == pytest.approx(np.sqrt((2.0**2 + 1.5**2) / 2))


def test_rows_of_several_seeds_are_compared_as_means() -> None:
    runs = [answers(0.5, 1), answers(0.5, 61)]
    a = with_seeds(A, runs[1:], 1.0)
    a = replace(a, rows=[a.rows[0] | {"accuracy": float(np.mean([(r == LABELS).mean() for r in runs]))}, *a.rows[1:]])
    assert compare(replace(a, seeds=2), B, resamples=100).headline[0]["seeds"] == 1, "B has one"
    with pytest.raises(DataError, match=r"main: metrics/gains\.json gives train/baseline an accuracy of"):
        compare(replace(a, seeds=1), B, resamples=100)


def test_luck_of_seeds() -> None:
    assert seed_luck(1.0, 1.0, 1) == pytest.approx(2**0.5)
    assert seed_luck(None, 2.0, 4) == pytest.approx(2**0.5)
    assert seed_luck(None, None, 1) is None
    small = compare(with_seeds(A, [], 20.0), B, resamples=100).headline[0]
    assert small["within_luck"] is True
    assert compare(with_seeds(A, [], 0.1), B, resamples=100).headline[0]["within_luck"] is False
    assert compare(A, B, resamples=100).headline[0]["within_luck"] is None


def test_clips_are_compared_on_clips() -> None:
    def with_clips(old: Side, values: np.ndarray) -> Side:
        faces = old.faces.assign(**{"clips/lstm": pd.array([None] * N + list(values), dtype="Int16")})
        return replace(old, rows=[*old.rows, row("clip", "lstm", "clips/lstm", values)], faces=faces)

    found = compare(with_clips(A, CLIP_LABELS), with_clips(B, (CLIP_LABELS + 1) % 3), resamples=100)
    clip = by_name(found.rows, "clip", "lstm")
    assert (clip["track"], clip["n"], clip["difference"], clip["p_value"]) == ("clip", 6, -100.0, 2 * 0.5**6)


def test_rows_of_one_side_are_told_with_the_reason() -> None:
    a = replace(A, rows=[*A.rows, row("alone", "y", "train/alone-x", answers(0.6, 2)), row("alone", "z", None)])
    b = replace(
        B,
        rows=[
            *B.rows,
            row("alone", "y", None, reason="no votes"),
            row("alone", "w", "train/alone-x", answers(0.62, 5)),
        ],
    )
    told = [(only["technique"], only["side"], only["reason"]) for only in compare(a, b, resamples=100).only]
    assert told == [("y", "a", "workspace: no votes"), ("w", "b", "main: has no such row")]


def changed(old: Side, **about: Any) -> Side:
    return replace(old, about={**old.about, **about})


def test_other_data_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="expected one data set; got 'made up' in main and 'rafce' in workspace"):
        compare(A, changed(B, data="rafce"))
    with pytest.raises(DataError, match="expected one title of the data"):
        compare(A, changed(B, title="Others"))
    with pytest.raises(
        DataError, match=r"expected one classes; got 3 \(anger, fear, joy\) in main and 2 \(anger, joy\)"
    ):
        compare(A, changed(B, classes=["anger", "joy"]))


def test_other_test_faces_are_refused() -> None:
    fewer = replace(B, faces=B.faces[B.faces["sample_id"] != "s003"])
    with pytest.raises(DataError, match=r"got 126 in main and 125 in workspace, 1 only in main \(such as s003\)"):
        compare(A, fewer)
    other = replace(B, faces=B.faces.replace({"sample_id": {"s003": "s999"}}))
    with pytest.raises(DataError, match=r"1 only in main \(such as s003\) and 1 only in workspace \(such as s999\)"):
        compare(A, other)
    relabelled = B.faces.copy()
    relabelled.loc[3, "label"] = 1
    with pytest.raises(
        DataError, match="1 test faces have other labels; s003 is 'anger' in main and 'fear' in workspace"
    ):
        compare(A, replace(B, faces=relabelled))


def test_the_order_of_the_faces_does_not_matter() -> None:
    shuffled = replace(B, faces=B.faces.sample(frac=1.0, random_state=0))
    assert compare(A, shuffled, resamples=100) == compare(A, B, resamples=100)


def test_files_that_contradict_each_other_are_refused() -> None:
    wrong = replace(B, rows=[B.rows[0] | {"accuracy": 0.123}, *B.rows[1:]])
    with pytest.raises(DataError, match=r"workspace: .*train/baseline an accuracy of 0\.123, .*`dvc repro`"):
        compare(A, wrong)
    without = replace(B, faces=B.faces.drop(columns="train/alone-x"))
    with pytest.raises(DataError, match=r"workspace: .* has train/alone-x \(alone, x\), .* no answers of it"):
        compare(A, without)
    with pytest.raises(DataError, match=r"workspace: .* has no row of the baseline"):
        compare(A, replace(B, rows=B.rows[1:]))
    with pytest.raises(DataError, match=r"faces\.parquet lacks the columns track"):
        compare(A, replace(B, faces=B.faces.drop(columns="track")))
    twice = pd.concat([B.faces, B.faces.iloc[:1]], ignore_index=True)
    with pytest.raises(DataError, match=r"\('still', 's000'\) twice"):
        compare(A, replace(B, faces=twice))
    beyond = B.faces.copy()
    beyond.loc[0, "train/baseline"] = 3
    with pytest.raises(DataError, match=r"train/baseline: expected classes in 0\.\.2; got 0\.\.3"):
        compare(A, replace(B, faces=beyond))
