"""The contact sheet: what it counts, which crops it picks, that it escapes, stays small and reads little."""

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from fer_core.errors import DataError
from fer_core.faces.config import AlignConfig
from fer_core.faces.sheet import REJECTS, write_sheet
from fer_core.faces.sheet_parts import MEASURES, mean_face, spread, with_landmarks, worst
from fer_core.manifest import empty_columns, validate

SHARP, EYES, YAW = MEASURES[0], MEASURES[1], MEASURES[2]


def manifest(count: int, rejected: int = 0) -> pd.DataFrame:
    """Rows 0, 1, 2 .. in train, validation, test, pool, train ..; the last `rejected` have no crop."""
    split = np.array(["train", "validation", "test", "pool"])[np.arange(count) % 4]
    table = pd.DataFrame({**empty_columns("ingest", count), **empty_columns("align", count)})
    table = table.assign(source="raw", split=split, sample_id=[f"s{k}" for k in range(count)])
    table["picture"] = table["sample_id"]
    table["emotion"] = pd.Series(np.where(np.isin(split, ["train", "validation"]), 0, -1), dtype="Int16")
    table["emotion"] = table["emotion"].mask(table["emotion"] < 0)
    number = np.arange(count, dtype=np.float32)
    table["crop_index"] = pd.Series(np.arange(count), dtype="Int32")
    table = table.assign(sharpness=100 - number, inter_ocular=10 + number, roll=number, yaw=number - 10, pitch=-number)
    table["faces"] = pd.Series(1, index=table.index, dtype="Int16")
    table["picture_width"] = table["picture_height"] = pd.Series(200, index=table.index, dtype="Int32")
    table["detection_score"] = np.float32(0.9)
    table["aligned_landmarks"] = pd.Series([np.array([4, 4, 10, 4, 7, 7, 5, 11, 9, 11], np.float32)] * count)
    lost = table.index[count - rejected :]
    table.loc[lost, "drop_reason"] = "no face found"
    table.loc[lost, "crop_index"] = pd.NA
    table.loc[lost, ["sharpness", "inter_ocular", "roll", "yaw", "pitch", "detection_score"]] = np.nan
    return validate(table, "align", 1)


def crops(count: int, channels: int = 3) -> np.ndarray:
    return np.full((count, 16, 16, channels), np.arange(count, dtype=np.uint8)[:, None, None, None])


def nothing(ids: list[str]) -> dict[str, bytes]:
    return {}


def words(page: str) -> str:
    return " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page, flags=re.S).split())


def test_counts_are_those_of_the_table(tmp_path: Path) -> None:
    write_sheet(tmp_path / "a.html", manifest(40, rejected=3), crops(37), nothing, AlignConfig(size=16))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    text = words(page)
    assert "Pictures 40 raw Crops 37 16 × 16 px, RGB Rejects 3 7.50 %" in text
    assert "train 10 0 10 0 0.00 validation 10 0 9 1 10.00 test 10 0 9 1 10.00 pool 10 0 9 1 10.00" in text
    assert "no face found 1 1 1 3" in text, "each reason by split"
    assert "zoom 0.9" in text
    assert "http" not in page.replace("http-equiv", ""), "one file that asks no host"


def test_the_worst_by_hand() -> None:
    table = manifest(40)
    assert worst(table, SHARP, 3)["sample_id"].tolist() == ["s39", "s38", "s37"]
    assert worst(table, EYES, 2)["sample_id"].tolist() == ["s0", "s1"]
    assert worst(table, YAW, 2)["sample_id"].tolist() == ["s39", "s38"]
    table.loc[0, "yaw"] = -90.0
    assert worst(table, YAW, 1)["sample_id"].tolist() == ["s0"], "to either side"
    table.loc[38, "sharpness"] = np.nan
    assert worst(table, SHARP, 2)["sample_id"].tolist() == ["s39", "s37"], "not known is not worst"
    table.loc[[37, 39], "clip_id"] = "c"
    assert worst(table, SHARP, 2)["sample_id"].tolist() == ["s39", "s36"], "of a clip one frame"


def test_a_reject_is_never_among_the_worst() -> None:
    table = manifest(8, rejected=1)
    table.loc[7, "sharpness"] = 0.0
    assert "s7" not in worst(table, SHARP, 8)["sample_id"].tolist()


def test_mean_face() -> None:
    faces = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (0, 10, 250)])
    mean, number = mean_face(faces, np.array([0, 2]), np.random.default_rng(0))
    assert (mean == 125).all() and number == 2, "crop 1 is not meant"
    mean, number = mean_face(np.repeat(faces[2:], 3_000, axis=0), np.arange(3_000), np.random.default_rng(0))
    assert (mean == 250).all() and number == 500, "a sum of 500 does not overflow"


def test_landmarks_are_drawn_where_they_are() -> None:
    points = [4, 4, 10, 4, 7, 7, 5, 11, 9, 11]
    shown = with_landmarks(np.full((16, 16, 1), 90, np.uint8), points)
    assert shown.shape == (112, 112, 3), "seven times as large"
    assert shown[31, 31].tolist() == [230, 159, 0], "the middle of pixel 4 is (4 + 0.5) * 7 - 0.5 = 31"
    assert shown[0, 0].tolist() == [90, 90, 90]
    wild = with_landmarks(np.zeros((16, 16, 3), np.uint8), [np.nan, 0, 1e12, 0, np.inf, 1, 2, 3, 4, 5])
    assert wild.shape == (112, 112, 3)


def test_every_reason_is_shown() -> None:
    rows = pd.DataFrame({"drop_reason": ["a"] * 100 + ["b", "c"]})
    assert spread(rows, 4).index.tolist() == [0, 100, 101, 1]


def test_rejects_have_pictures_or_a_place(tmp_path: Path) -> None:
    table, asked = manifest(200, rejected=100), []
    good = cv2.imencode(".png", np.zeros((30, 50, 3), np.uint8))[1].tobytes()

    def some(ids: list[str]) -> dict[str, bytes]:
        asked.append(ids)
        return {ids[0]: good, ids[1]: b"\xff\xd8 cut off"}

    write_sheet(tmp_path / "a.html", table, crops(100), some, AlignConfig(size=16))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert [len(ids) for ids in asked] == [REJECTS], "asked for once, and for no more than are shown"
    part = page[page.index('id="rejects"') :]
    assert part.count("<img") == 1 and "50 × 30 px" in part
    assert part.count("not shown</div>") == REJECTS - 1 and "10 bytes" in part
    assert "100 pictures have no crop; 60 are shown, 40 more are not" in words(part)


def test_names_are_escaped(tmp_path: Path) -> None:
    table = manifest(12, rejected=2)
    table["sample_id"] = [f'<img src=x onerror="a{k}">' for k in range(12)]
    table["source"], table.loc[11, "drop_reason"] = "<b>raw", "<i>odd"
    write_sheet(tmp_path / "a.html", table, crops(10), nothing, AlignConfig(size=16))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "onerror=&quot;a1&quot;" in page
    assert not re.search(r"<img src=x|<b>raw|<i>odd", page)


def test_a_set_where_no_detector_ran(tmp_path: Path) -> None:
    table = manifest(8)
    for name in ("faces", "detection_score", "yaw", "pitch", "roll", "inter_ocular", "sharpness"):
        table[name] = empty_columns("align", 8)[name]
    table["aligned_landmarks"] = None
    write_sheet(tmp_path / "a.html", table, crops(8, 1), nothing, AlignConfig(size=16))
    text = words((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "No detector ran" in text and "No picture was rejected." in text
    assert "No measure of quality is known" in text and "16 × 16 px, grey" in text


def test_several_faces(tmp_path: Path) -> None:
    table = manifest(8)
    table.loc[[2, 5], "faces"] = [2, 4]
    write_sheet(tmp_path / "a.html", table, crops(8), nothing, AlignConfig(size=16))
    text = words((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "In 2 pictures the detector found more than one face." in text
    assert text.index("4 faces s5") < text.index("2 faces s2"), "most faces first"


def test_many_noisy_crops_stay_below_3_megabytes_and_are_not_all_read(tmp_path: Path) -> None:
    count = 20_000

    class Counting:
        """Noise for crops, and how many were asked for."""

        shape, read = (count, 64, 64, 3), 0

        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int | np.ndarray) -> np.ndarray:
            number = np.size(index)
            self.read += number
            noise = np.random.default_rng(self.read).integers(0, 256, (number, 64, 64, 3), dtype=np.uint8)
            return noise if np.ndim(index) else noise[0]

    noise = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8))[1].tobytes()
    faces = Counting()
    table = manifest(count, rejected=100)
    table["faces"] = pd.Series(3, index=table.index, dtype="Int16")
    write_sheet(tmp_path / "a.html", table, faces, lambda ids: dict.fromkeys(ids, noise), AlignConfig(size=64))  # type: ignore[arg-type]
    assert (tmp_path / "a.html").stat().st_size < 3e6
    assert faces.read <= 4 * 500 + 4 * 24 + 6 * 12 + 24


def test_the_same_data_give_the_same_page(tmp_path: Path) -> None:
    for name in "ab":
        write_sheet(tmp_path / name, manifest(400), crops(400), nothing, AlignConfig(size=16))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_crops_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"names crop 9, faces\.npy holds 5"):
        write_sheet(tmp_path / "a.html", manifest(10), crops(5), nothing, AlignConfig(size=16))
    assert not (tmp_path / "a.html").exists()
