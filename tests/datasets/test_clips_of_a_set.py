"""Clips in RAF-CE's layout: every frame is a row, and nothing that counts stills counts a frame."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from made_up_sets import edit, jpeg, reader, write, write_clips, write_fer2013

from fer_core.datasets.dataset import card
from fer_core.datasets.duplicates import look
from fer_core.datasets.ingest import Reading, ingest
from fer_core.datasets.leakage import find_leaks, note
from fer_core.errors import DataError
from fer_core.files import read_json
from fer_core.manifest import clip_frames, read_manifest, stills
from fer_core.standin import StandinConfig, generate

read = reader("rafce")


@pytest.fixture
def folder(rafce_folder: Path) -> Path:
    return write_clips(rafce_folder)


def test_every_frame_is_a_row_behind_the_stills(folder: Path) -> None:
    data = read(folder, None, 1)
    frames = clip_frames(data.rows)
    assert len(data.rows) == 130 and frames.index.tolist() == list(range(112, 130))
    first = frames.iloc[1]
    assert (first["sample_id"], first["picture"]) == ("clips/0000/1", "clips/0000/1.jpg")
    assert (first["clip_id"], first["frame"], first["subject"], first["source"]) == ("clips/0000", 1, "c0", "rafce")
    assert first["landmarks"].tolist() == [6, 8, 13, 8, 10, 11, 7, 15, 12, 1], "of this clip's frame 1"
    by_clip = frames.groupby("clip_id")
    assert frames["emotion"].tolist() == [k for k in range(6) for _ in range(3)]
    assert by_clip["split"].first().tolist() == ["train", "train", "validation", "validation", "test", "test"]
    assert frames["votes"].isna().all()
    assert stills(data.rows)["frame"].isna().all()
    pictures = dict(data.pictures())
    assert list(pictures) == data.rows["sample_id"].tolist()
    assert pictures["clips/0003/2"] == jpeg(232)


def test_the_card_counts_clips_apart(folder: Path) -> None:
    told, without = card(read(folder, None, 1), "rafce"), None
    shutil.rmtree(folder / "clips")
    for path in folder.glob("clip_*.txt"):
        path.unlink()
    without = card(read(folder, None, 1), "rafce")
    assert without["clips"] is False and without["clip_counts"] == {"train": 0, "validation": 0, "test": 0}
    assert told["clips"] is True and told["clip_counts"] == {"train": 2, "validation": 2, "test": 2}
    note = "18 of 18 frames of clips have no landmarks, while other pictures do"
    assert note not in told["notes"] and not told["landmarks"], "the stills have none"
    rest = ("clips", "clip_counts")
    assert {k: v for k, v in told.items() if k not in rest} == {k: v for k, v in without.items() if k not in rest}


def test_frames_follow_their_numbers_and_gaps_stay(folder: Path) -> None:
    clip = folder / "clips" / "0000"
    (clip / "1.jpg").rename(clip / "010.png")
    frames = clip_frames(read(folder, None, 1).rows).head(3)
    assert frames["frame"].tolist() == [0, 2, 10]
    assert frames["sample_id"].tolist() == ["clips/0000/0", "clips/0000/2", "clips/0000/010"]
    assert frames["landmarks"].isna().tolist() == [False, False, True], "line 1 has lost its frame, 10 has none"
    told = card(read(folder, None, 1), "rafce")
    assert "1 lines of clip_landmark.txt belong to no frame" in told["notes"]
    assert "1 of 18 frames of clips have no landmarks, while other pictures do" in told["notes"]


def test_clips_of_single_pictures_are_no_clips(folder: Path) -> None:
    for k in (4, 5):
        for frame in (1, 2):
            (folder / "clips" / f"{k:04d}" / f"{frame}.jpg").unlink()
    told = card(read(folder, None, 1), "rafce")
    assert told["clips"] is False and told["clip_counts"]["test"] == 2


def test_a_labelled_clip_without_pictures_is_counted(folder: Path) -> None:
    for path in (folder / "clips" / "0001").iterdir():
        path.unlink()
    told = card(read(folder, None, 1), "rafce")
    assert "1 clips have a label but no picture in clips/" in told["notes"]
    assert told["clip_counts"]["train"] == 1


def test_people_in_two_splits_are_told(folder: Path) -> None:
    def crossing() -> list[str]:
        rows = read(folder, None, 1).rows
        return note(find_leaks(rows, look([((sample, None) for sample in rows["sample_id"])])))

    assert crossing() == []
    edit(folder / "clip_subject.txt", 6, "0005 c0")
    assert crossing() == ["1 subjects stand in more than one split: test results may flatter"], "among clips"
    write(folder / "RAFCE_subject.txt", ["0112.jpg c1"])
    assert crossing()[0].startswith("2 subjects"), "a clip of train and a still of test"


def test_identities_and_votes_are_those_of_stills(rafce_folder: Path) -> None:
    write_clips(rafce_folder)
    told = card(read(rafce_folder, None, 1), "rafce")
    assert told["identities"] is False, "two people stand in three train frames each, and in no still"
    assert told["votes"] is False and told["counts"]["test"] == 28


def test_limit_keeps_clips_whole_and_does_not_count_them(folder: Path) -> None:
    kept = read(folder, 50, 1).rows
    assert len(stills(kept)) == 50 and len(clip_frames(kept)) == 18
    plain = stills(kept)["sample_id"].tolist()
    shutil.rmtree(folder / "clips")
    for path in folder.glob("clip_*.txt"):
        path.unlink()
    assert read(folder, 50, 1).rows["sample_id"].tolist() == plain, "the draw is that of a set without clips"


def test_clips_cannot_stand_in_for_a_class_of_the_stills(folder: Path) -> None:
    path = folder / "RAFCE_emolabel.txt"
    lines = path.read_text().splitlines()
    write(path, [line if k >= 56 or not line.endswith(" 0") else line[:-1] + "1" for k, line in enumerate(lines)])
    with pytest.raises(DataError, match=r"no train picture of class '.*' \(0\)"):
        read(folder, None, 1)


def test_files_of_other_things_do_not_disturb(folder: Path) -> None:
    (folder / "clips" / ".hidden").mkdir()
    (folder / "clips" / "0000" / "Thumbs.db").write_bytes(b"x")
    (folder / "clips" / "0000" / "._0.jpg").write_bytes(b"what a Mac leaves beside a picture")
    (folder / "clips" / "readme.txt").write_text("clips")
    write(folder / "clip_apex.txt", ["0000 1"])
    write(folder / "clip_distribution.txt", ["0000 1 0 0 0 0 0"])
    write(folder / "clip_subject.txt", ["0000 c0", "0077 c9"])
    data = read(folder, None, 1)
    assert len(clip_frames(data.rows)) == 18 and clip_frames(data.rows)["votes"].isna().all()
    assert "1 lines of clip_subject.txt belong to no clip" in data.notes


def test_an_empty_clips_folder_is_a_set_without_clips(rafce_folder: Path) -> None:
    (rafce_folder / "clips").mkdir()
    data = read(rafce_folder, None, 1)
    assert len(data.rows) == 112 and data.notes == ()


@pytest.mark.parametrize(
    ("file", "line", "text", "message"),
    [
        ("clip_emolabel.txt", 2, "0001 14", r"clip_emolabel.txt, line 2: expected a class index from 0 to 13"),
        ("clip_emolabel.txt", 2, "0000 1", r"clip_emolabel.txt, line 2: '0000' stands already in line 1"),
        ("clip_emolabel.txt", 2, "0077 1", r"clip_partition.txt has no line for clip 0077"),
        ("clip_partition.txt", 2, "0001 3", r"clip_partition.txt, line 2: expected 0 .train., 1"),
        ("clip_partition.txt", 2, "0077 1", r"clip_partition.txt has no line for clip 0001 \(1 clips"),
        ("clip_subject.txt", 2, "0001 Jane Doe", r"clip_subject.txt, line 2: expected a subject"),
        ("clip_landmark.txt", 2, "0000/1.jpg 1 2", r"clip_landmark.txt, line 2: expected NNNN/K.jpg x0 y0 .. x4 y4"),
        ("clip_landmark.txt", 2, "0000.jpg 1 2 3 4 5 6 7 8 9 0", r"line 2: expected NNNN/K.jpg .*got '0000.jpg 1"),
        ("clip_landmark.txt", 2, "0000/00.png 1 2 3 4 5 6 7 8 9 0", r"'0000/00.png' stands already in line 1"),
    ],
)
def test_a_bad_line_names_file_line_and_text(folder: Path, file: str, line: int, text: str, message: str) -> None:
    edit(folder / file, line, text)
    with pytest.raises(DataError, match=message):
        read(folder, None, 1)


def spoil(folder: Path, fault: str) -> str:
    """Bring a fault in; return what must be said."""
    clip = folder / "clips" / "0001"
    if fault == "name":
        (clip / "1.jpg").rename(clip / "frame1.jpg")
        return r"frames in .*clips/0001 to be named by their number, 0.jpg to 32767.jpg; got 'frame1.jpg'"
    if fault == "far":
        (clip / "1.jpg").rename(clip / "32768.jpg")
        return "got '32768.jpg'"
    if fault == "twice":
        (clip / "01.jpg").write_bytes(jpeg(1))
        return "clips/0001 has frame 1 twice: 01.jpg and 1.jpg"
    if fault == "two endings":
        (clip / "1.png").write_bytes(jpeg(1))
        return "clips/0001 has frame 1 twice: 1.jpg and 1.png"
    if fault == "loose":
        (folder / "clips" / "7.jpg").write_bytes(jpeg(1))
        return "clips to hold a folder for each clip; got the picture 7.jpg"
    if fault == "no folder":
        shutil.rmtree(clip)
        return "clip_emolabel.txt has a line for clip 0001, but .*clips/0001 is no folder"
    if fault == "no clips":
        shutil.rmtree(folder / "clips")
        return "clip_emolabel.txt has a line for clip 0000, but"
    if fault in ("no line", "empty"):
        (folder / "clips" / "0099").mkdir()
        if fault == "no line":
            (folder / "clips" / "0099" / "0.jpg").write_bytes(jpeg(1))
        return r"clip_emolabel.txt has no line for clip 0099 \(1 clips like it\)"
    (folder / fault).unlink()
    if fault == "clip_partition.txt":
        return r"18 of 130 labelled pictures have none; clip_partition\.txt is not there"
    return f"lacks {fault}; expected there, as published: clip_emolabel.txt"


FAULTS = ("name", "far", "twice", "two endings", "loose", "no folder", "no clips", "no line", "empty")


@pytest.mark.parametrize("fault", [*FAULTS, "clip_emolabel.txt", "clip_partition.txt"])
def test_a_clip_that_cannot_be_read_is_named(folder: Path, fault: str) -> None:
    message = spoil(folder, fault)
    with pytest.raises(DataError, match=message):
        read(folder, None, 1)


def test_other_sets_have_stills_alone(tmp_path: Path) -> None:
    rows = reader("fer2013")(write_fer2013(tmp_path / "fer2013"), None, 1).rows
    assert rows[["clip_id", "frame"]].isna().all(axis=None) and len(clip_frames(rows)) == 0


def test_the_standin_is_read_with_its_clips(tmp_path: Path) -> None:
    """From generated files to what ingest writes; test labels of clips stand in the truth file alone."""
    config = StandinConfig(seed=3, scale=0.001, pool=4, clips=70, scene=96, pictures_per_person=2, ceiling_draws=0)
    generate(tmp_path / "set", config, workers=1)
    ingest("standin", tmp_path / "set", tmp_path / "out", Reading(seed=1))
    told = read_json(tmp_path / "out" / "card.json")
    assert told["clips"] is True and told["clip_counts"] == {"train": 42, "validation": 14, "test": 14}
    assert not any("clip" in note or "more than one split" in note for note in told["notes"]), told["notes"]
    table = read_manifest(tmp_path / "out" / "manifest.parquet")
    frames = clip_frames(table)
    assert len(frames) == 560 and frames["landmarks"].notna().all() and frames["subject"].notna().all()
    assert (frames.groupby("clip_id")["frame"].agg(list).map(lambda found: found == list(range(8)))).all()
    test = frames["split"] == "test"
    assert frames.loc[test, "emotion"].isna().all() and frames.loc[~test, "emotion"].notna().all()
    truth = pd.read_parquet(tmp_path / "out" / "test_truth.parquet").set_index("sample_id")
    labels = dict(line.split() for line in (tmp_path / "set" / "clip_emolabel.txt").read_text().splitlines())
    for row in frames[test].itertuples():
        assert truth.loc[row.sample_id, "emotion"] == int(labels[str(row.clip_id).removeprefix("clips/")])
    assert len(truth) == test.sum() + told["counts"]["test"]
