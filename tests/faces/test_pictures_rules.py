"""The rule of each odd picture, as the table in fer_core.faces.pixels states it."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_faces import batches, encode, manifest, points_in, scene
from PIL import Image, ImageOps

from fer_core.faces import header as headers
from fer_core.faces import pixels as rules
from fer_core.faces.align import align
from fer_core.faces.config import AlignConfig
from fer_core.faces.header import read_header
from fer_core.faces.pixels import Picture, decode, is_grey, read_picture
from fer_core.faces.turning import moved_box, moved_points, turn, turning


def smooth(height: int = 40, width: int = 60) -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes, grey: bool = False) -> np.ndarray:
    picture = read_picture(data, grey)
    assert isinstance(picture, Picture), picture
    return picture.pixels


def oriented(picture: np.ndarray, orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    return saved(Image.fromarray(picture), kind, exif=exif.tobytes(), **lossless)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_and_what_is_annotated_with_it(kind: str, orientation: int) -> None:
    stored = scene((10, 20, 29, 59), height=80, width=100)
    data = oriented(stored, orientation, kind)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    picture = read_picture(data, False)
    assert isinstance(picture, Picture)
    np.testing.assert_allclose(picture.pixels.astype(int), upright, atol=0 if kind != "JPEG" else 3)
    np.testing.assert_array_equal(decode(data, True).shape, (*upright.shape[:2], 1))
    if orientation == 1:
        assert picture.matrix is None
        return
    box = moved_box(np.array([10.0, 20, 29, 59]), picture.matrix)
    left, top, right, bottom = box.astype(int)
    assert (picture.pixels[top : bottom + 1, left : right + 1] > 240).all()
    outside = picture.pixels.copy()
    outside[top : bottom + 1, left : right + 1] = 0
    assert (outside.min(axis=2) < 200).all()
    # each point is where its pixel went
    marked = np.zeros((80, 100, 1), np.uint8)
    points = np.array([[12, 25], [27, 25], [20, 40], [14, 55], [26, 55]])
    marked[points[:, 1], points[:, 0], 0] = [1, 2, 3, 4, 5]
    moved = moved_points(points.astype(float), picture.matrix, picture.mirrored).astype(int)
    order = [2, 1, 3, 5, 4] if orientation in (2, 4, 5, 7) else [1, 2, 3, 4, 5]
    assert turn(marked, orientation)[moved[:, 1], moved[:, 0], 0].tolist() == order


def test_a_mirrored_face_s_left_eye_is_the_viewer_s_left_again(tmp_path: Path) -> None:
    stored = scene((40, 30, 99, 99))
    points = points_in((40, 30, 99, 99)).astype(np.float32)
    data = [encode(stored), oriented(np.ascontiguousarray(stored[:, ::-1]), 2, "PNG")]
    mirrored = points.copy()
    mirrored[:, 0] = 159 - points[:, 0]
    swapped = mirrored[[1, 0, 2, 4, 3]]  # in the stored, mirrored picture viewer's left first too
    sideways = np.ascontiguousarray(np.rot90(stored, 1))  # quarter turn anticlockwise; 6 turns it back
    lying = np.stack([points[:, 1], 159 - points[:, 0]], 1)
    data.append(oriented(sideways, 6, "PNG"))
    table = manifest(3, landmarks=[points.ravel(), swapped.ravel(), lying.ravel()])
    out = align(table, batches(data), False, AlignConfig(48), tmp_path / "faces.npy")
    faces = np.load(tmp_path / "faces.npy")
    # landmarks are float32: a grey value may round the other way
    np.testing.assert_allclose(faces[1].astype(int), faces[0], atol=1)
    np.testing.assert_allclose(faces[2].astype(int), faces[0], atol=1)
    assert out["picture_width"].tolist() == [160] * 3 and out["picture_height"].tolist() == [120] * 3
    np.testing.assert_allclose(out["roll"].to_numpy(), 0, atol=1e-3)


def test_turning_by_hand() -> None:
    """A picture of 3 x 2 (wide x high): its pixel (2, 0) in each orientation."""
    expected = {1: (2, 0), 2: (0, 0), 3: (0, 1), 4: (2, 1), 5: (0, 2), 6: (1, 2), 7: (1, 0), 8: (0, 0)}
    for orientation, at in expected.items():
        matrix = turning(2, 3, orientation)
        assert tuple((matrix[:, :2] @ [2, 0] + matrix[:, 2]).astype(int)) == at, orientation


def test_a_damaged_exif_block_turns_nothing() -> None:
    data = oriented(smooth(), 6, "JPEG")
    at = data.index(b"Exif\0\0")
    broken = data[: at + 6] + b"\xff" * 8 + data[at + 14 :]
    assert pixels(broken).shape == (40, 60, 3)
    assert headers.orientation(b"Exif\0\0") == headers.orientation(b"") == 1


def test_grey_fills_three_channels_and_stays_one_where_crops_are_grey() -> None:
    grey = smooth()[..., 0]
    for kind in ("PNG", "BMP", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = saved(Image.fromarray(grey), kind, **options)
        np.testing.assert_array_equal(pixels(data), np.repeat(grey[..., None], 3, 2))
        np.testing.assert_array_equal(pixels(data, True), grey[..., None])
    one_bit = saved(Image.fromarray(grey > 128).convert("1"), "PNG")
    assert is_grey(one_bit) and set(np.unique(pixels(one_bit, True))) == {0, 255}


def test_transparency_is_laid_on_mid_grey() -> None:
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[..., 0], rgba[:8, :, 3] = 200, 255
    rgba[8:12, :, 3] = 51  # a fifth: 200 / 5 + 128 * 4 / 5
    shown = pixels(saved(Image.fromarray(rgba), "PNG"))
    assert shown[0, 0].tolist() == [200, 0, 0]
    assert shown[8, 0].tolist() == [142, 102, 102]
    assert shown[12, 0].tolist() == [128, 128, 128]
    lossless = saved(Image.fromarray(rgba), "WEBP", lossless=True, exact=True)
    np.testing.assert_array_equal(pixels(lossless), shown)
    la = np.dstack([np.full((16, 16), 40, np.uint8), rgba[..., 3]])
    data = saved(Image.fromarray(la, "LA"), "PNG")
    assert is_grey(data)
    assert pixels(data, True)[[0, 12], 0, 0].tolist() == [40, 128]
    assert pixels(data)[12, 0].tolist() == [128] * 3


def test_a_colour_key_is_transparency_too() -> None:
    picture = np.full((16, 16, 3), 255, np.uint8)
    picture[:8] = [9, 8, 7]
    shown = pixels(saved(Image.fromarray(picture), "PNG", transparency=(255, 255, 255)))
    assert shown[0, 0].tolist() == [9, 8, 7] and shown[12, 0].tolist() == [128] * 3


def test_a_palette_shows_its_colours_and_is_not_grey() -> None:
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([0, 0, 0, 10, 200, 30])
    data = saved(picture, "PNG")
    assert is_grey(data) is False
    assert pixels(data)[0, 0].tolist() == [10, 200, 30]
    assert pixels(data, True)[0, 0, 0] == round(0.299 * 10 + 0.587 * 200 + 0.114 * 30)
    clear = saved(picture, "PNG", transparency=1)
    assert pixels(clear)[0, 0].tolist() == [128] * 3


@pytest.mark.parametrize(
    ("largest", "depth"), [(200, 8), (1000, 10), (4095, 12), (16000, 14), (65535, 16), (30000, 16)]
)
def test_sixteen_bits_are_scaled_by_the_depth_that_holds_the_largest_value(largest: int, depth: int) -> None:
    ramp = np.linspace(0, largest, 256).astype(np.uint16).reshape(16, 16)
    expected = np.rint(ramp * (255 / (2**depth - 1))).astype(np.uint8)
    data = encode(ramp)
    assert is_grey(data)
    np.testing.assert_array_equal(pixels(data, True)[..., 0], expected)
    np.testing.assert_array_equal(pixels(data)[..., 2], expected)
    np.testing.assert_array_equal(pixels(saved(Image.fromarray(ramp), "TIFF"), True)[..., 0], expected)


def test_sixteen_bits_in_colour_and_with_alpha() -> None:
    picture = np.zeros((16, 16, 3), np.uint16)
    picture[..., 0], picture[..., 1] = 65535, 32896  # red, and half green
    data = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    assert not is_grey(data)
    assert pixels(data)[0, 0].tolist() == [255, 128, 0]
    alpha = np.zeros((16, 16, 1), np.uint16)
    alpha[:8] = 65535
    shown = pixels(cv2.imencode(".png", np.dstack([picture[..., ::-1], alpha]))[1].tobytes())
    assert shown[0, 0].tolist() == [255, 128, 0] and shown[12, 0].tolist() == [128] * 3


def test_sixteen_bits_grey_with_alpha() -> None:
    """OpenCV cannot write it, so the file is put together here: 8 x 8 of grey 65535, its lower half transparent."""
    line = struct.pack(">HH", 65535, 65535) * 8
    clear = struct.pack(">HH", 65535, 0) * 8
    body = zlib.compress(b"".join(b"\0" + part for part in [line] * 4 + [clear] * 4))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 4, 0, 0, 0)), (b"IDAT", body), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    assert pixels(data, True)[[0, 7], 0, 0].tolist() == [255, 128]


def test_floating_point_is_dropped() -> None:
    values = Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16))
    assert read_picture(saved(values, "TIFF"), True) == "picture has 32-bit or floating-point values"


def test_cmyk_jpeg() -> None:
    """Ink 20 % cyan and 50 % black: R = 0.8 * 0.5, G = B = 0.5 of 255."""
    data = saved(Image.new("CMYK", (32, 32), (51, 0, 0, 128)), "JPEG", quality=100)
    assert read_header(data).channels == 4 and is_grey(data) is False
    np.testing.assert_allclose(pixels(data)[16, 16], [102, 127, 127], atol=3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_its_first_frame(kind: str) -> None:
    first, second = (Image.fromarray(np.full((16, 20, 3), value, np.uint8)) for value in (60, 200))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(first, kind, save_all=True, append_images=[second], duration=100, **options)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert pixels(data).shape == (16, 20, 3)
    assert (pixels(data) == 60).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "progressive"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_was_cut_short_is_dropped(kind: str, share: float) -> None:
    options = {"progressive": True} if kind == "progressive" else {}
    data = saved(Image.fromarray(smooth(200, 200)), "JPEG" if options else kind, **options)
    assert pixels(data).shape == (200, 200, 3)
    reason = read_picture(data[: int(len(data) * share)], False)
    assert reason in ("picture file is cut short", "picture does not decode")
    if kind in ("JPEG", "PNG", "progressive", "GIF", "BMP"):
        assert reason == "picture file is cut short"


def test_something_behind_the_end_of_a_jpeg_is_not_cut_short() -> None:
    data = saved(Image.fromarray(smooth(200, 200)), "JPEG", quality=95)
    film = bytes(np.random.default_rng(0).integers(0, 255, 5000, np.uint8))
    np.testing.assert_allclose(pixels(data + film).astype(int), pixels(data), atol=3)


def test_what_is_no_picture_is_dropped_each_with_its_reason() -> None:
    assert read_picture(b"", False) == "picture file is empty"
    for data in (b"no picture", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"\xff" * 50):
        assert read_picture(data, False) in ("picture does not decode", "picture file is cut short"), data
        assert decode(data, True) is None
    assert read_picture(b"no picture", False) == "picture does not decode"


def test_any_damage_ends_in_a_picture_or_a_reason() -> None:
    generator = np.random.default_rng(7)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
        whole = saved(Image.fromarray(smooth()), kind)
        for _ in range(60):
            data = bytearray(whole)
            for at in generator.integers(0, len(data), 6):
                data[at] = generator.integers(0, 256)
            for grey in (True, False):
                found = read_picture(bytes(data), grey)
                assert isinstance(found, str | Picture)
                assert is_grey(bytes(data)) in (True, False, None)
                if isinstance(found, Picture):
                    assert found.pixels.dtype == np.uint8 and found.pixels.shape[2] == (1 if grey else 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_tiny_pictures_are_dropped(kind: str) -> None:
    for size in ((7, 30), (30, 7), (1, 1)):
        assert read_picture(saved(Image.new("RGB", size), kind), False) == "picture has a side below 8 pixels"
    assert pixels(saved(Image.new("RGB", (8, 8)), kind)).shape == (8, 8, 3)


def limited(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(rules, "LARGEST", most)
    monkeypatch.setattr("fer_core.faces.odd.LARGEST", most)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(("most", "by"), [(40 * 40, 2), (20 * 20, 4), (10 * 10, 8)])
def test_a_huge_jpeg_is_shrunk_while_decoding(monkeypatch: pytest.MonkeyPatch, most: int, by: int, grey: bool) -> None:
    picture = cv2.resize(smooth(10, 10), (80, 80), interpolation=cv2.INTER_CUBIC)
    data = saved(Image.fromarray(picture), "JPEG", quality=95)
    whole = pixels(data, grey)
    limited(monkeypatch, most)
    shrunk = read_picture(data, grey)
    assert isinstance(shrunk, Picture) and shrunk.pixels.shape[:2] == (80 // by, 80 // by)
    expected = cv2.resize(whole, (80 // by, 80 // by), interpolation=cv2.INTER_AREA).reshape(shrunk.pixels.shape)
    assert np.abs(shrunk.pixels.astype(int) - expected).mean() < 6, "RGB, not BGR"
    # the first of `by` pixels lies half of them minus a half before the centre of the shrunk one
    at = shrunk.matrix @ [by - 1, (by - 1) / 2, 1]
    np.testing.assert_allclose(at, [((by - 1) + 0.5) / by - 0.5, 0])


def test_a_huge_jpeg_is_turned_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = scene((16, 8, 63, 31), height=64, width=96)
    data = oriented(stored, 6, "JPEG")
    limited(monkeypatch, 64 * 96 // 4)
    picture = read_picture(data, False)
    assert isinstance(picture, Picture) and picture.pixels.shape == (48, 32, 3)
    left, top, right, bottom = moved_box(np.array([15.5, 7.5, 63.5, 31.5]), picture.matrix) + 0.5
    assert (picture.pixels[int(top) : int(bottom), int(left) : int(right)] > 215).all()
    assert (int(right) - int(left), int(bottom) - int(top)) == (12, 24)


def test_other_huge_pictures_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, 39 * 60)
    picture = Image.fromarray(smooth())
    for kind in ("PNG", "WEBP", "GIF", "BMP", "TIFF"):
        assert read_picture(saved(picture, kind), False) == "picture has more than 67,108,864 pixels", kind
    assert read_picture(saved(picture, "JPEG", progressive=True), False) == "picture has more than 67,108,864 pixels"
    assert read_picture(saved(picture, "JPEG")[:-400], False) == "picture file is cut short"


def test_a_bomb_is_refused_by_its_header() -> None:
    """60,000 x 60,000 pixels in a few bytes: nobody may allocate them, nor Pillow raise through."""
    ihdr = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + ihdr + struct.pack(">I", zlib.crc32(b"IHDR" + ihdr))
    assert read_picture(data + b"IEND", False) == "picture has more than 67,108,864 pixels"
    gif = bytearray(saved(Image.new("P", (16, 16)), "GIF"))
    gif[6:10] = struct.pack("<HH", 60000, 60000)
    assert read_picture(bytes(gif), False) == "picture has more than 67,108,864 pixels"


def test_a_jpeg_of_the_format_s_largest_sides_is_within_reach() -> None:
    """65,535 x 65,535 shrunk by 8 is 8,192 x 8,192 = 2^26 pixels, no more."""
    assert rules.LARGEST == 8192**2 == (-(-65535 // 8)) ** 2


@pytest.mark.parametrize("options", [{"quality": 90}, {"lossless": True}, {"quality": 50, "icc_profile": b"p" * 300}])
def test_a_webp_s_header_is_read_and_its_pixels_are_pillow_s(options: dict) -> None:
    data = saved(Image.fromarray(smooth(41, 63)), "WEBP", **options)
    found = read_header(data)
    assert found and (found.width, found.height, found.plain, found.complete) == (63, 41, True, True)
    np.testing.assert_array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert is_grey(data) is False
    assert not read_header(data[:-1]).complete
    clear = saved(Image.new("RGBA", (16, 16), (9, 9, 9, 0)), "WEBP", lossless="lossless" in options)
    assert not read_header(clear).plain and read_header(clear).width == 16
    assert not read_header(oriented(smooth(), 6, "WEBP")).plain


def test_a_camera_s_header_is_read_as_pillow_reads_it() -> None:
    for options in ({}, {"progressive": True}, {"comment": b"x" * 300}, {"dpi": (72, 72)}, {"icc_profile": b"p" * 500}):
        for mode in ("L", "RGB", "CMYK"):
            data = saved(Image.fromarray(smooth()).convert(mode), "JPEG", **options)
            found = read_header(data)
            assert found and (found.width, found.height) == (60, 40)
            assert found.grey == (mode == "L") and found.plain == (mode != "CMYK")
            assert found.progressive == ("progressive" in options)
    assert read_header(b"\xff\xd8\xff\xe0") is None and read_header(b"") is None
