"""Folds: every picture is tested once, no subject stands in two splits, classes are spread evenly."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_sets import reader, write, write_clips, write_fer2013, write_rafce
from typer.testing import CliRunner

from fer_core.datasets.folds import Folds, deal, folds_of
from fer_core.datasets.ingest import Reading, read_dataset
from fer_core.datasets.standin_json import GIVEN
from fer_core.errors import ConfigError, DataError
from fer_core.manifest import empty_columns

read = reader("rafce")


def rows(subjects: bool = True, pool: int = 5, clips: int = 0) -> pd.DataFrame:
    """300 stills of four unequal classes, some people with several; a pool; clips of three frames."""
    rng = np.random.default_rng(0)
    count = 300 + pool + 3 * clips
    table = pd.DataFrame(empty_columns("ingest", count))
    table["sample_id"] = [f"p{k}" for k in range(count)]
    table["emotion"] = pd.array(rng.choice(4, count, p=[0.5, 0.3, 0.15, 0.05]), dtype="Int16")
    table["split"] = "train"
    if subjects:
        table["subject"] = [f"s{k // 3}" for k in range(count)]
    table.loc[300 : 300 + pool - 1, "split"] = "pool"
    table.loc[300 : 300 + pool - 1, "emotion"] = pd.NA
    for clip in range(clips):
        frames = slice(300 + pool + 3 * clip, 300 + pool + 3 * clip + 2)
        table.loc[frames, "clip_id"] = f"clips/{clip}"
        table.loc[frames, "emotion"] = clip % 4
    return table


@pytest.mark.parametrize("subjects", [True, False])
def test_every_labelled_picture_is_tested_once_and_every_subject_stands_in_one_split(subjects: bool) -> None:
    table = rows(subjects)
    tested = pd.Series(0, index=table.index)
    for test in range(5):
        dealt = deal(table, Folds(5, test), seed=3)
        tested += dealt["split"].eq("test")
        known = dealt[dealt["split"] != "pool"]
        if subjects:
            assert known.groupby("subject")["split"].agg(set).map(len).eq(1).all()
        assert known["split"].value_counts(normalize=True).to_dict() == pytest.approx(
            {"train": 0.6, "validation": 0.2, "test": 0.2}, abs=0.02
        )
        shares = known[known["split"] == "test"]["emotion"].value_counts(normalize=True)
        overall = known["emotion"].value_counts(normalize=True)
        assert (shares - overall).abs().max() < (0.1 if subjects else 0.02)
    assert (tested[table["split"] != "pool"] == 1).all() and (tested[table["split"] == "pool"] == 0).all()
    assert (table["split"] != "test").all(), "what was handed in stays as it was"


def test_validation_is_the_fold_that_is_tested_next() -> None:
    folds = [deal(rows(), Folds(4, test), seed=1)["split"] for test in range(4)]
    for test in range(4):
        assert (folds[test].eq("validation") == folds[(test + 1) % 4].eq("test")).all()


def test_frames_of_a_clip_stay_together_and_count_once() -> None:
    table = rows(subjects=False, clips=40)
    dealt = deal(table, Folds(4, 0), seed=0)
    clips = dealt[dealt["clip_id"].notna()]
    assert clips.groupby("clip_id")["split"].agg(set).map(len).eq(1).all()
    assert clips.drop_duplicates("clip_id")["split"].value_counts()["test"] == pytest.approx(10, abs=3)


def test_the_seed_deals_anew_and_the_same_seed_does_not() -> None:
    first, again, other = (deal(rows(), Folds(5, 0), seed)["split"] for seed in (1, 1, 2))
    assert (first == again).all() and not (first == other).all()


def test_pictures_without_an_emotion_are_not_tested() -> None:
    table = rows()
    table.loc[:9, "emotion"] = pd.NA
    table.loc[10:19, "drop_reason"] = "no picture file"
    dealt = deal(table, Folds(3, 0), seed=1)
    assert set(dealt.loc[:19, "split"]) == {"train"}


@pytest.mark.parametrize(
    ("count", "test", "message"),
    [
        (2, 0, "`folds` to be null or at least 3; got 2"),
        ("five", 0, "`folds` to be a whole number; got 'five'"),
        (True, 0, "`folds` to be a whole number; got True"),
        (5, 5, "`fold` to be between 0 and 4; got 5"),
        (5, -1, "`fold` to be between 0 and 4; got -1"),
        (5, None, "`fold` to be a whole number; got None"),
    ],
)
def test_numbers_that_cannot_be_are_told(count: object, test: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        folds_of({"folds": count, "fold": test})
    assert folds_of({"folds": None, "fold": "whatever"}) is None


def test_fewer_subjects_than_folds_are_told() -> None:
    table = rows()
    table["subject"] = [f"s{k % 4}" for k in range(len(table))]
    with pytest.raises(ConfigError, match="at most the number of subjects, 4; got 5"):
        deal(table, Folds(5, 0), seed=0)


def test_a_set_without_a_split_needs_folds(tmp_path: Path) -> None:
    folder = write_rafce(tmp_path / "rafce")
    (folder / "RAFCE_partition.txt").unlink()
    with pytest.raises(DataError, match=r"no split of its own.*RAFCE_partition\.txt is not there.*`folds: 5`"):
        read(folder, None, 1)
    data = read(folder, None, 1, folds=Folds(4, 1))
    assert set(data.rows["split"]) == {"train", "validation", "test"}
    assert data.notes[0] == "fold 1 of 4 is test, by subject where subjects are known"


def test_clips_without_a_split_are_dealt_too(tmp_path: Path) -> None:
    folder = write_clips(write_rafce(tmp_path / "rafce"))
    (folder / "clip_partition.txt").unlink()
    with pytest.raises(DataError, match=r"no split of its own.*clip_partition\.txt is not there"):
        read(folder, None, 1)
    clips = read(folder, None, 1, folds=Folds(3, 1)).rows.query("clip_id.notna()")
    assert set(clips["split"]) == {"train", "validation", "test"}


def test_a_published_split_is_replaced_and_the_table_says_so(tmp_path: Path) -> None:
    folder = write_rafce(tmp_path / "rafce")
    plain, dealt = read(folder, None, 1), read(folder, None, 1, folds=Folds(4, 0))
    assert (plain.rows["split"] != dealt.rows["split"]).any()
    assert "fold 0 of 4 is test instead of the split as published" in dealt.notes[0]


def test_folds_share_the_pictures_that_the_limit_keeps(tmp_path: Path) -> None:
    folder = write_rafce(tmp_path / "rafce")
    kept = read(folder, 60, 1).rows["sample_id"].tolist()
    tested: list[str] = []
    for test in range(4):
        rows = read(folder, 60, 1, folds=Folds(4, test)).rows
        assert rows["sample_id"].tolist() == kept
        assert rows["split"].value_counts()["train"] == pytest.approx(30, abs=6)
        tested += rows.loc[rows["split"] == "test", "sample_id"].tolist()
    assert sorted(tested) == sorted(kept)


@pytest.mark.parametrize("data", ["fer2013", "ferplus"])
def test_the_limit_comes_first_in_every_adapter(tmp_path: Path, data: str) -> None:
    folder = write_fer2013(tmp_path / "fer2013", per_class=6)
    votes = ["Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"]
    for number, line in enumerate((folder / "fer2013.csv").read_text().splitlines()[1:]):
        emotion, _, usage = line.split(",")
        winner = 7 if emotion == "0" and number % 2 else int(emotion)  # FERPlus has an eighth class, contempt
        votes.append(",".join([usage, "", *("9" if k == winner else "0" for k in range(10))]))
    write(folder / "fer2013new.csv", votes)
    dealt = [_rows(data, folder, Folds(4, test)) for test in range(4)]
    assert len({tuple(rows["sample_id"]) for rows in dealt}) == 1
    tested = pd.concat([rows.loc[rows["split"] == "test", "sample_id"] for rows in dealt])
    assert sorted(tested) == sorted(dealt[0]["sample_id"]) and len(tested) == 63


def _rows(data: str, folder: Path, folds: Folds) -> pd.DataFrame:
    return read_dataset(data, folder, Reading(limit=63, seed=1, folds=folds)).rows


def test_a_subject_called_as_somebody_elses_picture_is_not_that_picture() -> None:
    table = rows(subjects=False, pool=0).iloc[:3].reset_index(drop=True)
    table["subject"] = ["p1", None, "x"]
    table["emotion"] = pd.array([0, 0, 0], dtype="Int16")
    assert sorted(deal(table, Folds(3, 0), seed=0)["split"]) == ["test", "train", "validation"]


def test_the_ceiling_of_generated_faces_is_not_that_of_a_fold(tmp_path: Path) -> None:
    folder = write_rafce(tmp_path / "rafce")
    scores = {"accuracy": 0.9, "macro_f1": 0.8}
    facts = {"version": "2", "difficulty": "standard", "ceiling": dict.fromkeys(GIVEN, scores)}
    (folder / "standin.json").write_text(json.dumps(facts))
    told = "the ceiling is that of the published test split, not of this fold"
    assert told in read(folder, None, 1, folds=Folds(4, 0)).notes and told not in read(folder, None, 1).notes


def test_the_stage_takes_folds_from_params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.ingest import app

    write_fer2013(tmp_path / "data/raw/fer2013", per_class=6)
    write(tmp_path / "params.yaml", ["{data: fer2013, seed: 1, folds: 4, fold: 9, leakage: report}"])
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app)
    assert result.exit_code == 1 and "`fold` to be between 0 and 3; got 9" in result.output
    write(tmp_path / "params.yaml", ["{data: fer2013, seed: 1, folds: 4, fold: 3, leakage: report}"])
    result = CliRunner().invoke(app)
    assert result.exit_code == 0, result.output
    table = pd.read_parquet("data/ingest/manifest.parquet")
    assert table["split"].value_counts().to_dict() == pytest.approx({"train": 63, "validation": 32, "test": 31}, abs=3)
