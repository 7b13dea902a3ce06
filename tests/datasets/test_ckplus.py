import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from made_up_sets import jpeg, write

from fer_core.datasets.ckplus import INFO, read
from fer_core.datasets.dataset import NO_PICTURE, Published, card
from fer_core.datasets.folds import Folds
from fer_core.datasets.ingest import Reading, ingest, read_dataset
from fer_core.errors import ConfigError, DataError
from fer_core.manifest import read_manifest, validate

# person, sequence, frames, the label as published or none
SEQUENCES = (
    *(("S005", "001", 5, "   3.0000000e+00"), ("S005", "002", 4, None)),
    *(("S010", "001", 2, "   7.0000000e+00"), ("S011", "003", 3, None)),
)


def value_of(person: str, sequence: str, frame: int) -> int:
    return int(person[1:]) + 20 * int(sequence) + 5 * frame


def write_sequence(folder: Path, person: str, sequence: str, frames: int, label: str | None) -> None:
    place = folder / "cohn-kanade-images" / person / sequence
    place.mkdir(parents=True)
    (place / ".DS_Store").write_bytes(b"\0")
    for frame in range(1, frames + 1):
        name = f"{person}_{sequence}_{frame:08d}.png"
        (place / name).write_bytes(jpeg(value_of(person, sequence, frame)))
        (place / f"._{name}").write_bytes(b"\0")
    labels = folder / "Emotion" / person / sequence
    labels.mkdir(parents=True)  # the folders of unlabelled sequences are there, and empty
    if label is not None:
        write(labels / f"{person}_{sequence}_{frames:08d}_emotion.txt", [label])


def write_ckplus(folder: Path) -> Path:
    for sequence in SEQUENCES:
        write_sequence(folder, *sequence)
    return folder


@pytest.fixture
def ck(tmp_path: Path) -> Path:
    return write_ckplus(tmp_path / "ckplus")


def stills(data: Published) -> dict[str, int]:
    rows = data.rows[data.rows["clip_id"].isna() & data.rows["emotion"].notna()]
    return dict(zip(rows["sample_id"], rows["emotion"], strict=True))


def landmark_lines() -> list[str]:
    return [f"   {k + 0.5:.7e}   {100 + k + 0.25:.7e}" for k in range(68)]


def write_landmarks(folder: Path, stem: str, lines: list[str]) -> Path:
    path = folder / "Landmarks" / stem[:4] / stem[5:8] / f"{stem}_landmarks.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, lines)
    return path


def test_last_frames_have_the_emotion_and_the_first_is_neutral(ck: Path) -> None:
    data = read(ck, {})
    assert stills(data) == {
        **{"S005_001_00000001": 0, "S005_001_00000003": 3, "S005_001_00000004": 3, "S005_001_00000005": 3},
        **{"S010_001_00000001": 0, "S010_001_00000002": 7},
    }, "of two frames the first is neutral, and only the other has the emotion"
    assert data.labels.classes[3] == "disgust" and data.labels.classes[7] == "surprise"
    first = data.rows.iloc[0]
    assert first["picture"] == "cohn-kanade-images/S005/001/S005_001_00000001.png"
    assert first["subject"] == "S005"
    assert data.rows.loc[data.rows["emotion"].notna(), "split"].isna().all(), "no split is published"
    assert any("neutral are the first frames" in note for note in data.notes)
    assert any("the last 3 frames" in note for note in data.notes)


def test_pictures_come_in_the_order_of_the_rows_asked_for(ck: Path) -> None:
    data = read(ck, {})
    some = data.rows.iloc[[7, 2, 10]]
    got = list(data.pictures(some))
    assert [sample for sample, _ in got] == some["sample_id"].tolist()
    assert got[1][1] == jpeg(value_of("S005", "001", 4))


def test_the_peak_alone_without_neutral_and_clips(ck: Path) -> None:
    data = read(ck, {"frames": 1, "neutral": False, "clips": False})
    assert stills(data) == {"S005_001_00000005": 2, "S010_001_00000002": 6}, "indices without neutral"
    assert data.labels.classes[2] == "disgust" and data.labels.classes[6] == "surprise"
    assert len(data.labels.classes) == 7 and "neutral" not in data.labels.classes
    assert data.rows["clip_id"].isna().all()
    assert read(ck, {"frames": 9, "neutral": False}).rows["emotion"].eq(2).sum() == 5 + 5, "stills and the clip"


def test_clips_are_all_frames_of_the_labelled_sequences(ck: Path) -> None:
    data = read(ck, {})
    clips = data.rows[data.rows["clip_id"].notna()]
    assert clips["clip_id"].value_counts().to_dict() == {"clips/S005_001": 5, "clips/S010_001": 2}
    first = clips.iloc[0]
    assert (first["sample_id"], first["frame"], first["emotion"]) == ("clips/S005_001/0", 0, 3)
    assert first["picture"].endswith("S005_001_00000001.png") and first["subject"] == "S005"
    assert clips["frame"].tolist() == [0, 1, 2, 3, 4, 0, 1]
    rows = data.rows.assign(source="ckplus", split=data.rows["split"].fillna("train"))
    validate(rows, "ingest", classes=8)
    (ck / "cohn-kanade-images/S005/001/S005_001_00000002.png").unlink()
    clips = read(ck, {}).rows.query("clip_id == 'clips/S005_001'")
    assert clips["frame"].tolist() == [0, 2, 3, 4], "gaps stay gaps"


def test_unlabelled_sequences_give_their_last_frame_to_the_pool(ck: Path) -> None:
    pool = read(ck, {}).rows.query("split == 'pool'").set_index("sample_id")
    assert pool.index.tolist() == ["S005_002_00000004", "S011_003_00000003"]
    assert pool["subject"].tolist() == ["S005", "S011"] and pool["emotion"].isna().all()
    assert pool["drop_reason"].fillna("").tolist() == ["its subject S005 has labelled pictures", ""]
    assert any(
        "2 of 4 sequences have no label" in note and "but for 1 of people" in note for note in read(ck, {}).notes
    )
    everyone = read(ck, {"pool": "all"}).rows.query("split == 'pool'")
    assert everyone["drop_reason"].isna().all()


def test_a_sequence_labelled_neutral_is_in_the_pool_where_neutral_is_left_out(ck: Path) -> None:
    write_sequence(ck, "S099", "001", 3, "   0.0000000e+00")
    assert stills(read(ck, {}))["S099_001_00000003"] == 0
    data = read(ck, {"neutral": False})
    assert data.rows.query("split == 'pool'")["sample_id"].tolist()[-1] == "S099_001_00000003"
    assert any("1 of these are labelled neutral" in note for note in data.notes)


def test_five_points_of_68(ck: Path) -> None:
    for frame in (1, 3, 4):
        write_landmarks(ck, f"S005_001_{frame:08d}", landmark_lines())
    data = read(ck, {"clips": False})
    points = data.rows["landmarks"].iloc[1]
    # x of point k is k + 0.5, y is 100.25 + k; the eyes' means are those of 38.5 and 44.5
    np.testing.assert_allclose(points, [39, 138.75, 45, 144.75, 30.5, 130.25, 48.5, 148.25, 54.5, 154.25])
    assert points.dtype == np.float32
    assert data.rows["landmarks"].notna().sum() == 3
    assert any("5 of 8 pictures have no file in Landmarks/" in note for note in data.notes)


FAULTS = [
    (landmark_lines()[:67], "expected 68 lines, x and y of a point each; got 67"),
    ([*landmark_lines(), "1 2"], "got 69"),
    (["1 2 3", *landmark_lines()[1:]], "line 1: expected x and y of a point; got '1 2 3'"),
    ([*landmark_lines()[:67], "1 nan"], "line 68: expected x and y"),
]


@pytest.mark.parametrize(("lines", "expected"), FAULTS)
def test_faulty_landmarks(ck: Path, lines: list[str], expected: str) -> None:
    path = write_landmarks(ck, "S005_001_00000005", lines)
    with pytest.raises(DataError, match=expected) as caught:
        read(ck, {})
    assert str(path) in str(caught.value)


def test_folders_of_the_archives_names(ck: Path) -> None:
    bare = read(ck, {}).aus
    write_landmarks(ck, "S005_001_00000005", landmark_lines())
    (ck / "FACS/S005/001").mkdir(parents=True)
    write(ck / "FACS/S005/001/S005_001_00000005_facs.txt", ["   4.0000000e+00   2.0000000e+00"])
    plain = read(ck, {})
    assert plain.aus and plain.intensities and not bare
    parts = ("cohn-kanade-images", "Emotion", "FACS", "Landmarks")
    archives = ("extended-cohn-kanade-images", "Emotion_labels", "FACS_labels", "Landmarks")
    for name, archive in zip(parts, archives, strict=True):
        (ck / name).rename(ck / "moved")
        (ck / archive).mkdir(exist_ok=True)
        (ck / "moved").rename(ck / archive / name)
    moved = read(ck, {})
    assert moved.rows["picture"].iloc[0].startswith("extended-cohn-kanade-images/cohn-kanade-images/S005/")
    pd.testing.assert_frame_equal(moved.rows.drop(columns="picture"), plain.rows.drop(columns="picture"))
    assert moved.aus
    assert all(any(ck.glob(mark)) for mark in (INFO.marks[1], INFO.marks[3]))


def test_byte_order_mark_windows_line_ends_blank_lines_and_links_in_a_circle(ck: Path) -> None:
    plain = read(ck, {}).rows
    for name in ("S005/009", "S777"):
        (ck / "cohn-kanade-images" / name).symlink_to(ck / "cohn-kanade-images", target_is_directory=True)
    path = ck / "Emotion/S005/001/S005_001_00000005_emotion.txt"
    path.write_bytes(b"\xef\xbb\xbf   3.0000000e+00  \r\n\r\n")
    pd.testing.assert_frame_equal(read(ck, {}).rows, plain)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("   8.0000000e+00", "line 1: expected one number from 0 to 7, the emotion, in the file; got '8.0000000e.00'"),
        *((text, "line 1") for text in ("-1", "2.5", "nan")),
        ("happy", "line 1: .* got 'happy'"),
        ("3\n4", "line 2: .* got '4'"),
        ("", "is empty"),
    ],
)
def test_labels_outside_the_set_and_a_line_too_many(ck: Path, text: str, expected: str) -> None:
    (ck / "Emotion/S005/001/S005_001_00000005_emotion.txt").write_text(text)
    with pytest.raises(DataError, match=f"S005_001_00000005_emotion.txt.*{expected}"):
        read(ck, {})


def test_two_labels_of_a_sequence_and_the_label_of_another(ck: Path) -> None:
    place = ck / "Emotion/S005/001"
    (place / "S005_001_00000004_emotion.txt").write_text("3")
    with pytest.raises(DataError, match=r"two labels of one sequence: S005_001_00000004_emotion.txt"):
        read(ck, {})
    for path in place.iterdir():
        path.unlink()
    (place / "S006_001_00000004_emotion.txt").write_text("3")
    with pytest.raises(DataError, match=r"to be named S005_001_NNNNNNNN_emotion.txt"):
        read(ck, {})


def test_missing_pictures_keep_their_rows(ck: Path) -> None:
    (ck / "cohn-kanade-images/S005/001/S005_001_00000005.png").unlink()
    shutil.rmtree(ck / "cohn-kanade-images/S010")
    data = read(ck, {})
    rows = data.rows.set_index("sample_id")
    assert rows.loc["S005_001_00000005", ["emotion", "drop_reason"]].tolist() == [3, NO_PICTURE]
    assert rows.loc["S005_001_00000004", "emotion"] == 3 and pd.isna(rows.loc["S005_001_00000004", "drop_reason"])
    assert rows.loc["clips/S005_001/4", "drop_reason"] == NO_PICTURE
    assert rows.loc["S010_001_00000002", "picture"] == "cohn-kanade-images/S010/001/S010_001_00000002.png"
    assert dict(data.pictures(data.rows))["S005_001_00000005"] is None


def test_labels_without_any_picture(ck: Path) -> None:
    shutil.rmtree(ck / "cohn-kanade-images")
    data = read(ck, {})
    assert stills(data) == {"S005_001_00000005": 3, "S010_001_00000002": 7}
    assert data.rows["drop_reason"].eq(NO_PICTURE).all()


def test_a_frame_twice_and_pictures_of_other_names(ck: Path) -> None:
    place = ck / "cohn-kanade-images/S005/001"
    (place / "thumb.png").write_bytes(jpeg(1))
    (place / "S006_001_00000001.png").write_bytes(jpeg(1))
    assert any("2 pictures in cohn-kanade-images/ are not named" in note for note in read(ck, {}).notes)
    (place / "S005_001_3.png").write_bytes(jpeg(1))
    with pytest.raises(DataError, match=r"frame 3 twice: S005_001_00000003.png and S005_001_3.png"):
        read(ck, {})


def test_another_data_set_and_none(tmp_path: Path) -> None:
    (tmp_path / "RAFCE_emolabel.txt").write_text("0001.jpg 5\n")
    (tmp_path / "Emotion").mkdir()
    with pytest.raises(
        DataError, match=r"has no Emotion/S005/001/S005_001_00000011_emotion.txt.*cohn-kanade-images/S005"
    ):
        read(tmp_path, {})
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "none", {})


@pytest.mark.parametrize(
    ("options", "key"),
    [
        *(({"frames": wrong}, "frames") for wrong in (0, True, 2.0, "3")),
        *(({key: 1}, key) for key in ("neutral", "clips", "pool", "frame")),
    ],
)
def test_options_are_checked(ck: Path, options: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        read(ck, options)


def write_many(folder: Path) -> Path:
    """Write 16 people with two labelled sequences each, every class in eight of them, and an unlabelled one."""
    generator = np.random.default_rng(0)
    for person in range(1, 17):
        for number in range(3):
            label = None if number == 2 else f"{(2 * person + number) % 7 + 1}.0"
            write_sequence(folder, f"S{person:03d}", f"{number + 1:03d}", 4, label)
    for path in folder.glob("cohn-kanade-images/*/*/S*.png"):
        path.write_bytes(cv2.imencode(".png", generator.integers(0, 256, (32, 32), np.uint8))[1].tobytes())
    return folder


def test_through_ingest_with_folds_by_subject(tmp_path: Path) -> None:
    folder = write_many(tmp_path / "ckplus")
    with pytest.raises(DataError, match="no split of its own"):
        read_dataset("ckplus", folder, Reading())
    reading = Reading(folds=Folds(4, 1))
    ingest("ckplus", folder, tmp_path / "out", reading, leakage="refuse")
    manifest = read_manifest(tmp_path / "out/manifest.parquet")
    labelled = manifest[manifest["split"] != "pool"]
    assert labelled.groupby("subject")["split"].nunique().eq(1).all(), "a person's clips and stills lie in one fold"
    told = card(read_dataset("ckplus", folder, reading), "ckplus")
    assert told["clips"] and told["identities"] and not told["aus"]
    assert told["classes"][0] == "neutral" and told["pool"] == 16


def test_all_of_the_pool_needs_that_leaks_are_dropped(tmp_path: Path) -> None:
    folder = write_many(tmp_path / "ckplus")
    reading = Reading(folds=Folds(4, 1), sets={"ckplus": {"pool": "all", "frames": 1}})
    with pytest.raises(DataError, match="found 8 subjects and 0 pairs"):
        ingest("ckplus", folder, tmp_path / "out", reading)
    ingest("ckplus", folder, tmp_path / "out", reading, leakage="drop")
    pool = read_manifest(tmp_path / "out/manifest.parquet").query("split == 'pool'")
    assert 0 < pool["drop_reason"].isna().sum() < 16, "people of train stay"
