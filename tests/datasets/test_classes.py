"""Classes brought to a common set, sets joined, validation held out: worked by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_sets import write, write_fer2013, write_rafce

from fer_core.datasets.classes import check_rule, to_common
from fer_core.datasets.dataset import Published, card
from fer_core.datasets.folds import Folds
from fer_core.datasets.hold_out import hold_out
from fer_core.datasets.ingest import Reading, ingest, read_dataset
from fer_core.datasets.rows import make_rows
from fer_core.errors import ConfigError, DataError
from fer_core.labels import BASIC_EMOTIONS, LabelSet
from fer_core.manifest import read_manifest

SIX = LabelSet(("happily surprised", "sadly angry"), votes=BASIC_EMOTIONS)
PLAIN = LabelSet(("Happy", "Neutral", "bored"))


def vector(**votes: float) -> np.ndarray:
    return np.array([votes.get(name, 0.0) for name in BASIC_EMOTIONS], np.float32)


def published(labels: LabelSet, emotions: list[int | None], votes: list[np.ndarray | None] | None = None) -> Published:
    rows = make_rows(
        {"sample_id": f"s{k}", "picture": f"s{k}.jpg", "split": "train", "emotion": emotion, "votes": vote}
        for k, (emotion, vote) in enumerate(zip(emotions, votes or [None] * len(emotions), strict=True))
    )
    return Published(rows, lambda some: iter([(name, name.encode()) for name in some["sample_id"]]), labels)


COMPOUND = published(
    SIX,
    [0, 0, 1, None, 1],
    [vector(happiness=0.6, surprise=0.4), vector(happiness=0.5, surprise=0.5), vector(anger=0.7, fear=0.3), None, None],
)
SINGLE = published(PLAIN, [0, 1, 2])


def names(part: Published) -> list[str | None]:
    return [None if pd.isna(k) else part.labels.classes[k] for k in part.rows["emotion"]]


def test_basic_takes_the_emotion_with_more_votes_and_drops_what_has_none() -> None:
    (_, a), (_, b) = to_common([("A", COMPOUND), ("B", SINGLE)], "basic")
    assert a.labels.classes == b.labels.classes == ("happiness", "anger", "neutral")
    assert names(a) == ["happiness", None, "anger", None, None]
    assert names(b) == ["happiness", "neutral", None]
    outside = "its class is none of the common ones: "
    assert a.rows["drop_reason"].fillna("").tolist() == [
        "",
        f"{outside}happily surprised",
        "",
        "",
        f"{outside}sadly angry",
    ]
    assert b.rows["drop_reason"].fillna("").tolist() == ["", "", f"{outside}bored"]
    assert b.notes == ("1 pictures of B belong to none of the common classes: bored 1",)
    assert b.rows["votes"].isna().all() and b.labels.votes == BASIC_EMOTIONS


def test_compound_keeps_pairs_alone() -> None:
    (_, a), (_, b) = to_common([("A", COMPOUND), ("B", SINGLE)], "compound")
    assert a.labels.classes == ("happily surprised", "sadly angry")
    assert names(a) == ["happily surprised", "happily surprised", "sadly angry", None, "sadly angry"]
    assert names(b) == [None] * 3


def test_votes_gives_every_picture_a_distribution_and_takes_the_first_of_it() -> None:
    (_, a), (_, b) = to_common([("A", COMPOUND), ("B", SINGLE)], "votes")
    columns = (*BASIC_EMOTIONS, "neutral", "contempt")
    assert a.labels.votes == b.labels.votes == columns
    np.testing.assert_allclose(a.rows["votes"][0], [0.4, 0, 0, 0.6, 0, 0, 0, 0])
    np.testing.assert_allclose(a.rows["votes"][4], [0, 0, 0, 0, 0.5, 0.5, 0, 0])
    np.testing.assert_allclose(b.rows["votes"][1], [0, 0, 0, 0, 0, 0, 1, 0])
    assert b.rows["votes"][2] is None and a.rows["votes"][3] is None
    assert names(a) == ["happiness", None, "anger", None, None], "equal votes decide nothing"


def test_votes_on_what_is_no_emotion_are_taken_out_and_the_rest_are_shares_again() -> None:
    labels = LabelSet(("anger", "fear"), votes=("anger", "fear", "unknown"))
    voted = [np.array([0.3, 0.2, 0.5], np.float32), np.array([0, 0, 1], np.float32)]
    ((_, part),) = to_common([("A", published(labels, [0, 1], voted))], "votes")
    np.testing.assert_allclose(part.rows["votes"][0], [0, 0.4, 0, 0, 0, 0.6, 0, 0], atol=1e-6)
    np.testing.assert_allclose(part.rows["votes"][1], [0, 1, 0, 0, 0, 0, 0, 0])  # none is left: what the class says


def test_classes_of_ones_own_take_names_in_whatever_their_spelling() -> None:
    rule = check_rule({"good": ["happiness", "Happily_Surprised"], "other": ["neutral", "sadly angry"]})
    (_, a), (_, b) = to_common([("A", COMPOUND), ("B", SINGLE)], rule)
    assert a.labels.classes == ("good", "other")
    assert names(a) == ["good", "good", "other", None, "other"] and names(b) == ["good", "other", None]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("basics", "Did you mean 'basic'"),
        ({"a": ["x"]}, "two classes or more"),
        ({"a": ["x"], "b": "y"}, r"`classes\.b` to list"),
        ({"a": ["happy"], "b": ["Happiness"]}, "has 'Happiness' in 'a' and in 'b'"),
        (None, "to be one of own"),
    ],
)
def test_rules_that_cannot_be_are_told(rule: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_rule(rule)


def test_own_needs_the_same_classes_and_a_class_needs_pictures() -> None:
    with pytest.raises(ConfigError, match="A and B have different classes; set `classes` to basic"):
        to_common([("A", COMPOUND), ("B", SINGLE)], "own")
    with pytest.raises(ConfigError, match=r"`classes\.b` to take in a class that has pictures; got \['fear'\]"):
        to_common([("B", SINGLE)], {"a": ["happy"], "b": ["fear"]})
    with pytest.raises(ConfigError, match="leaves no class of B"):
        to_common([("B", SINGLE)], "compound")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    rafce = write_rafce(tmp_path / "raw" / "rafce")
    write(rafce / "RAFCE_subject.txt", [f"{k:04d}.jpg p{k % 30}" for k in range(1, 113)])
    votes = ["6 2 0 0 0 0" if k % 2 else "0 0 0 0 3 1" for k in range(1, 113)]
    write(rafce / "rafml_distribution.txt", [f"{k:04d}.jpg {votes[k - 1]}" for k in range(1, 113)])
    write_fer2013(tmp_path / "raw" / "fer2013")
    return tmp_path / "raw"


def test_joined_sets_keep_their_source_and_cannot_be_mixed_up(two: Path) -> None:
    data = read_dataset("rafce+fer2013", two, Reading(seed=1, classes="basic"))
    assert data.title == "RAF-CE + FER2013"
    assert data.rows["source"].value_counts().to_dict() == {"rafce": 112, "fer2013": 63}
    first = data.rows.iloc[0]
    assert (first["sample_id"], first["picture"], first["subject"]) == ("rafce/0001", "rafce/0001.jpg", "rafce/p1")
    assert data.labels.classes == (*BASIC_EMOTIONS, "neutral")
    pictures = dict(data.pictures())
    assert list(pictures) == data.rows["sample_id"].tolist()
    assert pictures["rafce/0001"] == (two / "rafce" / "original" / "0001.jpg").read_bytes()
    assert (
        pictures["fer2013/fer0000003"]
        == dict(read_dataset("fer2013", two / "fer2013", Reading()).pictures())["fer0000003"]
    )
    assert any(note.startswith("RAF-CE: ") and "none of the common classes" in note for note in data.notes)


def test_sets_that_were_not_put_together_are_told_how(two: Path) -> None:
    with pytest.raises(DataError, match=r"raw/ckplus does not exist.*`fer combine rafce ckplus` makes it"):
        read_dataset("rafce+ckplus", two, Reading(classes="basic"))


def test_ingest_writes_joined_sets_as_one(two: Path, tmp_path: Path) -> None:
    ingest("rafce+fer2013", two, tmp_path / "out", Reading(limit=90, seed=1, classes="basic"), leakage="report")
    table = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert table["emotion"].notna().sum() + (table["split"] == "test").sum() == 90
    assert set(table["source"]) == {"rafce", "fer2013"}


def test_a_picture_that_both_sets_have_is_found(two: Path, tmp_path: Path) -> None:
    data = read_dataset("fer2013", two / "fer2013", Reading())
    picture = dict(data.pictures())["fer0000060"]  # of test
    (two / "rafce" / "original" / "0001.jpg").write_bytes(picture or b"")  # of train
    with pytest.raises(DataError, match="rafce/0001"):
        ingest("rafce+fer2013", two, tmp_path / "out", Reading(seed=1, classes="basic"))
    leaks = (tmp_path / "out" / "leakage.csv").read_text().splitlines()
    assert any("rafce/0001," in line and "fer2013/fer0000060," in line for line in leaks)


def test_folds_are_dealt_over_all_sets(two: Path) -> None:
    data = read_dataset("rafce+fer2013", two, Reading(seed=1, classes="basic", folds=Folds(3, 0)))
    assert data.notes[0].startswith("fold 0 of 3 is test instead of the split as published")
    by_source = pd.crosstab(data.rows["source"], data.rows["split"])
    assert (by_source[["train", "validation", "test"]] > 0).all(axis=None)


def test_validation_is_held_out_of_train_by_subject_and_test_is_left_alone() -> None:
    rows = make_rows(
        {
            "sample_id": f"s{k}",
            "picture": "x",
            "split": "test" if k >= 80 else "train",
            "subject": f"p{k // 4}",
            "emotion": k % 2,
        }
        for k in range(100)
    )
    moved, notes = hold_out(rows, 0.25, seed=0)
    assert moved["split"].value_counts().to_dict() == {"train": 60, "validation": 20, "test": 20}
    assert (moved["split"][80:] == "test").all()
    assert moved.groupby("subject")["split"].nunique().max() == 1
    assert notes == [
        "no validation split is published: 1 of 4 train pictures (20) became it, by subject where subjects are known"
    ]
    again, _ = hold_out(rows, 0.25, seed=0)
    other, _ = hold_out(rows, 0.25, seed=1)
    assert again.equals(moved) and not other["split"].equals(moved["split"])
    assert hold_out(moved, 0.25, seed=0)[1] == [], "a set with a validation split keeps it"
    with pytest.raises(ConfigError, match="`hold_out` to be a number from"):
        hold_out(rows, 0.9, seed=0)


def test_labels_without_an_emotion_and_without_pictures_are_refused(two: Path) -> None:
    for path in (two / "rafce" / "original").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="the labels are there but none of the 112 pictures"):
        read_dataset("rafce", two / "rafce", Reading())


def test_options_of_an_unknown_set_are_refused(two: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'rafce'"):
        Reading(sets={"rafc": {}})
    with pytest.raises(ConfigError, match=r"`sets\.rafce` to be empty, as rafce has no options; got `x`"):
        read_dataset("rafce", two / "rafce", Reading(sets={"rafce": {"x": 1}}))


def test_the_card_tells_of_joined_sets(two: Path) -> None:
    data = read_dataset("rafce+fer2013", two, Reading(seed=1, classes="basic"))
    told = card(data, "rafce+fer2013")
    assert told["classes"] == [*BASIC_EMOTIONS, "neutral"] and told["title"] == "RAF-CE + FER2013"
    assert (
        sum(told["counts"]["train"].values()) == (data.rows["split"].eq("train") & data.rows["emotion"].notna()).sum()
    )
