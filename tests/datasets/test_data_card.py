"""The data card: counts by hand, nothing of the test split but its size, escaped names, one section per set."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer_core.aus.agreement import about_sources
from fer_core.aus.labels import AuLabels
from fer_core.datasets.card_page.classes import balance
from fer_core.datasets.card_page.content import Content
from fer_core.datasets.card_page.limits import limits
from fer_core.datasets.card_page.plain import found, written
from fer_core.datasets.card_page.votes import agreement, entropy
from fer_core.datasets.data_card import data_card
from fer_core.datasets.dataset import Info
from fer_core.errors import DataError
from fer_core.manifest import empty_columns, validate

NAMES = ["calm", "<b>wild"]
INFO = Info("The Set", "example page", ("faces.csv",), "Ask `them`.", ("*.csv",), "made-up files")
LEAKAGE = {"pictures": 20, "leaks": 2, "subjects": 1, "duplicates": 1, "exact_duplicates": 1}
LEAKAGE |= {"duplicates_within_a_split": 0, "label_conflicts": 0, "label_conflicts_with_test": 0, "by_splits": {}}
CARD: dict[str, Any] = {"title": "The Set", "classes": NAMES, "vote_names": ["yes", "no"], "standin": None}
AUS: dict[str, Any] = {"names": ["AU12"], "titles": {"AU12": "lip corner puller"}, "notes": ["a note of the join"]}


def manifest() -> pd.DataFrame:
    """10 train rows (7 calm, 2 wild, 1 dropped), 4 validation rows (3 calm, 1 wild), 5 test rows, 1 of the pool."""
    split = ["train"] * 10 + ["validation"] * 4 + ["test"] * 5 + ["pool"]
    count = len(split)
    table = pd.DataFrame({**empty_columns("ingest", count), **empty_columns("align", count)})
    table = table.assign(source="own", split=split, sample_id=[f"s{k}" for k in range(count)], picture="p")
    emotion = [0] * 7 + [1, 1, 0] + [0, 0, 0, 1] + [None] * 6
    table["emotion"] = pd.Series(emotion, dtype="Int16")
    table["subject"] = [f"p{k // 2}" for k in range(count - 1)] + [None]
    table["votes"] = pd.Series([np.array([1, 0], np.float32)] * 2 + [np.array([0.5, 0.5], np.float32)] + [None] * 17)
    table["attr_age"] = ["old", "old", "<i>new"] + [None] * (count - 3)
    table.loc[9, "drop_reason"] = "no face found"
    kept = table["drop_reason"].isna()
    table["crop_index"] = pd.Series(np.where(kept, kept.cumsum() - 1, -1), dtype="Int32").where(kept)
    table["picture_width"] = table["picture_height"] = pd.Series(300, index=table.index, dtype="Int32")
    table["inter_ocular"] = np.float32([10, 10, 10] + [50] * 17)
    table["AU12"] = np.float32([1, 1, 0, 0] + [np.nan] * 6 + [1] + [np.nan] * 9)
    return validate(table, "join_aus", 2)


def content(table: pd.DataFrame | None = None, **changed: Any) -> Content:
    values: dict[str, Any] = {"card": CARD, "aus": AUS, "infos": {"own": INFO}, "leakage": None}
    faces = np.zeros((19, 8, 8, 3), np.uint8)
    return Content(table=manifest() if table is None else table, faces=faces, **values | changed)


def words(page: str) -> str:
    return " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page, flags=re.S).split())


def part(page: str, name: str) -> str:
    return words(page.split(f'<section id="{name}"')[1].partition("</section>")[0])


def test_counts_by_hand() -> None:
    page = data_card(content())
    assert "Train pictures 9 usable, with a label Validation pictures 4 usable" in words(page)
    assert "Test pictures 5 labels locked away" in words(page)
    classes = part(page, "classes")
    assert "calm 7 77.8 3 &lt;b&gt;wild 2 22.2 1 all 9 4" in classes
    assert "has 7 train pictures" in classes and "4 to 1" in classes
    people = part(page, "people")
    assert "train 9 5 2, at most 2 0 –" in people and "test 5 3 2, at most 2 0 –" in people
    assert "No subject stands in more than one" in people
    shared = manifest()
    shared.loc[shared["sample_id"] == "s14", "subject"] = "p0"
    assert "1 of the subjects stand in more than one" in part(data_card(content(shared)), "people")


def test_what_it_is_and_its_notes() -> None:
    page = data_card(content(card=CARD | {"notes": ["3 lines <were> odd"]}, leakage=LEAKAGE | {"policy": "report"}))
    about = part(page, "about")
    assert "Licence and terms example page How to obtain Ask them . Files expected faces.csv" in about
    assert "What its reader was tried on made-up files" in about
    assert "3 lines &lt;were&gt; odd" in page and "a note of the join" in part(page, "notes")
    assert "2 leaks" in part(page, "leaks") and "2 leaks between the splits were left in" in part(page, "limits")
    assert "no face found 1 1" in part(page, "dropped")
    assert "generated" not in words(page)


def test_the_stand_in_says_that_it_is_generated() -> None:
    page = data_card(content(card=CARD | {"standin": {"version": "2"}}))
    assert "These faces are generated : no person is shown." in words(page)
    assert "Nothing about people: the faces are generated." in part(page, "limits")


def test_action_units_count_what_is_annotated() -> None:
    units = part(data_card(content()), "units")
    assert "4 of 9 train pictures, 1 of 4 validation pictures" in units
    assert "AU12 lip corner puller 50.0 4 2 1 1 no" in units
    more = {"unmatched": {"labels": ["x<y"], "pictures": 3}}
    units = part(data_card(content(aus=AUS | more)), "units")
    assert "Rows without a partner labels x&lt;y pictures 3" in units
    without = content(manifest().drop(columns="AU12"), aus={"names": []})
    assert "This set has no AU labels." in part(data_card(without), "units")


def test_sources_of_action_units_as_the_join_reports_them() -> None:
    table = manifest().set_index("sample_id", drop=False)
    one = pd.DataFrame({"AU12": [1.0, 1.0, 0.0, 0.0]}, index=["s0", "s1", "s2", "s3"])
    two = pd.DataFrame({"AU12": [1.0, 0.0, 0.0, np.nan], "AU4": [1.0] * 4}, index=["s0", "s1", "s2", "s14"])
    named = {name: AuLabels(labels, lines=4, unannotated=0) for name, labels in (("people", one), ("face<2", two))}
    units = part(data_card(content(aus=AUS | about_sources(table, named))), "units")
    assert "people 13 9 0 0 face&lt;2 13 10 0 0" in units, "s14 is of test: not counted"
    assert "AU12 2 30.8 1 23.1 AU4 – – 3 23.1" in units
    assert "Agreement of people and face&lt;2" in units
    assert "AU12 3 66.7 0.40" in units, "2 of 3 alike; by chance (2 * 1 + 1 * 2) / 9: (6/9 - 4/9) / (5/9)"


def test_votes_and_attributes() -> None:
    page = data_card(content())
    assert "3 of 13 pictures of train and validation have votes. In 0 of them no label" in part(page, "votes")
    assert "yes 3 83.3 no 0 16.7" in part(page, "votes")
    assert "old 2 22.2 0 0.0 &lt;i&gt;new 1 11.1 0 0.0 not known 6 66.7 4 100.0" in part(page, "attributes")
    assert "no votes" in part(data_card(content(manifest().assign(votes=None))), "votes")


def test_spread_of_votes() -> None:
    votes = np.array([[1.0, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])
    assert agreement(votes).tolist() == [1.0, 0.25, 0.5]
    assert np.allclose(entropy(votes), [0, 1, 0.5])
    assert entropy(np.ones((2, 1))).tolist() == [0.0, 0.0]


def test_of_the_test_split_nothing_but_its_size() -> None:
    """Change everything of test rows that could be told: the page stays as it is."""
    table = manifest()
    other = table.copy()
    test = other["split"] == "test"
    other.loc[test, ["inter_ocular", "sharpness", "yaw"]] = np.float32(999)
    other.loc[test, "attr_age"] = "TOLD"
    other.loc[test, ["picture_width", "picture_height"]] = 7777
    other.loc[test, "sample_id"] = [f"TOLD{k}" for k in range(int(test.sum()))]
    assert data_card(content(other)) == data_card(content(table))


def test_labels_that_leaked_into_test_rows_are_not_told() -> None:
    other = manifest()
    test = other["split"] == "test"
    other.loc[test, "emotion"], other.loc[test, "AU12"] = 1, 1.0
    assert data_card(content(other)) == data_card(content())


def test_sample_faces_are_of_train() -> None:
    page = data_card(content())
    shown = set(re.findall(r'alt="(s\d+): ', page))
    assert shown == {f"s{k}" for k in range(9)}, "7 calm, 2 wild; s9 was dropped"
    samples = page.split('<section id="samples"')[1].partition("</section>")[0]
    assert samples.count("<img") == 9 and "<b>wild" not in page


def test_many_classes_do_not_make_the_page_large() -> None:
    names = [f"class {k}" for k in range(2_000)]
    table = manifest()
    card = CARD | {"classes": names}
    assert len(data_card(content(table, card=card))) < 3e6


def test_several_sets_have_a_section_each() -> None:
    table = manifest()
    table["source"] = np.where(np.arange(20) % 2, "own", "ot<her")
    page = data_card(content(table, card=CARD | {"title": "The Set + <u>Other"}))
    assert "Classes, all sets" in part(page, "classes") and "all 9 4" in part(page, "classes")
    first, second = part(page, "set-0"), part(page, "set-1")
    assert "Nothing is known of a data set called ot&lt;her" in first and "calm 4" in first
    assert "The Set" in second and "calm 3" in second and "example page" in second
    assert "differ in cameras" in part(page, "limits")
    assert "<u>" not in page and "ot<her" not in page


def test_limits_name_what_is_few() -> None:
    told = " ".join(limits(content()))
    assert "**<b>wild** (2)" not in told and "**<b>wild (2)**, **calm (7)**" in told, "the smallest first"
    assert "one picture is 100 points" in told
    assert "the test split shows 3 of them" in told
    assert "below 20 active train faces are **AU12 (2)**" in told
    assert "The AUs of 55.6 % of the train pictures" in told
    assert "23.1 % of the train and validation faces have fewer than 20 px" in told, "3 of 13"
    assert "no leakage guard has run" in told
    assert "no attributes" not in told and "no votes" not in told


def test_half_of_an_interval() -> None:
    table = pd.concat([manifest()] * 20, ignore_index=True)
    assert "about 9.8 points on the 100 test pictures" in " ".join(limits(content(table)))


def test_balance() -> None:
    assert "2 to 1" in balance(np.array([10, 5, 0]), ["a", "b", "c"])
    assert balance(np.array([10, 5, 0]), ["a", "b", "c"]).endswith("Without a train picture: c.")
    assert "as 3.0 classes" in balance(np.array([4, 4, 4]), ["a", "b", "c"])
    assert balance(np.array([0]), ["a"]) == "No train picture has a class."


def test_values_that_nobody_foresaw() -> None:
    assert written(list(range(25))).endswith("19 and 5 more")
    assert words("".join(found("Sources", [{"name": "a", "rows": 3}, {"name": "b"}]))) == "Sources name rows a 3 b –"
    assert words("".join(found("Odd", {}))) == "Odd : –."
    many = "".join(found("Odd", {f"t{k}": k for k in range(100)}))
    assert many.count("<tr>") == 61 and "40 more" in many


def test_crops_that_are_not_there_are_refused() -> None:
    table = manifest()
    table.loc[0, "crop_index"] = 50
    with pytest.raises(DataError, match=r"names crop 50, faces\.npy holds 19"):
        data_card(content(table))
