"""What pages share: histograms by hand, thumbnails of bounded size, pictures that do not decode."""

import base64
import io
import re

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from fer_core.pages.frame import frame
from fer_core.pages.histogram import histogram, share_bar
from fer_core.pages.html import section, tag
from fer_core.pages.rejects import by_reason
from fer_core.pages.thumbnails import MOST, of_file, thumbnail, tile


def opened(address: str) -> Image.Image:
    head, data = address.split(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_whole_numbers_have_a_bar_each() -> None:
    drawn = histogram([1, 1, 1, 3, np.nan], "Faces <found>")
    assert re.findall(r"<title>(.*?)</title>", drawn) == ["1: 3", "3: 1"]
    assert "Faces &lt;found&gt;" in drawn and "<found>" not in drawn
    assert "Not known of 1 of 5." in drawn


def test_bars_hold_every_number() -> None:
    drawn = histogram(np.linspace(0, 1, 1001), "Score")
    counts = [int(n.replace(",", "")) for n in re.findall(r"<title>[^:]*: ([\d,]+)</title>", drawn)]
    assert sum(counts) == 1001
    assert "median 0.5; 90 % between 0.05 and 0.95" in drawn


def test_long_tails_are_drawn_on_a_logarithmic_scale() -> None:
    assert "Logarithmic" in histogram([1.0, 2, 3, 1000], "Sharpness")
    assert "Logarithmic" not in histogram([-1.0, 2, 3, 1000], "Yaw"), "no logarithm of a negative number"


def test_a_histogram_of_nothing_and_of_one_number() -> None:
    assert "not known of any of 2" in histogram([np.nan, np.nan], "Yaw")
    assert "<title>0.5 to " in histogram([0.5], "Score")


def test_share_bar() -> None:
    assert "width:45px" in share_bar(0.5) and "width:0px" in share_bar(0.0) and "width:1px" in share_bar(1e-6)


def test_thumbnails_keep_their_bound_even_of_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    address = thumbnail(noise)
    assert len(base64.b64decode(address.split(",")[1])) <= MOST
    assert max(opened(address).size) <= 96
    grey = opened(thumbnail(np.full((40, 20, 1), 200, np.uint8)))
    assert (grey.mode, grey.size) == ("L", (20, 40)), "small ones are not enlarged"
    assert abs(int(np.asarray(grey).mean()) - 200) <= 2


def test_files_of_many_kinds() -> None:
    sixteen = cv2.imencode(".png", np.full((10, 30), 40_000, np.uint16))[1].tobytes()
    small = of_file(sixteen)
    assert small is not None and (small.width, small.height) == (30, 10)
    assert abs(int(np.asarray(opened(small.address)).mean()) - 40_000 // 256) <= 2
    for mode in ("RGBA", "P", "CMYK", "1", "LA"):
        raw = io.BytesIO()
        Image.new(mode, (12, 8)).save(raw, "TIFF" if mode == "CMYK" else "PNG")
        assert of_file(raw.getvalue()) is not None, mode


def test_exif_turns_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = io.BytesIO()
    Image.new("RGB", (400, 200)).save(raw, "JPEG", exif=exif)
    small = of_file(raw.getvalue())
    assert small is not None and (small.width, small.height) == (200, 400)
    assert opened(small.address).size == (48, 96)


def test_what_does_not_decode_is_none() -> None:
    whole = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))[1].tobytes()
    huge = b"P5 40000 40000 255\n"  # 1.6 gigapixels in 19 bytes
    for data in (
        None,
        b"",
        b"no picture",
        whole[: len(whole) // 2],
        huge,
        b"\x89PNG\r\n\x1a\n",
        b"II*\x00\x08\x00\x00",
    ):
        assert of_file(data) is None, data


def test_a_tile_escapes_and_shows_an_empty_place() -> None:
    assert "<img" not in tile(None, 'a"<b>') and "&lt;b&gt;" in tile(None, 'a"<b>')
    assert tile("data:x", "w", "one", "<two>").endswith("one<br>&lt;two&gt;</li>")


def test_reasons_are_counted_without_the_pictures_that_they_name() -> None:
    rows = pd.DataFrame({"split": ["train", "test", "train"]})
    rows["drop_reason"] = ["the same picture as 1 (test)", "no face found", "the same picture as 2 (test)"]
    found = re.sub(r"<[^>]+>", " ", by_reason(rows, "Rejects"))
    assert " ".join(found.split()).endswith("all the same picture as … 2 0 2 no face found 0 1 1")


def test_a_page_without_a_gains_table_has_no_script_for_one() -> None:
    page = frame("T", tag("h1", "T"), [("a", "A", section("a", "A"))], tag("p", "end"))
    assert "theme" in page and ".gains table" not in page
