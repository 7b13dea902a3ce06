from pathlib import Path

import pytest
from made_up_sets import jpeg, reader, write

from fer_core.datasets.attributes import read_attributes
from fer_core.datasets.dataset import card
from fer_core.datasets.ingest import Reading, ingest
from fer_core.errors import DataError
from fer_core.files import read_json
from fer_core.manifest import read_manifest

read = reader("rafce")

SAMPLES = ["0001", "0002", "0003", "pool/p1"]


def read_lines(tmp_path: Path, *lines: str) -> dict[str, dict[str, str | None]]:
    write(tmp_path / "attributes.csv", list(lines))
    return read_attributes(tmp_path / "attributes.csv", SAMPLES).to_dict("index")


def test_names_cells_and_pool(tmp_path: Path) -> None:
    assert read_lines(
        tmp_path,
        "skin, picture ,age_group",
        "dark,0002.jpg,adult",
        ' "light, pale",original/0001_aligned.png,',
        "",
        ",,",
        ",pool/p1.jpg,child",
    ) == {
        "0002": {"attr_skin": "dark", "attr_age_group": "adult"},
        "0001": {"attr_skin": "light, pale", "attr_age_group": None},
        "pool/p1": {"attr_skin": None, "attr_age_group": "child"},
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["name,skin", "0001.jpg,dark"], "line 1: expected a header with the column `picture`.*; got 'name,skin'"),
        (["picture;skin", "0001.jpg;dark"], "line 1: expected a header .*commas.*; got 'picture;skin'"),
        (["picture", "0001.jpg"], "line 1: expected an attribute beside `picture`; got 'picture'"),
        (["picture,Skin", "0001.jpg,dark"], "line 1: expected names of a-z, 0-9 and _ in the header; got 'Skin'"),
        (["picture,", "0001.jpg,dark"], "line 1: expected names of a-z, 0-9 and _ in the header; got ''"),
        (["picture,skin,skin", "0001.jpg,a,b"], "line 1: expected each name once in the header, `skin` too"),
        (["picture,skin", "0001.jpg"], r"line 2: expected 2 cells \(picture, skin\).*; got '0001.jpg'"),
        (["picture,skin", "0001.jpg,dark,adult"], "line 2: expected 2 cells .*; got '0001.jpg,dark,adult'"),
        (["picture,skin", "1.jpg,dark"], "line 2: expected a picture of the set, such as 0001; got '1.jpg'"),
        (["picture,skin", "", "p1.jpg,dark"], "line 3: expected a picture of the set, .*; got 'p1.jpg'"),
        (["picture,skin", "pool/0001.jpg,dark"], "line 2: expected a picture of the set, .*; got 'pool/0001.jpg'"),
        (["picture,skin", ",dark"], "line 2: expected a picture of the set, .*; got ''"),
        (["picture,skin", "0001.jpg,a", "0001.png,b"], "line 3: '0001.png' stands already in line 2"),
        (["picture,skin", '0001.jpg,"dark'], "line [23]: not a line of comma-separated values"),
        (["", " "], "is empty"),
        (["picture,skin"], "has a header and no picture below it"),
    ],
)
def test_a_fault_names_file_line_and_what_was_expected(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=f"attributes.csv.*{message}"):
        read_lines(tmp_path, *lines)


def test_a_spreadsheets_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "attributes.csv"
    path.write_bytes(b'\xef\xbb\xbfpicture,skin\r\n0001.jpg,"light, pale"\r\n')
    assert read_attributes(path, SAMPLES).to_dict("index") == {"0001": {"attr_skin": "light, pale"}}


def test_the_manifest_has_them_for_every_split_and_null_where_no_line_is(rafce_folder: Path, tmp_path: Path) -> None:
    (rafce_folder / "pool").mkdir()
    (rafce_folder / "pool" / "p1.jpg").write_bytes(jpeg(1))
    lines = [f"{k:04d}.jpg,{'dark' if k % 2 else 'light'}," for k in range(1, 112)]
    write(rafce_folder / "attributes.csv", ["picture,skin,pose", *lines, "pool/p1.jpg,,frontal"])
    ingest("rafce", rafce_folder, tmp_path / "out", Reading(seed=1))
    table = read_manifest(tmp_path / "out" / "manifest.parquet").set_index("sample_id")
    assert table.loc["0001", "attr_skin"] == "dark" and table.loc["0110", "attr_skin"] == "light"
    assert table.loc["0110", "split"] == "test"
    assert table.loc[["0112", "pool/p1"], "attr_skin"].isna().all()
    assert table["attr_pose"].dropna().to_dict() == {"pool/p1": "frontal"}
    assert read_json(tmp_path / "out" / "card.json")["attributes"] == ["skin", "pose"]


def test_a_limit_keeps_the_attributes_of_the_pictures_it_keeps(rafce_folder: Path) -> None:
    write(rafce_folder / "attributes.csv", ["picture,name", *(f"{k:04d}.jpg,n{k:04d}" for k in range(1, 113))])
    rows = read(rafce_folder, 50, 1).rows
    assert len(rows) == 50 and rows["attr_name"].tolist() == [f"n{sample}" for sample in rows["sample_id"]]


def test_a_set_without_the_file_has_no_attributes(rafce_folder: Path) -> None:
    assert card(read(rafce_folder, None, 1), "rafce")["attributes"] == []
