from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from fer_core.errors import ConfigError, DataError
from fer_core.faces.align import Batches, align, all_grey, choose_detector
from fer_core.faces.config import AlignConfig, read_config
from fer_core.faces.pixels import decode, is_grey, resize, warp
from fer_core.faces.similarity import ARCFACE, template
from fer_core.manifest import empty_columns, validate


def encode(picture: np.ndarray, ending: str = ".png") -> bytes:
    return cv2.imencode(ending, picture[..., ::-1] if picture.ndim == 3 else picture)[1].tobytes()


def face(scale: float = 2.0, shift: float = 10.0, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture with a bright dot of its own colour at each landmark, and the landmarks."""
    points = ARCFACE * scale + shift
    picture = np.zeros((300, 320, channels), np.uint8)
    for k, (x, y) in enumerate(points):
        colour = [255 if channels == 1 or c == k % 3 else 0 for c in range(channels)]
        cv2.circle(picture, (round(x), round(y)), 6, colour, -1)
    return picture, points.astype(np.float32)


def manifest(landmarks: list[object], **changes: list[object]) -> pd.DataFrame:
    count = len(landmarks)
    table = pd.DataFrame(empty_columns("ingest", count))
    table["sample_id"] = [f"{k:04d}" for k in range(count)]
    table["source"], table["picture"], table["split"] = "made up", "x.jpg", "pool"
    table["landmarks"] = pd.Series(landmarks, dtype=object)
    for name, values in changes.items():
        table[name] = values
    return table


def batches(pictures: list[bytes | None], per_batch: int = 2) -> Batches:
    named = [(f"{k:04d}", data) for k, data in enumerate(pictures)]
    return [named[k : k + per_batch] for k in range(0, len(named), per_batch)]


def test_landmarks_land_on_the_template_in_the_right_colours(tmp_path: Path) -> None:
    picture, points = face()
    table = manifest([points.ravel(), (points * 0.5).ravel()])
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    data = [encode(picture), encode(half)]
    config = AlignConfig(64, "landmarks", zoom=0.8)
    out = align(table, batches(data), False, config, tmp_path / "faces.npy")
    validate(out, "align")
    faces = np.load(tmp_path / "faces.npy", mmap_mode="r")
    assert faces.shape == (2, 64, 64, 3)
    target = template(64, 0.8)
    for row in range(2):
        np.testing.assert_allclose(out["aligned_landmarks"][row].reshape(5, 2), target, atol=1e-4)
        for k, (x, y) in enumerate(target):
            dot = faces[row, round(y), round(x)]
            assert dot[k % 3] > 150, "the dot is where the landmark is, in RGB order"
            assert dot.sum() < 1.5 * dot[k % 3]


def test_a_picture_is_where_its_landmarks_are_to_a_fraction_of_a_pixel() -> None:
    generator = np.random.default_rng(0)
    for scale in (1.6, 0.9, 0.45, 0.3, 0.11):
        picture = np.zeros((400, 440, 1), np.uint8)
        x, y = generator.uniform(150, 250, 2)
        grid_y, grid_x = np.mgrid[:400, :440]
        picture[..., 0] = 255 * np.exp(-((grid_x - x) ** 2 + (grid_y - y) ** 2) / (2 * (4 / scale) ** 2))
        shift = 32 - scale * np.array([x, y])
        crop = warp(picture, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), 64).astype(float)[..., 0]
        at = [(crop * axis).sum() / crop.sum() for axis in np.mgrid[:64, :64][::-1]]
        np.testing.assert_allclose(at, [32, 32], atol=0.06)


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((512, 512, 1), np.uint8)
    stripes[:, ::2] = 255
    scale = 64 / 512
    matrix = np.array([[scale, 0, 0], [0, scale, 0]])  # every sample point on a white stripe
    crop = warp(stripes, matrix, 64)[1:-1, 1:-1]
    assert abs(int(crop.min()) - 128) <= 2
    assert abs(int(crop.max()) - 128) <= 2
    assert resize(stripes, 64).std() < 2


def test_outside_the_picture_its_border_is_repeated() -> None:
    crop = warp(np.full((10, 10, 3), 90, np.uint8), np.array([[1.0, 0, 20], [0, 1.0, 20]]), 64)
    assert (crop == 90).all()


def test_none_resizes_whole_pictures_and_scales_landmarks(tmp_path: Path) -> None:
    picture = np.zeros((40, 80, 1), np.uint8)
    picture[:20, :40] = 200
    table = manifest([np.array([0, 0, 79, 39, 39.5, 19.5, 0, 39, 79, 0], np.float32), None])
    config = AlignConfig(20, "none")
    out = align(table, batches([encode(picture)] * 2), True, config, tmp_path / "faces.npy")
    faces = np.load(tmp_path / "faces.npy")
    assert faces.shape == (2, 20, 20, 1)
    assert (faces[0, :10, :10] == 200).all()
    assert (faces[0, 10:] == 0).all()
    expected = [-0.375, -0.25, 19.375, 19.25, 9.5, 9.5, -0.375, 19.25, 19.375, -0.25]
    np.testing.assert_allclose(out["aligned_landmarks"][0], expected, atol=1e-5)
    assert out["aligned_landmarks"][1] is None


def test_auto_takes_landmarks_only_where_enough_rows_have_them(tmp_path: Path) -> None:
    picture, points = face()
    data = batches([encode(picture)] * 10)
    landmarks: list[object] = [points.ravel()] * 9 + [None]
    config = AlignConfig(32, "auto", max_dropped=0.1)
    out = align(manifest(landmarks), data, False, config, tmp_path / "a.npy")
    assert out["drop_reason"].tolist()[9] == "no usable landmarks"
    assert out["crop_index"].tolist()[:9] == list(range(9))
    strict = AlignConfig(32, "auto", max_dropped=0.05)
    out = align(manifest(landmarks), data, False, strict, tmp_path / "b.npy")
    assert out["drop_reason"].isna().all()


def test_a_picture_that_does_not_decode_keeps_its_row(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    good = [encode(generator.integers(0, 255, (24, 24, 3), np.uint8), ".jpg") for _ in range(600)]
    data: list[bytes | None] = list(good)
    data[3], data[7], data[11] = b"no picture", good[7][: len(good[7]) * 9 // 10], b""
    table = manifest([None] * 600)
    path = tmp_path / "faces.npy"
    out = align(table, batches(data, 512), False, AlignConfig(24, "none"), path)
    validate(out, "align")
    assert out.index[out["drop_reason"].notna()].tolist() == [3, 7, 11]
    assert out["drop_reason"][7] == "picture does not decode"
    faces = np.load(path)
    assert faces.shape == (597, 24, 24, 3)
    assert path.stat().st_size == 597 * 24 * 24 * 3 + 128
    for row in (0, 4, 599):
        expected = decode(good[row], grey=False)
        np.testing.assert_array_equal(faces[out["crop_index"][row]], expected)


@pytest.mark.parametrize("lost_by_ingest", [False, True])
def test_too_many_lost_pictures_stop_the_stage_and_leave_nothing(tmp_path: Path, lost_by_ingest: bool) -> None:
    good = encode(np.zeros((8, 8), np.uint8))
    data: list[bytes | None] = [None if lost_by_ingest else b"x"] * 3 + [good] * 97
    reasons: list[object] = ["no picture file"] * 3 + [None] * 97 if lost_by_ingest else [None] * 100
    table = manifest([None] * 100, drop_reason=reasons)
    with pytest.raises(DataError, match=r"3 of 100 pictures were lost \(3\.0%\), more than align.max_dropped"):
        align(table, batches(data), True, AlignConfig(8, "none"), tmp_path / "out" / "faces.npy")
    assert list((tmp_path / "out").iterdir()) == []
    out = align(table, batches(data), True, AlignConfig(8, "none", max_dropped=0.03), tmp_path / "faces.npy")
    assert out["crop_index"].notna().sum() == 97


def test_rows_that_ingest_dropped_for_their_label_do_not_count_as_lost(tmp_path: Path) -> None:
    good = encode(np.zeros((8, 8), np.uint8))
    table = manifest([None] * 4, drop_reason=["majority of the votes: NF", "no majority", None, None])
    out = align(table, batches([good] * 4), True, AlignConfig(8, "none"), tmp_path / "faces.npy")
    assert out["drop_reason"].iloc[0] == "majority of the votes: NF"
    assert out["crop_index"].tolist()[2:] == [0, 1]


def test_pictures_that_are_not_in_manifest_order_are_refused(tmp_path: Path) -> None:
    good = encode(np.zeros((8, 8), np.uint8))
    for wrong in ([("0001", good), ("0000", good)], [("0000", good)]):
        with pytest.raises(DataError, match=r"[Rr]un ingest again"):
            align(manifest([None] * 2), [wrong], True, AlignConfig(8, "none"), tmp_path / "f.npy")


def test_grey_is_told_from_the_header_and_one_colour_picture_decides() -> None:
    grey, colour = encode(np.zeros((8, 8), np.uint8), ".jpg"), encode(np.zeros((8, 8, 3), np.uint8), ".jpg")
    assert (is_grey(grey), is_grey(colour), is_grey(b"x")) == (True, False, None)
    assert all_grey(batches([grey, grey, None, b"x"]))
    assert not all_grey(batches([grey, grey, colour]))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"detector": "mtcn"}, "`align.detector` to be one of auto, landmarks, mtcnn, none; .*Did you mean 'mtcnn'"),
        ({"zom": 1}, "Did you mean 'zoom'"),
        ({"zoom": "big"}, "`align.zoom` to be a number"),
        ({"max_dropped": 2}, "`align.max_dropped` to be a number from 0.0 to 1.0; got 2"),
    ],
)
def test_a_wrong_key_or_value_is_refused(section: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(section, 64)


def test_a_wrong_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="`size` to be an integer from 8; got '64'"):
        read_config(None, "64")
    assert read_config(None, 64) == AlignConfig(64)


def with_clips(points: list, inside: list[bool]) -> pd.DataFrame:
    table = manifest(points, split=["train"] * len(points))
    table["clip_id"] = pd.Series([f"clips/{k}" if clip else None for k, clip in enumerate(inside)], dtype="str")
    table["frame"] = pd.array([0 if clip else None for clip in inside], dtype="Int16")
    return table


def test_auto_asks_stills_alone() -> None:
    """A hundred frames with landmarks must not hide that the two stills have none, nor the other way round."""
    points = face()[1].ravel()
    config = AlignConfig(64, "auto", max_dropped=0.02)
    assert choose_detector(config, with_clips([points] * 100 + [None] * 2, [True] * 100 + [False] * 2)) == "none"
    assert choose_detector(config, with_clips([points] * 2 + [None] * 100, [False] * 2 + [True] * 100)) == "landmarks"


def test_frames_that_are_lost_stop_nothing_and_hide_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    picture, points = face()
    data = cv2.imencode(".png", picture)[1].tobytes()
    config = AlignConfig(64, "landmarks", max_dropped=0.1)
    frames_without = with_clips([points.ravel()] * 4 + [None] * 6, [False] * 4 + [True] * 6)
    batch = [(name, data) for name in frames_without["sample_id"]]
    found = align(frames_without, [batch], False, config, tmp_path / "faces.npy")
    assert found["crop_index"].notna().tolist() == [True] * 4 + [False] * 6
    assert found["drop_reason"][4:].eq("no usable landmarks").all() and len(np.load(tmp_path / "faces.npy")) == 4
    assert "6 of 6 frames of clips were lost; the first is 0004: no usable landmarks" in capsys.readouterr().err
    align(frames_without[:4], [batch[:4]], False, config, tmp_path / "stills.npy")
    assert (tmp_path / "stills.npy").read_bytes() == (tmp_path / "faces.npy").read_bytes()
    assert "frames of clips" not in capsys.readouterr().err
    stills_without = with_clips([points.ravel()] * 8 + [None] * 2, [True] * 6 + [False] * 4)
    batch = [(name, data) for name in stills_without["sample_id"]]
    with pytest.raises(DataError, match=r"2 of 4 pictures were lost \(50.0%\)"):
        align(stills_without, [batch], False, config, tmp_path / "other.npy")
    assert not (tmp_path / "other.npy").exists()


def test_frames_alone_are_nothing_to_align(tmp_path: Path) -> None:
    table = with_clips([None] * 4, [False, False, True, True])
    table["drop_reason"] = pd.Series(["no majority"] * 2 + [None] * 2, dtype="str")
    batch = [(name, encode(np.zeros((8, 8), np.uint8))) for name in table["sample_id"]]
    with pytest.raises(DataError, match="No picture is left to align: every still of the manifest has a drop_reason"):
        align(table, [batch], True, AlignConfig(8, "auto"), tmp_path / "faces.npy")
    assert list(tmp_path.iterdir()) == []
