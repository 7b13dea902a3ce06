"""RAF-AU's adapter, on tiny made-up files in the published form; the expected values are worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from made_up_sets import edit, jpeg, write

from fer_core.datasets.dataset import NO_PICTURE
from fer_core.datasets.folds import Folds
from fer_core.datasets.ingest import Reading, read_dataset
from fer_core.datasets.rafau import read
from fer_core.errors import ConfigError, DataError
from fer_core.labels import BASIC_EMOTIONS

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "rafce_labels"
LINES = ["0001.jpg 1+4+L25", "0002.jpg null", "0003.jpg L12+24", "0007.jpg 9"]
VOTES = [
    "0001.jpg 0.100000 0.000000 0.200000 0.700000 0.000000 0.000000 ",
    "0002.jpg 0.400000 0.400000 0.200000 0.000000 0.000000 0.000000 ",
    "0003.jpg 0 0 0 0 6 2",
    "0007.jpg 1 0 0 0 0 0",
    "4908.jpg 0 1 0 0 0 0",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "RAFAU_label.txt", LINES)
    (tmp_path / "aligned").mkdir()
    for number, line in enumerate(LINES):
        (tmp_path / "aligned" / f"{line[:4]}_aligned.jpg").write_bytes(jpeg(number))
    return tmp_path


def test_without_votes_all_is_pool(folder: Path) -> None:
    found = read(folder, {})
    rows = found.rows
    assert rows["sample_id"].tolist() == ["0001", "0002", "0003", "0007"]
    assert rows["split"].tolist() == ["pool"] * 4
    assert rows["emotion"].isna().all() and rows["votes"].isna().all() and rows["drop_reason"].isna().all()
    assert rows["picture"][0] == "aligned/0001_aligned.jpg"
    assert list(found.pictures(rows.iloc[[3]])) == [("0007", jpeg(3))]
    assert found.aus and not found.intensities
    assert found.labels.classes == found.labels.votes == BASIC_EMOTIONS
    assert found.notes == ("no emotion labels: RAF-ML's votes (distribution.txt) are not there, so all 4 are pool",)


@pytest.mark.parametrize("name", ["distribution.txt", "rafml_distribution.txt", "EmoLabel/distribution.txt"])
def test_the_emotion_is_the_most_voted_one(folder: Path, name: str) -> None:
    (folder / "EmoLabel").mkdir()
    write(folder / name, VOTES)
    found = read(folder, {})
    rows = found.rows.set_index("sample_id")
    assert rows["emotion"].dropna().to_dict() == {"0001": 3, "0003": 4, "0007": 0}
    np.testing.assert_allclose(rows["votes"]["0003"], [0, 0, 0, 0, 0.75, 0.25])
    assert rows["drop_reason"].dropna().to_dict() == {"0002": "its votes are tied: surprise and fear"}
    assert rows["split"].isna().all()
    assert any(note.startswith("1 of 4 pictures have no single most voted") for note in found.notes)


def test_a_picture_without_votes_is_pool(folder: Path) -> None:
    write(folder / "distribution.txt", VOTES[:3])
    found = read(folder, {})
    assert found.rows["split"].fillna("-").tolist() == ["-", "-", "-", "pool"]
    assert any(note.startswith("1 of 4 pictures have no votes in distribution.txt") for note in found.notes)


def test_a_partition(folder: Path) -> None:
    write(folder / "distribution.txt", VOTES[:3])
    write(folder / "RAFAU_partition.txt", ["0001.jpg 0", "0002.jpg 1", "0003.jpg 2", "0007.jpg 1"])
    assert read(folder, {}).rows["split"].tolist() == ["train", "test", "validation", "pool"]
    write(folder / "RAFAU_partition.txt", ["0001.jpg 0", "0002.jpg 1", "0003.jpg 2"])
    with pytest.raises(DataError, match=r"RAFAU_partition\.txt has no line for picture 0007"):
        read(folder, {})
    write(folder / "RAFAU_partition.txt", ["0001.jpg 0", "0002.jpg 1", "0003.jpg 2", "0007.jpg 1", "0008.jpg 1"])
    with pytest.raises(DataError, match=r"RAFAU_label\.txt has no line for picture 0008"):
        read(folder, {})


def test_originals_where_there_are_more_of_them(folder: Path) -> None:
    (folder / "original").mkdir()
    for line in LINES:
        (folder / "original" / line[:8]).write_bytes(jpeg(200))
    assert read(folder, {}).rows["picture"][0] == "aligned/0001_aligned.jpg"
    (folder / "aligned" / "0001_aligned.jpg").unlink()
    found = read(folder, {})
    assert found.rows["picture"].tolist() == [f"original/{line[:8]}" for line in LINES]
    assert next(found.pictures(found.rows))[1] == jpeg(200)


def test_windows_line_ends_byte_order_mark_trailing_spaces_and_blank_lines(folder: Path) -> None:
    write(folder / "distribution.txt", VOTES)
    plain = read(folder, {}).rows
    for name in ("RAFAU_label.txt", "distribution.txt"):
        lines = (folder / name).read_text().splitlines()
        (folder / name).write_bytes(b"\xef\xbb\xbf" + "  \r\n".join([*lines, "", ""]).encode())
    assert read(folder, {}).rows.equals(plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0002.jpg", "line 2: expected a name, a space and a value; got '0002.jpg'"),
        ("0001.jpg 3", "line 2: '0001.jpg' stands already in line 1"),
        ("../0002.jpg 3", "line 2: expected the name of a file inside the data set's folder; got '../0002.jpg'"),
        ("/tmp/0002.jpg 3", "line 2: expected the name of a file inside the data set's folder"),
    ],
)
def test_a_bad_line_names_file_line_and_text(folder: Path, text: str, message: str) -> None:
    edit(folder / "RAFAU_label.txt", 2, text)
    with pytest.raises(DataError, match=f"RAFAU_label.txt, {message}"):
        read(folder, {})


@pytest.mark.parametrize("text", ["0002.jpg 0 0 0 0 0 0", "0002.jpg 1 0 0", "0002.jpg 1 -1 0 0 0 1"])
def test_bad_votes(folder: Path, text: str) -> None:
    write(folder / "distribution.txt", [VOTES[0], text])
    with pytest.raises(DataError, match=f"distribution.txt, line 2: expected six votes.*; got '{text}'"):
        read(folder, {})


def test_a_line_too_many_a_missing_picture_and_pictures_without_a_line(folder: Path) -> None:
    write(folder / "RAFAU_label.txt", [*LINES, "9999.jpg 4"])
    write(folder / "distribution.txt", [*VOTES, "9999.jpg 1 1 0 0 0 0"])
    for name in ("0500_aligned.jpg", "0501_aligned.jpg", "._0001_aligned.jpg"):
        (folder / "aligned" / name).write_bytes(jpeg(5))
    found = read(folder, {})
    rows = found.rows.set_index("sample_id")
    assert rows.loc["9999", "drop_reason"] == NO_PICTURE, "that its votes are tied too is no matter"
    assert rows.loc["9999", "picture"] == "aligned/9999_aligned.jpg"
    assert found.notes[-1] == "2 pictures have no line in RAFAU_label.txt and are left out, such as 0500"


def test_labels_without_pictures_are_no_error_here(tmp_path: Path) -> None:
    write(tmp_path / "RAFAU_label.txt", LINES)
    assert read(tmp_path, {}).rows["drop_reason"].eq(NO_PICTURE).all()


def test_a_folder_of_another_set_is_told_what_is_expected(tmp_path: Path) -> None:
    write(tmp_path / "RAFCE_emolabel.txt", ["0001.jpg 3"])
    with pytest.raises(DataError, match=r"lacks RAFAU_label\.txt; expected there, .*aligned/0001_aligned\.jpg"):
        read(tmp_path, {})


def test_no_options(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"Expected `sets\.rafau` to be empty"):
        read(folder, {"sides": True})


def test_through_the_core_with_folds(tmp_path: Path) -> None:
    names = [f"{k:04d}.jpg" for k in range(60)]
    write(tmp_path / "RAFAU_label.txt", [f"{name} 4" for name in names])
    votes = [" ".join("5" if column == k % 6 else "1" for column in range(6)) for k in range(60)]
    write(tmp_path / "distribution.txt", [f"{n} {v}" for n, v in zip(names, votes, strict=True)][:54])
    for k, name in enumerate(names):
        (tmp_path / name).write_bytes(jpeg(k))
    with pytest.raises(DataError, match="RAF-AU has no split of its own"):
        read_dataset("rafau", tmp_path, Reading())
    dataset = read_dataset("rafau", tmp_path, Reading(folds=Folds(3, 0)))
    assert dataset.rows["split"].value_counts().to_dict() == {"train": 18, "validation": 18, "test": 18, "pool": 6}
    assert dataset.aus


@pytest.mark.skipif(not REAL.is_dir(), reason="RAF-ML's votes as published are not beside the repository")
def test_the_published_votes(tmp_path: Path) -> None:
    text = (REAL / "rafml_distribution.txt").read_text()
    (tmp_path / "rafml_distribution.txt").write_text(text)
    shares = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    write(tmp_path / "RAFAU_label.txt", [f"{name} null" for name in shares])
    rows = read(tmp_path, {}).rows
    largest = [sorted(range(6), key=lambda k: float(votes[k]))[-2:] for votes in shares.values()]
    tied = [votes[a] == votes[b] for votes, (a, b) in zip(shares.values(), largest, strict=True)]
    assert len(rows) == 4908 and 0 < sum(tied) < 1000
    assert rows["emotion"].isna().tolist() == tied
    expected = [winner for (_, winner), tie in zip(largest, tied, strict=True) if not tie]
    assert rows["emotion"].dropna().tolist() == expected
