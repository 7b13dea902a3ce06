"""A table of one's own, its columns named in params.yaml."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_sets import jpeg, write

from fer_core.datasets import table as adapter
from fer_core.datasets.dataset import NO_PICTURE, Published
from fer_core.datasets.ingest import Reading, ingest, read_dataset
from fer_core.errors import ConfigError, DataError
from fer_core.manifest import read_manifest

POINTS = [f"p{k}" for k in range(10)]
BOX = ["x", "y", "w", "h"]


def lay(
    root: Path, *lines: str, file: str = "labels.csv", pictures: tuple[str, ...] = ("a.jpg", "b.jpg", "c.png")
) -> Path:
    write(root / file, list(lines))
    for k, name in enumerate(pictures):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg(k))
    return root


def labels(found: Published) -> list[str | None]:
    return [None if pd.isna(k) else found.labels.classes[k] for k in found.rows["emotion"]]


def test_plain_table(tmp_path: Path) -> None:
    lay(tmp_path, "picture,label", "b.jpg,Happy", "a.jpg,sad", "c.png,Joy")
    found = adapter.read(tmp_path, {})
    assert found.rows["sample_id"].tolist() == ["b", "a", "c"]
    assert found.labels.classes == ("happiness", "sadness")
    assert labels(found) == ["happiness", "sadness", "happiness"]
    assert found.rows["split"].isna().all()
    assert list(found.pictures(found.rows)) == [("b", jpeg(1)), ("a", jpeg(0)), ("c", jpeg(2))]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("file", "delimiter"), [("labels.csv", ";"), ("labels.csv", "\t"), ("labels.tsv", "\t"), ("x.txt", "|")]
)
def test_delimiters_and_what_editors_leave(tmp_path: Path, file: str, delimiter: str) -> None:
    text = "\r\n".join(["picture,note,label ", "", "a.jpg, x ,happy  ", ",,", 'b.jpg,"""q",sad', ",,", ""])
    (tmp_path / file).write_bytes(b"\xef\xbb\xbf" + text.replace(",", delimiter).encode())
    found = adapter.read(tmp_path, {"file": file})
    assert found.rows["sample_id"].tolist() == ["a", "b"]
    assert labels(found) == ["happiness", "sadness"]


def test_all_columns(tmp_path: Path) -> None:
    header = ["img", "cls", "set", "who", *BOX, *POINTS, "skin tone"]
    row = ["a", "1", "Dev", "p7", "10", "20", "30", "40", *(str(k) for k in range(10)), "dark"]
    bare = ["b.jpg", "0", "training", "", "", "", "", "", *([""] * 10), ""]
    lay(tmp_path, ",".join(header), ",".join(row), ",".join(bare), pictures=("faces/a.jpg", "faces/b.jpg"))
    options: dict[str, Any] = {
        "folder": "faces",
        "picture": "img",
        "label": "cls",
        "split": "set",
        "subject": "who",
        "box": BOX,
        "landmarks": POINTS,
        "attributes": ["skin tone"],
        "classes": ["neutral", "Angry"],
    }
    found = adapter.read(tmp_path, options)
    rows = found.rows
    assert rows["picture"].tolist() == ["faces/a.jpg", "faces/b.jpg"]
    assert rows["sample_id"].tolist() == ["a", "b"]
    assert labels(found) == ["anger", "neutral"]
    assert rows["split"].tolist() == ["validation", "train"]
    assert rows["subject"][0] == "p7"
    assert rows["box"][0].tolist() == [10, 20, 40, 60]
    assert rows["landmarks"][0].tolist() == list(range(10))
    assert rows["attr_skin_tone"][0] == "dark"
    assert rows.loc[1, ["subject", "box", "landmarks", "attr_skin_tone"]].isna().all()
    assert next(found.pictures(rows)) == ("a", jpeg(0))


def test_a_box_of_corners(tmp_path: Path) -> None:
    lay(tmp_path, "picture,label,x,y,w,h", "a.jpg,happy,10,20,30,40")
    assert adapter.read(tmp_path, {"box": BOX, "box_form": "ltrb"}).rows["box"][0].tolist() == [10, 20, 30, 40]


@pytest.mark.parametrize("classes", [{1: "surprise", 2: "Fear"}, {"1": "surprise", "2": "fear"}])
def test_numbers_and_words_are_mapped(tmp_path: Path, classes: dict[Any, str]) -> None:
    lay(tmp_path, "picture,label", "a.jpg,2", "b.jpg,1.0", "c.png,Surprise")
    found = adapter.read(tmp_path, {"classes": classes})
    assert found.labels.classes == ("surprise", "fear")
    assert labels(found) == ["fear", "surprise", "surprise"]
    write(tmp_path / "labels.csv", ["picture,label", "a.jpg,HA", "b.jpg,AN", "c.png,JO"])
    found = adapter.read(tmp_path, {"classes": {"AN": "anger", "HA": "happiness", "JO": "happiness"}})
    assert labels(found) == ["happiness", "anger", "happiness"]
    assert found.labels.classes == ("anger", "happiness")


def test_votes_beside_labels_and_instead_of_them(tmp_path: Path) -> None:
    votes = {"happy": "v1", "sad": "v2"}
    lay(tmp_path, "picture,v1,v2,label", "a.jpg,1,3,happy", "b.jpg,,,sad", "c.png,0.5,0,sad")
    found = adapter.read(tmp_path, {"votes": votes})
    assert found.labels.votes == ("happiness", "sadness")
    np.testing.assert_array_equal(found.rows["votes"][0], np.float32([0.25, 0.75]))
    assert found.rows["votes"][1] is None
    assert labels(found) == ["happiness", "sadness", "sadness"], "the label is taken, not the votes"
    write(tmp_path / "labels.csv", ["picture,v1,v2", "a.jpg,1,3", "b.jpg,2,2", "c.png,,"])
    found = adapter.read(tmp_path, {"votes": votes, "label": "label"})  # as params.yaml has it
    assert labels(found) == ["sadness", None, None]
    assert found.rows["drop_reason"].tolist()[1] == "no majority among the votes"
    assert found.rows["split"].tolist()[2] == "pool"
    assert found.rows["votes"][1] is None


def test_rows_without_a_label(tmp_path: Path) -> None:
    lay(tmp_path, "picture,label,split", "a.jpg,,train", "b.jpg,,test", "c.png,,", "d,sad,test", pictures=())
    found = adapter.read(tmp_path, {"split": "split"})
    assert found.rows["split"].tolist() == ["pool", "test", "pool", "test"]
    assert found.rows["drop_reason"].tolist()[:3] == [NO_PICTURE, "no label", NO_PICTURE]
    assert found.notes == (
        "1 of 4 pictures are dropped: no label",
        "2 of 4 pictures have no label: they are the pool",
    )


def test_clips(tmp_path: Path) -> None:
    options = {"clip": "clip", "frame": "frame"}
    lay(tmp_path, "picture,label,clip,frame", "a.jpg,happy,c1,0", "b.jpg,happy,c1,7.0", "c.png,sad,,3")
    rows = adapter.read(tmp_path, options).rows
    assert rows["clip_id"].tolist()[:2] == ["c1", "c1"]
    assert rows["frame"].tolist()[:2] == [0, 7]
    assert rows.loc[2, ["clip_id", "frame"]].isna().all()
    for line, message in (
        ("b.jpg,happy,c1,", "line 3, column `frame`: expected a frame's number from 0 to 32767, as the row has a clip"),
        ("b.jpg,happy,c1,-1", "line 3, column `frame`: .* got '-1'"),
        ("b.jpg,happy,c1,0", "line 3, column `frame`: expected each frame of clip 'c1' once"),
        (
            "b.jpg,sad,c1,1",
            r"line 3, column `label`: expected the same in all frames of clip 'c1' \(line 2\); got 'sad'",
        ),
    ):
        write(tmp_path / "labels.csv", ["picture,label,clip,frame", "a.jpg,happy,c1,0", line])
        with pytest.raises(DataError, match=message):
            adapter.read(tmp_path, options)


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    table = pd.DataFrame({"picture": ["a.jpg", "b.jpg", "c.png"], "label": [1, 0, None], "who": [7, 8, None]})
    lay(tmp_path, "x")
    table.to_parquet(tmp_path / "t.parquet")
    table.to_csv(tmp_path / "t.csv", index=False)
    options = {"subject": "who", "classes": ["happy", "sad"]}
    one = adapter.read(tmp_path, {"file": "t.parquet", **options})
    assert labels(one) == ["sadness", "happiness", None]
    assert one.rows["subject"].tolist()[:2] == ["7", "8"]
    two = adapter.read(tmp_path, {"file": "t.csv", **options}).rows.drop(columns="subject")
    assert one.rows.drop(columns="subject").equals(two)
    with pytest.raises(DataError, match=r"t\.parquet, row 1, column `label`: expected a label .*0 \(anger\); got '1'"):
        adapter.read(tmp_path, {"file": "t.parquet", "classes": ["anger"]})
    write(tmp_path / "bad.parquet", ["no"])
    with pytest.raises(DataError, match=r"bad\.parquet is not a Parquet file"):
        adapter.read(tmp_path, {"file": "bad.parquet"})


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["a.jpg,happy", "a.jpg,sad"], {}, r"labels\.csv, line 3: 'a\.jpg' stands already in line 2"),
        (["a.jpg,happy", "a.png,sad"], {}, r"line 3: 'a\.png' stands already in line 2"),
        (["a.jpg,happy,x"], {}, r"line 2: expected 2 cells; got 3: 'a\.jpg,happy,x'"),
        (["a.jpg"], {}, "line 2: expected 2 cells; got 1"),
        ([",happy"], {}, "line 2, column `picture`: expected the name of a file inside the data set's folder; got ''"),
        (["../a.jpg,happy"], {}, r"line 2, column `picture`: .* got '\.\./a\.jpg'"),
        (["/a.jpg,happy"], {}, "line 2, column `picture`: expected the name of a file inside"),
        (["C:\\a.jpg,happy"], {}, "line 2, column `picture`: expected the name of a file inside"),
        (["a.jpg,bored"], {"classes": ["happy"]}, r"line 2, column `label`: expected a label of .*: 0 \(happiness\)"),
        (["a.jpg,3"], {"classes": ["happy", "sad"]}, "line 2, column `label`: .* got '3'"),
        (["a.jpg,-1"], {"classes": ["happy", "sad"]}, "line 2, column `label`: .* got '-1'"),
        (
            ["a.jpg,happy"],
            {"split": "label"},
            r"column `label`: expected a split \(train, training, val, .*; got 'happy'",
        ),
        (["twice,happy"], {}, r"column `picture`: expected one picture, not twice\.jpg and twice\.png"),
        ([], {}, r"labels\.csv has a header but no rows"),
        (['a.jpg,"happy'], {}, r"labels\.csv, after line 2: not a table of text"),
    ],
)
def test_a_bad_cell_names_file_line_and_column(
    tmp_path: Path, lines: list[str], options: dict[str, Any], message: str
) -> None:
    lay(tmp_path, "picture,label", *lines, pictures=("twice.jpg", "twice.png"))
    with pytest.raises(DataError, match=message):
        adapter.read(tmp_path, options)


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        ("1,2,x,4", {"box": BOX}, "line 2, column `w`: expected numbers of pixels, all or none of the box; got 'x'"),
        ("1,2,,4", {"box": BOX}, "line 2, column `w`: expected numbers of pixels, all or none of the box; got ''"),
        ("1,2,0,4", {"box": BOX}, r"line 2, column `w`: expected a width above 0 \(box_form: xywh\); got '0'"),
        (
            "9,2,8,4",
            {"box": BOX, "box_form": "ltrb"},
            r"column `w`: expected a width above 0 \(box_form: ltrb\); got '8'",
        ),
        ("1,2,3,inf", {"box": BOX}, "column `h`: .* got 'inf'"),
        (
            "1,-2,0,0",
            {"votes": {"happy": "x", "sad": "y"}},
            "column `y`: expected votes that are not negative and not all",
        ),
        (
            "0,0,0,0",
            {"votes": {"happy": "x", "sad": "y"}},
            "column `x`: expected votes that are not negative and not all",
        ),
        ("1,,0,0", {"votes": {"happy": "x", "sad": "y"}}, "column `y`: expected votes, all or none of them; got ''"),
    ],
)
def test_a_bad_number_names_its_column(tmp_path: Path, cells: str, options: dict[str, Any], message: str) -> None:
    lay(tmp_path, "picture,label,x,y,w,h", f"a.jpg,happy,{cells}")
    with pytest.raises(DataError, match=message):
        adapter.read(tmp_path, options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "lable"}, r"`sets\.table\.label` to be one of label, picture; got 'lable'\. Did you mean 'label'"),
        ({"votes": {"a": "v", "b": "w"}}, r"`sets\.table\.votes` to be one of label, picture; got 'v'"),
        ({"votes": {"a": "v"}}, r"`sets\.table\.votes` to be null or two classes or more"),
        ({"votes": {"happy": "v", "joy": "w"}}, "to name each class and each column once"),
        ({"pictures": "x"}, r"`key of sets\.table`"),
        ({"picture": None}, r"`sets\.table\.picture` to be a name; got None"),
        ({"file": "../labels.csv"}, r"`sets\.table\.file` to lie inside the set's folder; got '\.\./labels\.csv'"),
        ({"folder": "/tmp"}, r"`sets\.table\.folder` to lie inside the set's folder; got '/tmp'"),
        ({"folder": "gone"}, r"`sets\.table\.folder` to be a folder of the set"),
        ({"box": ["a", "b"]}, r"`sets\.table\.box` to be null or a list of 4 columns"),
        ({"landmarks": BOX}, r"`sets\.table\.landmarks` to be null or a list of 10 columns"),
        ({"box_form": "xyxy"}, r"`sets\.table\.box_form` to be one of ltrb, xywh"),
        ({"clip": "label"}, r"`sets\.table\.clip` to be given together with `frame`"),
        ({"classes": ["happy", "joy"]}, r"`sets\.table\.classes` to name each class once"),
        ({"classes": "happy"}, r"`sets\.table\.classes` to be null, a list"),
        ({"attributes": "skin"}, r"`sets\.table\.attributes` to be a list of columns"),
        ({"attributes": ["skin tone", "skin_tone"]}, "differ in letters and digits"),
        ({}, r"line 2, column `label`: labels are numbers \(0\), so `sets\.table\.classes` must say"),
        ({"label": None}, r"has no label, so `sets\.table\.classes` must list the classes"),
    ],
)
def test_bad_options_name_their_key(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    lay(tmp_path, "picture,label", "a.jpg,0")
    with pytest.raises(ConfigError, match=message):
        adapter.read(tmp_path, options)


def test_missing_and_unlisted_pictures_and_a_missing_table(tmp_path: Path) -> None:
    lay(tmp_path, "picture,label", "a.jpg,happy", "gone.jpg,sad", pictures=("a.jpg", "b.jpg", "._a.jpg"))
    (tmp_path / "loop").symlink_to(tmp_path)
    found = adapter.read(tmp_path, {})
    assert found.rows["drop_reason"].isna().tolist() == [True, False]
    assert list(found.pictures(found.rows))[1] == ("gone", None)
    assert found.notes[1] == "1 pictures have no row in labels.csv and were left out"
    with pytest.raises(
        DataError, match=r"lacks faces\.csv; expected there, as published: faces\.csv \(`sets\.table\.file`"
    ):
        adapter.read(tmp_path, {"file": "faces.csv"})


def test_the_manifest_of_a_table_is_valid(tmp_path: Path) -> None:
    splits, classes = ("train", "val", "test"), ("happy", "sad")
    lines = ["picture,label,split,who,clip,frame", "u.jpg,,train,,,", "v.jpg,,test,,,"]
    for k in range(24):
        clip, frame = divmod(k, 2)
        lines.append(f"s{k}.jpg,{classes[k % 2]},{splits[k % 3]},p{k},,")
        lines.append(f"c{k}.jpg,{classes[clip % 2]},{splits[clip % 3]},,c{clip},{frame}")
    (tmp_path / "raw").mkdir()
    lay(tmp_path / "raw", *lines, pictures=tuple(line.split(",")[0] for line in lines[1:]))
    options = {"split": "split", "subject": "who", "clip": "clip", "frame": "frame"}
    reading = Reading(sets={"table": options})
    ingest("table", tmp_path / "raw", tmp_path / "out", reading, leakage="report")
    rows = read_manifest(tmp_path / "out/manifest.parquet")
    assert len(rows) == 50
    assert rows["split"].value_counts()["pool"] == 1
    assert read_dataset("table", tmp_path / "raw", reading).labels.classes == ("happiness", "sadness")


def test_a_hundred_thousand_rows_are_quick(tmp_path: Path) -> None:
    """It takes about 3 s."""
    points = ",".join(str(k) for k in range(14))
    lines = [f"{k % 100}/{k}.jpg,{k % 7},train,p{k % 50},{points}" for k in range(100_000)]
    write(tmp_path / "labels.csv", [",".join(["picture,label,split,who", *BOX, *POINTS]), *lines])
    options: dict[str, Any] = {"split": "split", "subject": "who", "box": BOX, "landmarks": POINTS}
    start = time.perf_counter()
    found = adapter.read(tmp_path, {**options, "classes": list("abcdefg")})
    assert len(found.rows) == 100_000
    assert time.perf_counter() - start < 15
