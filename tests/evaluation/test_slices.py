"""Slices by attribute: hand-worked scores, the bootstrap against a naive one, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from fer_core.errors import ConfigError, DataError
from fer_core.evaluation.intervals import clusters_of
from fer_core.evaluation.predictions import Truth, read_truth
from fer_core.evaluation.slice_table import slice_lines
from fer_core.evaluation.slices import MAX_BINS, bins_of, part_of, select, slice_rows
from fer_core.manifest import without_clips

LABELS = [0, 0, 0, 1, 1, 2, 0, 1]
SKIN = ["dark", "dark", "dark", "dark", "light", "light", "light", None]
BASE = [0, 1, 1, 1, 1, 0, 0, 0]
FINAL = [0, 0, 1, 1, 1, 2, 1, 0]


def truth(labels=LABELS, subjects=None, **attributes):
    ids = [f"{k:04d}" for k in range(len(labels))]
    clusters = None if subjects is None else clusters_of(subjects)
    aus = np.arange(len(labels), dtype=float)[:, None]
    found = attributes or {"skin": SKIN, "beard": [None] * len(labels)}
    return Truth("test", ids, np.array(labels), clusters, aus, ["AU1"], 0, found)


def rows_of(of, base=BASE, final=FINAL, classes=3, resamples=400):
    return slice_rows(of, {"a": np.array(base), "b": np.array(final)}, "a", "b", classes, resamples, 0)


def test_scores_of_each_bin_worked_by_hand():
    """Dark: labels 0 0 0 1, baseline 0 1 1 1 (right 1st and 4th), final 0 0 1 1. Light: 1 2 0, 1 0 0, 1 2 1."""
    dark, light = rows_of(truth())
    assert [(row["attribute"], row["bin"], row["n"]) for row in (dark, light)] == [
        ("skin", "dark", 4),
        ("skin", "light", 3),
    ]
    assert (dark["classes_present"], light["classes_present"]) == (2, 3)
    assert (dark["baseline_accuracy"], dark["final_accuracy"], dark["gain"]) == (0.5, 0.75, 25.0)
    assert dark["baseline_uar"] == pytest.approx((1 / 3 + 1) / 2)
    assert dark["final_uar"] == pytest.approx((2 / 3 + 1) / 2)
    assert dark["uar_gain"] == pytest.approx(100 / 6)
    assert (light["baseline_accuracy"], light["final_accuracy"], light["gain"]) == pytest.approx((2 / 3, 2 / 3, 0))
    assert light["final_uar"] == pytest.approx(2 / 3)
    for row in (dark, light):
        assert row["gain_low"] <= row["gain"] <= row["gain_high"]


def many(n=240, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    base, final = (np.where(rng.random(n) < right, labels, rng.integers(0, 3, n)) for right in (0.3, 0.6))
    return labels, base, final, [("x", "y", "z")[k] for k in rng.integers(0, 3, n)]


def test_intervals_equal_a_naive_bootstrap_of_the_subjects_in_the_bin():
    labels, base, final, bins = many()
    subjects = [f"s{k // 4}" for k in range(len(labels))]
    rows = rows_of(truth(labels, subjects, kind=bins), base, final, resamples=4000)
    assert [row["bin"] for row in rows] == ["x", "y", "z"]
    rng = np.random.default_rng(3)
    for row in rows:
        members = {}
        for k in [k for k in range(len(labels)) if bins[k] == row["bin"]]:
            members.setdefault(subjects[k], []).append(k)
        people, draws = list(members), []
        for _ in range(2000):
            drawn = [k for person in rng.choice(people, len(people)) for k in members[person]]
            right = [(values[drawn] == labels[drawn]).mean() for values in (base, final)]
            draws.append([right[0], 100 * (right[1] - right[0])])
        for key, column in (("baseline_accuracy", 0), ("gain", 1)):
            expected = np.percentile(np.array(draws)[:, column], [2.5, 97.5])
            width = expected[1] - expected[0]
            assert [row[f"{key}_low"], row[f"{key}_high"]] == pytest.approx(expected, abs=0.08 * width), (row, key)


def test_a_part_has_its_own_subjects_numbered_without_gaps():
    """A number that no picture has would be drawn too, as a person without faces: intervals too wide."""
    whole = truth(subjects=["a", "a", "b", "c", "c", "d", "d", "b"])
    part = part_of(whole, np.array([0, 0, 0, 1, 1, 1, 1, 0], bool))
    assert part.clusters.tolist() == [0, 0, 1, 1]
    assert part.ids == ["0003", "0004", "0005", "0006"] and part.labels.tolist() == [1, 1, 2, 0]
    assert part.aus.ravel().tolist() == [3, 4, 5, 6] and part.attributes["skin"] == SKIN[3:7]
    single = part_of(whole, np.array([1, 0, 1, 0, 0, 1, 0, 0], bool))
    assert single.clusters is None, "one picture each: pictures are the units"


def test_one_picture_and_one_person_have_scores_without_intervals():
    alone = rows_of(truth(skin=["dark", *["light"] * 7]))[0]
    assert (alone["n"], alone["final_accuracy"], alone["final_accuracy_low"], alone["gain_high"]) == (
        1,
        1.0,
        None,
        None,
    )
    person = rows_of(truth(subjects=["a", "a", "a", "a", "b", "c", "d", "e"]))[0]
    assert (person["n"], person["gain"], person["gain_low"]) == (4, 25.0, None)


def test_nothing_kept_gives_a_gain_of_0():
    rows = slice_rows(truth(), {"a": np.array(BASE)}, "a", "a", 3, 200, 0)
    assert [(row["gain"], row["gain_low"], row["gain_high"]) for row in rows] == [(0, 0, 0)] * 2


def test_attributes_without_a_value_or_with_too_many_make_no_rows_and_the_page_says_so():
    n = MAX_BINS + 1
    attributes = {"age": [str(k) for k in range(n)], "beard": [None] * n, "skin": ["dark"] * (n - 2) + ["light", None]}
    of = truth([0, 1] * (n // 2) + [0], **attributes)
    assert set(bins_of(of)) == {"age", "skin"}
    rows = rows_of(of, [0] * n, [1] * n, 2)
    assert {row["attribute"] for row in rows} == {"skin"}
    page = "\n".join(slice_lines(rows, of.attributes))
    for text in ("`age` has 21 different values", "No test face has a value of `beard`", "1 test face has no value of"):
        assert text in page


def test_the_section_shows_percent_points_and_intervals():
    lines = slice_lines(rows_of(truth()), truth().attributes)
    assert lines[0] == "## By attribute"
    cells = [cell.strip() for cell in lines[4].strip("|").split("|")]
    assert cells[:4] == ["skin", "dark", "4", "2"]
    assert cells[4].startswith("50.0 [") and cells[5].startswith("75.0 [") and cells[6].startswith("+25.0 [")
    assert cells[7:] == ["66.7", "83.3"]
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert slice_lines([], {}) == [], "a set without attributes has no section"


def test_select_joins_conditions_by_and():
    of = truth(skin=SKIN, age=["adult", "child"] * 4)
    assert np.flatnonzero(select(of, ["skin=dark"])).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(select(of, ["skin = light", "age=adult"])).tolist() == [4, 6]


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (["skin"], ConfigError, "Expected a condition such as skin=BIN; got 'skin'"),
        (["skn=dark"], ConfigError, "Expected `attribute` to be one of age, skin; got 'skn'. Did you mean 'skin'"),
        (["skin=drak"], ConfigError, "Expected `skin` to be one of dark, light; got 'drak'. Did you mean 'dark'"),
        (["skin=dark", "skin=light"], DataError, "skin=dark skin=light leaves 0 of 8 test faces; .* at least 2"),
        (["age=baby"], DataError, "age=baby leaves 1 of 8 test faces"),
        (["age=child"], DataError, "age=child leaves 2 of 8 test faces, all of one class"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_valid_names(where, error, message):
    ages = ["child", "child", "adult", "adult", "adult", "adult", "adult", "baby"]
    with pytest.raises(error, match=message):
        select(truth(skin=SKIN, age=ages), where)


def test_one_person_is_refused_and_so_is_a_set_without_attributes():
    with pytest.raises(DataError, match="all of one person"):
        select(truth(subjects=["a", "a", "a", "a", "b", "c", "d", "e"]), ["skin=dark"])
    with pytest.raises(DataError, match="no attributes to select by"):
        select(truth(beard=[None] * 8), ["skin=dark"])


def test_truth_has_the_attributes_of_the_pictures_that_are_scored(tmp_path):
    """The first test picture was dropped: the second one's bin must not become the first's."""
    table = pd.DataFrame({"sample_id": list("vabc"), "split": ["validation", *["test"] * 3], "subject": None})
    table["emotion"] = pd.array([0, None, None, None], dtype="Int16")
    table["drop_reason"] = [None, "does not decode", None, None]
    table["attr_skin"] = ["dark", "dark", "light", None]
    for name, content in {
        "manifest": without_clips(table),
        "truth": pd.DataFrame({"sample_id": list("abc"), "emotion": [0, 1, 2]}),
        "aus": pd.DataFrame({"sample_id": list("abc")}),
    }.items():
        content.to_parquet(tmp_path / f"{name}.parquet")
    found = read_truth(*(tmp_path / f"{name}.parquet" for name in ("manifest", "truth", "aus")), 3)
    assert found["test"].ids == ["b", "c"] and found["test"].attributes == {"skin": ["light", None]}
    assert found["validation"].attributes == {"skin": ["dark"]}
