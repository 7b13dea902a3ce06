from pathlib import Path

import numpy as np
import pytest
from made_up_sets import edit, jpeg, reader, write, write_rafce

from fer_core.datasets.dataset import card
from fer_core.errors import DataError

read = reader("rafce")

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "rafce_labels"


def test_labels_splits_and_pictures(rafce_folder: Path) -> None:
    data = read(rafce_folder, None, 1)
    assert data.rows["split"].value_counts().to_dict() == {"train": 56, "validation": 28, "test": 28}
    first = data.rows.iloc[0]
    assert (first["sample_id"], first["picture"], first["emotion"]) == ("0001", "0001.jpg", 0)
    pictures = list(data.pictures())
    assert [sample for sample, _ in pictures] == data.rows["sample_id"].tolist()
    assert pictures[5][1] == jpeg(5)


def test_optional_files(rafce_folder: Path) -> None:
    names = [f"{k:04d}.jpg" for k in range(1, 113)]
    write(rafce_folder / "rafml_distribution.txt", [f"{n} 6 2 0 0 0 0 " for n in [*names, "4908.jpg"]])
    write(rafce_folder / "RAFCE_landmark.txt", [f"{n} 1 2 3 4 5 6 7 8 9 10.5" for n in names])
    write(rafce_folder / "RAFCE_subject.txt", [f"{n} s{k % 40}" for k, n in enumerate(names)])
    (rafce_folder / "pool").mkdir()
    for k in range(3):
        (rafce_folder / "pool" / f"p{k}.jpg").write_bytes(jpeg(k))
    write(rafce_folder / "pool_subject.txt", ["p0.jpg t1", "p1.jpg t1"])
    data = read(rafce_folder, None, 1)
    first, pool = data.rows.iloc[0], data.rows[data.rows["split"] == "pool"]
    np.testing.assert_allclose(first["votes"], [0.75, 0.25, 0, 0, 0, 0])
    assert first["landmarks"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10.5]
    assert pool["sample_id"].tolist() == ["pool/p0", "pool/p1", "pool/p2"]
    assert pool["subject"].fillna("-").tolist() == ["t1", "t1", "-"]
    assert pool["emotion"].isna().all()
    told = card(data, "rafce")
    assert (told["pool"], told["votes"], told["landmarks"], told["identities"]) == (3, True, True, True)
    assert not any("more than one split" in note for note in told["notes"]), "the guard tells that, not the card"


def test_without_optional_files_the_card_says_so(rafce_folder: Path) -> None:
    told = card(read(rafce_folder, None, 1), "rafce")
    assert [told[key] for key in ("aus", "votes", "identities", "landmarks", "pool")] == [False] * 4 + [0]
    assert told["vote_names"] is None
    assert told["counts"]["train"]["happily sad"] == 4
    assert told["counts"]["test"] == 28


def test_windows_line_ends_byte_order_mark_and_trailing_spaces(rafce_folder: Path) -> None:
    plain = read(rafce_folder, None, 1).rows
    for name in ("RAFCE_emolabel.txt", "RAFCE_partition.txt"):
        lines = (rafce_folder / name).read_text().splitlines()
        (rafce_folder / name).write_bytes(b"\xef\xbb\xbf" + "  \r\n".join([*lines, ""]).encode())
    assert read(rafce_folder, None, 1).rows.equals(plain)


def test_aligned_names_are_accepted_and_preferred_only_without_landmarks(rafce_folder: Path) -> None:
    (rafce_folder / "aligned").mkdir()
    for k in range(1, 113):
        (rafce_folder / "aligned" / f"{k:04d}_aligned.jpg").write_bytes(jpeg(200))
    data = read(rafce_folder, None, 1)
    assert data.rows["picture"].iloc[0] == "0001_aligned.jpg"
    assert next(data.pictures())[1] == jpeg(200)
    names = data.rows["sample_id"]
    write(rafce_folder / "RAFCE_landmark.txt", [f"{n}.jpg 1 2 3 4 5 6 7 8 9 10" for n in names])
    data = read(rafce_folder, None, 1)
    assert data.rows["picture"].iloc[0] == "0001.jpg"
    assert data.rows["landmarks"].notna().all()
    for path in (rafce_folder / "original").iterdir():
        path.unlink()
    data = read(rafce_folder, None, 1)
    assert data.rows["landmarks"].isna().all(), "landmarks are in pixels of the originals"
    assert any("RAFCE_landmark.txt was not used" in note for note in data.notes)


def test_a_listed_picture_without_a_file_keeps_its_row(rafce_folder: Path) -> None:
    (rafce_folder / "original" / "0003.jpg").unlink()
    data = read(rafce_folder, None, 1)
    row = data.rows.set_index("sample_id").loc["0003"]
    assert row["drop_reason"] == "no picture file"
    assert dict(data.pictures())["0003"] is None
    assert any(note.startswith("1 of 112 pictures") for note in card(data, "rafce")["notes"])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("RAFCE_emolabel.txt", "0002.jpg", r"RAFCE_emolabel.txt, line 2: .*got '0002.jpg'"),
        ("RAFCE_emolabel.txt", "0002.jpg happy", "line 2: expected a class index from 0 to 13; got '0002.jpg happy'"),
        ("RAFCE_emolabel.txt", "0002.jpg 14", "line 2: expected a class index from 0 to 13"),
        ("RAFCE_emolabel.txt", "0002.jpg -1", "line 2: expected a class index from 0 to 13"),
        ("RAFCE_emolabel.txt", "0001.jpg 3", "line 2: '0001.jpg' stands already in line 1"),
        ("RAFCE_emolabel.txt", "9999.jpg 3", "RAFCE_partition.txt has no line for picture 9999"),
        ("RAFCE_partition.txt", "9999.jpg 1", "RAFCE_partition.txt has no line for picture 0002"),
        ("RAFCE_partition.txt", "0002.jpg train", "line 2: expected 0 .train., 1 .test. or 2 .validation."),
    ],
)
def test_a_bad_line_names_file_line_and_text(rafce_folder: Path, file: str, text: str, message: str) -> None:
    edit(rafce_folder / file, 2, text)
    with pytest.raises(DataError, match=message):
        read(rafce_folder, None, 1)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("rafml_distribution.txt", "0001.jpg 0 0 0 0 0 0"),
        ("rafml_distribution.txt", "0001.jpg 1 0 0"),
        ("rafml_distribution.txt", "0001.jpg 1 -1 0 0 0 1"),
        ("RAFCE_landmark.txt", "0001.jpg 1 2 3 4 5 6 7 8 9 nan"),
        ("RAFCE_subject.txt", "0001.jpg Jane Doe"),
    ],
)
def test_a_bad_line_of_an_optional_file(rafce_folder: Path, file: str, text: str) -> None:
    write(rafce_folder / file, [text])
    with pytest.raises(DataError, match=f"{file}, line 1: expected .*; got '{text}'"):
        read(rafce_folder, None, 1)


def test_missing_and_empty_folders_say_what_is_expected_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rafce does not exist; expected there.*RAFCE_emolabel\.txt"):
        read(tmp_path / "rafce", None, 1)
    (tmp_path / "rafce").mkdir()
    with pytest.raises(DataError, match=r"rafce is empty; expected there.*RAFCE_partition\.txt"):
        read(tmp_path / "rafce", None, 1)
    write_rafce(tmp_path / "rafce", pictures=False)
    with pytest.raises(DataError, match=r"labels are there but none of the 112 pictures; the first is 0001\.jpg"):
        read(tmp_path / "rafce", None, 1)
    (tmp_path / "rafce" / "RAFCE_partition.txt").unlink()
    with pytest.raises(DataError, match=r"no split of its own.*RAFCE_partition\.txt is not there"):
        read(tmp_path / "rafce", None, 1)


def test_empty_and_binary_label_files(rafce_folder: Path) -> None:
    (rafce_folder / "RAFCE_emolabel.txt").write_text("\n")
    with pytest.raises(DataError, match=r"RAFCE_emolabel\.txt is empty"):
        read(rafce_folder, None, 1)
    (rafce_folder / "RAFCE_emolabel.txt").write_bytes("0001.jpg 1".encode("utf-16"))
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read(rafce_folder, None, 1)


def test_a_class_absent_from_train_is_named(rafce_folder: Path) -> None:
    path = rafce_folder / "RAFCE_emolabel.txt"
    lines = path.read_text().splitlines()
    write(path, [line if k >= 56 or not line.endswith(" 12") else line[:-2] + "11" for k, line in enumerate(lines)])
    with pytest.raises(DataError, match=r"no train picture of class 'happily fearful' \(12\)"):
        read(rafce_folder, None, 1)


def test_standin_says_that_faces_are_generated(rafce_folder: Path) -> None:
    data = reader("standin")(rafce_folder, None, 1)
    assert set(data.rows["source"]) == {"standin"}
    assert card(data, "standin")["notes"][0] == "generated faces, not people"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real RAF-CE label files are not beside the repository")
def test_the_real_label_files(tmp_path: Path) -> None:
    import json

    folder = tmp_path / "rafce"
    folder.mkdir()
    for path in REAL.glob("*.txt"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "one").write_bytes(jpeg(1))
    for line in (folder / "RAFCE_emolabel.txt").read_text().splitlines():
        (folder / line.split()[0]).symlink_to("one")
    told = card(read(folder, None, 1), "rafce")
    expected = json.loads((REAL / "statistics.json").read_text())
    assert told["classes"] == expected["classes"]
    assert told["counts"]["train"] == expected["counts"]["train"]
    assert told["counts"]["validation"] == expected["counts"]["validation"]
    assert told["counts"]["test"] == 909
    assert told["votes"]
