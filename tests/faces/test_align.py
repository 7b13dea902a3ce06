from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from made_faces import White, points_in, scene

from fer_core.errors import ConfigError, DataError
from fer_core.faces.align import Batches, align, all_grey, choose_detector
from fer_core.faces.alignment import resolve
from fer_core.faces.config import AlignConfig, read_config
from fer_core.faces.detect import DETECTORS
from fer_core.faces.pixels import decode, is_grey, resize, warp
from fer_core.faces.similarity import ARCFACE, similarity, template
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
    assert out["drop_reason"][7] == "picture file is cut short"
    assert out["drop_reason"][3] == "picture does not decode"
    assert out["drop_reason"][11] == "picture file is empty"
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
        (
            {"detector": "mtcn"},
            "`align.detector` to be one of auto, insightface, landmarks, mtcnn, none, yunet; .*Did you mean 'mtcnn'",
        ),
        ({"zom": 1}, "Did you mean 'zoom'"),
        ({"zoom": "big"}, "`align.zoom` to be a number"),
        ({"crop": "tihgt"}, "`align.crop` to be one of arcface, box, tight; .*Did you mean 'tight'"),
        ({"face": "largest"}, "`align.face` to be one of annotated, central"),
        ({"margin": True}, "`align.margin` to be a number from -0.4 to 4.0; got True"),
        ({"model": "a.onnx"}, "`align.model` to be null with align.detector: auto"),
        ({"model": 3, "detector": "yunet"}, "`align.model` to be a path, or null; got 3"),
        ({"face": "annotated"}, "`align.face` to be central with align.detector: auto, which finds no faces"),
        ({"detector": "none", "crop": "tight"}, "`align.crop` to be box, or arcface .* knows no five points"),
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


def earlier(data: bytes, points: np.ndarray | None, grey: bool, size: int, zoom: float) -> np.ndarray:
    """The crop as align made it before it knew odd pictures, detectors' boxes and quality: decode, fit, warp."""
    mode = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    picture = picture.reshape(*picture.shape[:2], -1)
    if points is None:
        how = cv2.INTER_AREA if min(picture.shape[:2]) > size else cv2.INTER_LINEAR
        return cv2.resize(picture, (size, size), interpolation=how).reshape(size, size, -1)
    centre = np.array([56.0, 40.0])
    target = (((ARCFACE - centre) * zoom + centre) + 0.5) * (size / 112) - 0.5
    matrix = similarity(points.astype(np.float64)[None], target)[0]
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    factor = int(1 / scale) if scale < 0.5 else 1
    if factor > 1:
        height, width = picture.shape[:2]
        small = max(1, round(width / factor)), max(1, round(height / factor))
        x, y = width / small[0], height / small[1]
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    crop = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return crop.reshape(size, size, -1)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize("landmarks", [True, False])
def test_crops_of_ordinary_pictures_are_what_they_always_were(
    tmp_path: Path, grey: bool, ending: str, landmarks: bool
) -> None:
    generator = np.random.default_rng(5)
    data, points = [], []
    for _ in range(40):
        height, width = generator.integers(40, 500, 2)
        picture = cv2.GaussianBlur(generator.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 2)
        data.append(encode(picture[..., 0] if grey else picture, ending))
        scale = min(height, width) / 112 * generator.uniform(0.5, 1)
        points.append((ARCFACE * scale + generator.normal(0, 3, (5, 2))).astype(np.float32))
    table = manifest([p.ravel() if landmarks else None for p in points])
    out = align(table, batches(data, 7), grey, AlignConfig(48), tmp_path / "faces.npy")
    expected = [earlier(d, p if landmarks else None, grey, 48, 0.9) for d, p in zip(data, points, strict=True)]
    np.save(tmp_path / "expected.npy", np.stack(expected))
    assert (tmp_path / "faces.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()
    assert out["crop_index"].tolist() == list(range(40))


def test_quality_stands_in_the_manifest_where_it_is_known(tmp_path: Path) -> None:
    picture, points = face()
    data = [encode(picture), encode(picture), b"no picture", None]
    table = manifest([points.ravel(), None, points.ravel(), None], drop_reason=[None, None, None, "no picture file"])
    out = align(table, batches(data), False, AlignConfig(64, "none", max_dropped=1.0), tmp_path / "faces.npy")
    validate(out, "align")
    assert out["picture_width"].tolist()[:2] == [320, 320] and out["picture_height"].tolist()[:2] == [300, 300]
    assert out["picture_width"].isna().tolist() == [False, False, True, True]
    eyes = 2 * np.linalg.norm(ARCFACE[1] - ARCFACE[0])
    assert out["inter_ocular"][0] == pytest.approx(eyes, abs=1e-3)
    for name in ("inter_ocular", "roll", "yaw", "pitch"):
        assert out[name].isna().tolist() == [False, True, True, True], name
        assert abs(out[name][0]) < 3 or name == "inter_ocular", "ArcFace's template looks straight ahead"
    assert out["sharpness"].isna().tolist() == [False, False, True, True]
    assert out["sharpness"][0] == out["sharpness"][1] > 0
    assert out["faces"].isna().all(), "no detector ran"


def white(monkeypatch: pytest.MonkeyPatch) -> White:
    found = White()
    monkeypatch.setitem(DETECTORS, "mtcnn", lambda model: found)
    return found


def test_a_detected_face_lands_on_the_template_and_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    white(monkeypatch)
    data = [encode(scene((40, 30, 99, 99))), encode(scene()), encode(scene((40, 30, 99, 99), (5, 5, 20, 20)))]
    how = AlignConfig(48, "mtcnn", crop="tight", zoom=1.0, max_dropped=0.5)
    out = align(manifest([None] * 3), batches(data), False, how, tmp_path / "faces.npy")
    validate(out, "align")
    assert out["faces"].tolist() == [1, 0, 2]
    assert out["drop_reason"].tolist()[1] == "no face found"
    assert out["detection_score"].tolist()[0] == pytest.approx(0.9) and np.isnan(out["detection_score"][1])
    assert out["inter_ocular"][0] == pytest.approx(0.4 * 59)
    target = similarity(points_in((40, 30, 99, 99))[None], template(48, 1.0, "tight"))
    expected = points_in((40, 30, 99, 99)) @ target[0, :, :2].T + target[0, :, 2]
    np.testing.assert_allclose(out["aligned_landmarks"][0].reshape(5, 2), expected, atol=1e-4)
    np.testing.assert_array_equal(out["aligned_landmarks"][2], out["aligned_landmarks"][0])


def test_detectors_get_batches_that_no_picture_is_too_large_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = white(monkeypatch)
    data = [encode(scene((40, 30, 99, 99)))] * 80
    how = AlignConfig(48, "mtcnn")
    align(manifest([None] * 80), batches(data, 80), False, how, tmp_path / "faces.npy")
    assert sorted(found.calls) == [16, 32, 32]
    found.calls.clear()
    monkeypatch.setattr("fer_core.faces.cut.PIXELS", 120 * 160 * 5)
    align(manifest([None] * 80), batches(data, 80), False, how, tmp_path / "few.npy")
    assert max(found.calls) == 5 and sum(found.calls) == 80
    assert (tmp_path / "few.npy").read_bytes() == (tmp_path / "faces.npy").read_bytes()


def test_of_several_faces_the_central_or_the_annotated_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    white(monkeypatch)
    middle, corner = (60, 40, 99, 79), (5, 5, 34, 34)
    table = manifest([points_in(corner).ravel(), None, None, points_in((100, 90, 150, 118)).ravel()])
    table["box"] = pd.Series([None, [6.0, 4, 33, 35], None, None], dtype=object)
    data = [encode(scene(middle, corner))] * 4

    def eyes(face: str) -> list[float]:
        how = AlignConfig(40, "mtcnn", face=face, max_dropped=0.5)
        out = align(table, batches(data), False, how, tmp_path / "f.npy")
        reasons.append(out["drop_reason"].tolist()[3])
        assert out["faces"].tolist() == [2] * 4
        return [round(float(x), 1) for x in out["inter_ocular"]]

    reasons: list[object] = []
    assert eyes("central") == [15.6] * 4
    assert eyes("annotated")[:3] == [11.6, 11.6, 15.6]
    assert np.isnan(reasons[0]) and reasons[1] == "no face where the annotation has it"


def test_a_box_is_cut_as_a_square_with_its_margin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A box of 40 x 20 with a tenth on each side: 48 px around (79.5, 59.5), here at the picture's own scale."""
    white(monkeypatch)
    picture = scene((60, 50, 99, 69))
    # edges of pixels 60 .. 99 are 59.5 and 99.5; the detector and the annotation say the same
    exact = [59.5, 49.5, 99.5, 69.5]
    table = manifest([None, None])
    table["box"] = pd.Series([exact, exact], dtype=object)
    for how in (AlignConfig(48, "none", crop="box"), AlignConfig(48), AlignConfig(48, "landmarks", crop="box")):
        out = align(table, batches([encode(picture)] * 2), False, how, tmp_path / "faces.npy")
        validate(out, "align")
        faces = np.load(tmp_path / "faces.npy")
        np.testing.assert_array_equal(faces[0], picture[36:84, 56:104])
    table["box"] = pd.Series([exact, None], dtype=object)
    out = align(table, batches([encode(picture)] * 2), False, AlignConfig(48), tmp_path / "faces.npy")
    assert out["drop_reason"].isna().all(), "half of the rows lack a box: auto takes whole pictures"
    how = AlignConfig(48, "none", crop="box", max_dropped=0.5)
    out = align(table, batches([encode(picture)] * 2), False, how, tmp_path / "faces.npy")
    assert out["drop_reason"].tolist()[1] == "no usable box"
    how = AlignConfig(48, "mtcnn", crop="box", margin=0.0)
    out = align(manifest([None]), batches([encode(picture)]), False, how, tmp_path / "faces.npy")
    landmarks = (points_in((60, 50, 99, 69)) - [79.5, 59.5]) * 48 / 39 + 23.5
    np.testing.assert_allclose(out["aligned_landmarks"][0].reshape(5, 2), landmarks, atol=1e-4)


def test_auto_takes_landmarks_before_boxes_and_boxes_before_whole_pictures() -> None:
    points, box = face()[1].ravel(), [0.0, 0, 9, 9]
    both = manifest([points] * 2, box=pd.Series([box] * 2, dtype=object))
    boxes = manifest([None] * 2, box=pd.Series([box] * 2, dtype=object))
    assert resolve(AlignConfig(48), both) == ("landmarks", "arcface")
    assert resolve(AlignConfig(48, crop="tight"), both) == ("landmarks", "tight")
    assert resolve(AlignConfig(48, crop="box"), both) == ("none", "box")
    assert resolve(AlignConfig(48), boxes) == ("none", "box")
    assert resolve(AlignConfig(48), manifest([None] * 2)) == ("none", "whole")
    assert resolve(AlignConfig(48, "none"), both) == ("none", "whole")
