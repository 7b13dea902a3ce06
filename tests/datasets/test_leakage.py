"""A deliberately leaked data set: each way of leaking is found, refused by name, reported or dropped."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from made_up_sets import edit, reader, write, write_clips, write_rafce

from benchmarks.leakage import every_pair
from fer_core.datasets import duplicates, near_pairs
from fer_core.datasets.duplicates import hashes, look, same_pictures
from fer_core.datasets.ingest import Reading, ingest
from fer_core.datasets.leakage import find_leaks
from fer_core.errors import ConfigError, DataError
from fer_core.files import read_json
from fer_core.manifest import read_manifest

read = reader("rafce")

TRAIN, VALIDATION, TEST = "0003", "0060", "0100"  # pictures of write_rafce
REAL = Path(__file__).parents[3] / "shared/data/fer2013/fer2013_train_public.parquet"


def face(seed: int, size: int = 64) -> np.ndarray:
    """Smooth random blobs, as different from another seed's as two faces are."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6)).astype(np.float32)
    picture = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, quality: int = 95) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """RAF-CE's layout with 112 different pictures."""
    made = write_rafce(tmp_path / "rafce")
    for path in (made / "original").iterdir():
        path.write_bytes(jpeg(face(int(path.stem))))
    return made


def put(folder: Path, name: str, picture: np.ndarray, quality: int = 95) -> None:
    (folder / "original" / f"{name}.jpg").write_bytes(jpeg(picture, quality))


def run(folder: Path, leakage: str = "refuse") -> Path:
    out = folder.parent / "out"
    ingest("rafce", folder, out, Reading(seed=1), leakage=leakage)
    return out


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder.parent / "out" / "leakage.csv", dtype={"first": str, "second": str})


def test_a_sound_set_passes_and_the_files_say_so(folder: Path) -> None:
    out = run(folder)
    report = read_json(out / "leakage.json")
    assert (report["leaks"], report["subjects"], report["duplicates"], report["policy"]) == (0, 0, 0, "refuse")
    assert table(folder).empty and "same picture" not in str(read_json(out / "card.json")["notes"])


CHANGES = {
    "the same file": lambda picture: picture,
    "re-encoded": lambda picture: cv2.imdecode(np.frombuffer(jpeg(picture, 30), np.uint8), cv2.IMREAD_GRAYSCALE),
    "resized": lambda picture: cv2.resize(picture, (41, 41), interpolation=cv2.INTER_AREA),
    "mirrored": lambda picture: picture[:, ::-1].copy(),
    "brighter": lambda picture: np.clip(picture * 0.7 + 50, 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("one", "other"), [(TRAIN, TEST), (TRAIN, VALIDATION), (VALIDATION, TEST)])
def test_the_same_picture_in_two_splits_is_refused_by_name(folder: Path, change: str, one: str, other: str) -> None:
    put(folder, other, CHANGES[change](face(int(one))), 90)
    with pytest.raises(DataError, match=rf"1 pairs of the same picture: {one} \(\w+\) and {other} \(\w+\)"):
        run(folder)
    found = table(folder).query("kind == 'picture'")
    assert len(found) == 1 and list(found["mirrored"]) == [change == "mirrored"]
    assert not (folder.parent / "out" / "manifest.parquet").exists(), "nothing goes on from there"


def test_the_same_file_is_an_exact_duplicate_and_a_re_encoded_one_is_not(folder: Path) -> None:
    (folder / "original" / f"{TEST}.jpg").write_bytes((folder / "original" / f"{TRAIN}.jpg").read_bytes())
    put(folder, VALIDATION, face(7), 60)
    report = read_json(run(folder, "report") / "leakage.json")
    assert (report["duplicates"], report["exact_duplicates"]) == (2, 1)
    leaks = {key: count for key, count in report["by_splits"].items() if key.startswith("picture")}
    assert leaks == {"picture: test, train": 1, "picture: train, validation": 1}


def test_subjects_in_two_splits_are_refused_by_name(folder: Path) -> None:
    write(folder / "RAFCE_subject.txt", [f"{k:04d}.jpg s{k}" for k in range(1, 113)])
    run(folder)
    edit(folder / "RAFCE_subject.txt", int(TEST), f"{TEST}.jpg s{int(TRAIN)}")
    with pytest.raises(DataError, match=rf"1 subjects and 0 pairs.*subject s3: {TEST} \(test\) and {TRAIN} \(train\)"):
        run(folder)


def test_test_pictures_and_subjects_in_the_pool_are_refused_and_train_ones_are_not(folder: Path) -> None:
    (folder / "pool").mkdir()
    (folder / "pool" / "a.jpg").write_bytes(jpeg(face(int(TRAIN))))
    assert read_json(run(folder) / "leakage.json")["leaks"] == 0
    for name in (VALIDATION, TEST):
        (folder / "pool" / "b.jpg").write_bytes(jpeg(face(int(name))))
        with pytest.raises(DataError, match=rf"{name} \(\w+\) and pool/b \(pool\)"):
            run(folder)
    (folder / "pool" / "b.jpg").write_bytes(jpeg(face(999)))
    write(folder / "RAFCE_subject.txt", [f"{TEST}.jpg x", f"{TRAIN}.jpg y"])
    write(folder / "pool_subject.txt", ["a.jpg y", "b.jpg x"])
    with pytest.raises(DataError, match=r"1 subjects and 0 pairs.*subject x"):
        run(folder)


def test_clips_and_stills_leak_into_each_other_but_not_frames_of_one_clip(folder: Path) -> None:
    write_clips(folder)
    for k in range(6):
        for frame in range(3):
            (folder / "clips" / f"{k:04d}" / f"{frame}.jpg").write_bytes(jpeg(face(500 + k)))
    write(folder / "clip_partition.txt", [f"{k:04d} {code}" for k, code in enumerate("002211")])
    report = read_json(run(folder) / "leakage.json")
    assert (report["leaks"], report["duplicates_within_a_split"]) == (0, 0)
    (folder / "clips" / "0005" / "1.jpg").write_bytes(jpeg(face(int(TRAIN))))
    with pytest.raises(DataError, match=rf"{TRAIN} \(train\) and clips/0005/1 \(test\)"):
        run(folder)


def test_report_goes_on_and_says_so_above_every_table(folder: Path) -> None:
    put(folder, TEST, face(int(TRAIN)))
    out = run(folder, "report")
    said = [text for text in read_json(out / "card.json")["notes"] if "same picture" in text]
    assert said[0] == "1 pairs of the same picture stand in two splits: test results may flatter"
    assert read_manifest(out / "manifest.parquet")["drop_reason"].isna().all()


def test_drop_leaves_out_what_is_not_in_test(folder: Path) -> None:
    put(folder, TEST, face(int(TRAIN)))
    put(folder, VALIDATION, face(int(TRAIN)))
    write(folder / "RAFCE_subject.txt", ["0001.jpg a", "0002.jpg a", "0061.jpg a", "0101.jpg a", "0004.jpg b"])
    rows = read_manifest(run(folder, "drop") / "manifest.parquet").set_index("sample_id")
    reasons = rows["drop_reason"].dropna().to_dict()
    assert reasons == {
        TRAIN: f"the same picture as {VALIDATION} in validation",
        VALIDATION: f"the same picture as {TEST} in test",
        **dict.fromkeys(("0001", "0002", "0061"), "its subject a is in test"),
    }
    card = read_json(folder.parent / "out" / "card.json")
    assert card["counts"]["test"] == 28
    assert card["notes"] == ["5 of 112 pictures are left out: they leaked into another split"]


def test_pictures_left_out_and_pictures_missing_are_told_apart(folder: Path) -> None:
    put(folder, TEST, face(int(TRAIN)))
    (folder / "original" / "0001.jpg").unlink()
    assert read_json(run(folder, "drop") / "card.json")["notes"] == [
        "1 of 112 pictures are missing or could not be read",
        "1 of 112 pictures are left out: they leaked into another split",
    ]


def test_subjects_in_two_splits_are_told_by_report_and_those_of_train_and_pool_are_not(folder: Path) -> None:
    (folder / "pool").mkdir()
    (folder / "pool" / "a.jpg").write_bytes(jpeg(face(999)))
    write(folder / "RAFCE_subject.txt", [f"{TRAIN}.jpg a", "0004.jpg b", f"{VALIDATION}.jpg b", f"{TEST}.jpg b"])
    write(folder / "pool_subject.txt", ["a.jpg a"])
    said = read_json(run(folder, "report") / "card.json")["notes"]
    assert said == ["1 subjects stand in more than one split: test results may flatter"]


def test_a_class_that_dropping_empties_is_told(folder: Path) -> None:
    for number in range(4):  # the four train pictures of class 0
        put(folder, f"{1 + 14 * number:04d}", face(int(TEST)))
    with pytest.raises(DataError, match="no train picture of class"):
        run(folder, "drop")


def test_pictures_with_two_emotions_are_listed_and_test_labels_are_not_told(folder: Path) -> None:
    put(folder, "0004", face(int(TRAIN)))  # both train, another class
    put(folder, "0017", face(int("0018")))  # both train
    put(folder, TEST, face(5))
    out = run(folder, "report")
    found = table(folder)
    conflicts = found[found["kind"] == "labels"]
    assert set(zip(conflicts["first"], conflicts["second"], strict=True)) == {(TRAIN, "0004"), ("0017", "0018")}
    assert conflicts["first_emotion"].tolist() == [2, 2] and conflicts["second_emotion"].tolist() == [3, 3]
    report = read_json(out / "leakage.json")
    assert (report["label_conflicts"], report["label_conflicts_with_test"]) == (2, 1)
    assert found.loc[found["kind"] != "labels", ["first_emotion", "second_emotion"]].isna().all().all()


def test_a_still_and_a_frame_of_the_same_moment_are_no_conflict_of_labels(folder: Path) -> None:
    """A clip's first frame may be neutral and has the clip's class all the same."""
    write_clips(folder)
    picture = jpeg(face(900))
    (folder / "original" / f"{TRAIN}.jpg").write_bytes(picture)  # class 2
    (folder / "clips" / "0000" / "0.jpg").write_bytes(picture)  # class 0, train too
    assert read_json(run(folder) / "leakage.json")["label_conflicts"] == 0


def test_blank_and_broken_pictures_are_like_nothing(folder: Path) -> None:
    for name in (TRAIN, VALIDATION, TEST):
        put(folder, name, np.full((64, 64), 128, np.uint8))
    (folder / "original" / "0001.jpg").write_bytes(b"no picture")
    (folder / "original" / "0101.jpg").write_bytes(b"no picture")
    assert read_json(run(folder) / "leakage.json")["leaks"] == 0


def test_nearly_blank_pictures_are_like_nothing(folder: Path) -> None:
    faint = np.tile(np.linspace(126, 130, 64), (64, 1)).astype(np.uint8)  # all such shades correlate by about 1
    for name in (TRAIN, VALIDATION, TEST):
        put(folder, name, faint)
    assert read_json(run(folder) / "leakage.json")["leaks"] == 0


def test_rows_that_were_dropped_do_not_leak(folder: Path) -> None:
    put(folder, TEST, face(int(TRAIN)))
    write(folder / "RAFCE_subject.txt", [f"{TRAIN}.jpg a", f"{TEST}.jpg a"])
    data = read(folder, None, 1)
    seen, rows = look([data.pictures()]), data.rows
    assert find_leaks(rows, seen).leaking["kind"].tolist() == ["subject", "picture"]
    assert find_leaks(rows.assign(drop_reason=rows["split"].map({"train": "x"})), seen).table.empty


def test_an_unknown_policy_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"`leakage` to be one of drop, refuse, report; got 'refus'"):
        run(folder, "refus")


def test_every_pair_is_compared_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a plain double loop, over more pictures than two blocks hold."""
    monkeypatch.setattr(near_pairs, "_ROWS", 7)
    monkeypatch.setattr(near_pairs, "_COLUMNS", 11)
    monkeypatch.setattr(duplicates, "_PAIRS", 5)
    pictures = [face(seed % 13, 48 + seed) for seed in range(30)]
    pictures = [picture[:, ::-1].copy() if seed % 5 == 0 else picture for seed, picture in enumerate(pictures)]
    seen = look([[(str(k), jpeg(picture)) for k, picture in enumerate(pictures)]])
    found = same_pictures(seen, near=64, same=0.9)
    flat = seen.copies().reshape(30, -1)
    turned = seen.copies()[:, :, ::-1].reshape(30, -1)
    expected = {
        (i, j) for i in range(30) for j in range(i + 1, 30) if max(flat[i] @ flat[j], flat[i] @ turned[j]) >= 0.9
    }
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == expected and len(expected) >= 20
    assert all(0 <= bits <= 64 for bits in found.bits)


def test_the_benchmark_compares_every_pair_without_a_hash() -> None:
    pictures = [face(1), face(2), face(1)[:, ::-1].copy(), face(3), face(1), np.full((48, 48), 9, np.uint8)]
    seen = look([[(str(k), jpeg(picture)) for k, picture in enumerate(pictures)]])
    assert every_pair(seen) == {(0, 2), (0, 4), (2, 4)}


def test_the_hash_is_the_difference_hash() -> None:
    """Bit by bit: whether a cell of 8 rows of 9 is darker than its right neighbour."""
    copy = face(3, 32).astype(np.float32)
    small = cv2.resize(copy, (9, 8), interpolation=cv2.INTER_AREA)
    bits = [small[row, column + 1] > small[row, column] for row in range(8) for column in range(8)]
    assert hashes(copy[None])[0] == np.packbits(bits).view(np.uint64)[0]
    assert len(hashes(np.zeros((0, 32, 32), np.float32))) == 0


def test_many_copies_of_one_picture_are_no_trouble() -> None:
    """A placeholder in place of 300 faces: all pairs are found, whichever chunk of candidates they are in."""
    seen = look([[(str(k), jpeg(face(1))) for k in range(300)], []])
    assert len(same_pictures(seen).first) == 300 * 299 // 2


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="FER2013 is not at ../shared/data")
def test_real_fer2013_has_duplicates_across_its_usages() -> None:
    real = pd.read_parquet(REAL, columns=["name", "Usage", "image"]).iloc[:8000]
    seen = look([zip(real["name"], real["image"], strict=True)])
    found = same_pictures(seen)
    assert int(found.exact.sum()) > 100 and len(found.first) > int(found.exact.sum())
