import json
import re
from pathlib import Path

import numpy as np
import pytest

from fer_core.aus import vocabulary
from fer_core.aus.rafce import parse_token, read, read_file
from fer_core.errors import DataError

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "rafce_labels"


@pytest.mark.parametrize(
    ("token", "number", "part", "odd"),
    [
        *[("25", 25, "", False), ("L12", 12, "L", False), ("R1", 1, "R", False), ("T24", 24, "T", False)],
        *[("B22", 22, "B", False), ("AD19", 19, "", True), ("t23", 23, "T", True), ("L12L", 12, "L", True)],
        *[("BL18", 18, "BL", True), ("RB18", 18, "BR", True), ("AU12", 12, "", True), ("l4", 4, "L", True)],
        ("AUL4", 4, "L", True),
    ],
)
def test_tokens(token: str, number: int, part: str, odd: bool) -> None:
    assert parse_token(token) == (number, part, odd)


@pytest.mark.parametrize(
    "token", ["L", "x12", "12C", "12B", "L12R", "LR12", "TB24", "12L", "3", "99", "012", "1.5", "-1", "0", "null"]
)
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(ValueError, match=re.escape(token)):
        parse_token(token)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "RAFCE_AUlabel.txt"
    path.write_bytes(text.encode())
    return path


def test_null_is_not_annotated_and_sides_are_folded(tmp_path: Path) -> None:
    text = "\ufeff0001.jpg 1+4+L12 \r\n0002.jpg null\r\n0003_aligned.jpg R12+L12+12 + T24\r\n0004.jpg 19\r\n"
    labels = read_file(write(tmp_path, text), vocabulary=(1, 4, 12, 24))
    assert labels.table.index.tolist() == ["0001", "0002", "0003", "0004"]
    assert labels.table.loc["0001"].tolist() == [1, 1, 1, 0]
    assert np.isnan(labels.table.loc["0002"]).all()
    assert labels.table.loc["0003"].tolist() == [0, 0, 1, 1]
    assert labels.table.loc["0004"].tolist() == [0, 0, 0, 0], "annotated, with no AU of the vocabulary"
    assert (labels.lines, labels.unannotated, labels.outside) == (4, 1, {"AU19": 1})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0002.jpg 1+x", "line 2: .*'x' is no AU; got '0002.jpg 1.x'"),
        ("0002.jpg 1++4", "line 2: .*'' is no AU"),
        ("0002.jpg 1+null", "line 2: .*'null' is no AU"),
        ("0002.jpg", "line 2: expected a name, a space and a value"),
        ("0001.jpg 4", "line 2: '0001.jpg' stands already in line 1"),
    ],
)
def test_a_line_that_does_not_parse_names_file_line_and_text(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=f"RAFCE_AUlabel.txt, {message}"):
        read_file(write(tmp_path, f"0001.jpg 1\n{line}\n"))


def test_a_folder_without_labels_has_none(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    write(tmp_path, "0001.jpg 1\n")
    assert read(tmp_path) is not None


def test_vocabulary_is_facs() -> None:
    assert not set(vocabulary.UPPER_FACE) & set(vocabulary.LOWER_FACE)
    assert set(vocabulary.RAFCE) <= set(vocabulary.NAMES)
    assert len(vocabulary.RAFCE) == 22


@pytest.mark.skipif(not REAL.is_dir(), reason="the real RAF-CE label files are not beside the repository")
def test_the_real_file() -> None:
    labels = read_file(REAL / "RAFCE_AUlabel.txt")
    expected = json.loads((REAL / "statistics.json").read_text())
    assert (labels.lines, labels.unannotated) == (4549, 251)
    assert labels.tokens == expected["raw_tokens"]
    assert labels.odd == {"AD19": 1, "t23": 1, "L12L": 1, "BL18": 1, "RB18": 1}
    assert list(labels.table.columns) == list(expected["au_probability_given_class"]["happily sad"])
    assert labels.table.isna().all(axis=1).sum() == 251
    assert labels.outside["AU19"] == 34
    assert labels.outside["AU28"] == 44
    assert not set(labels.outside) & set(labels.table.columns)

    emotion = dict(line.split() for line in (REAL / "RAFCE_emolabel.txt").read_text().splitlines())
    classes = [expected["classes"][int(emotion[f"{key}.jpg"])] for key in labels.table.index]
    shares = labels.table.groupby(classes).mean()
    published = expected["au_probability_given_class"]
    for name, aus in published.items():
        np.testing.assert_allclose(shares.loc[name], [aus[au] for au in shares.columns], atol=6e-4)


def test_every_line_counts_also_where_many_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "RAFCE_AUlabel.txt"
    path.write_text("1.jpg t23+44\n2.jpg null\n3.jpg t23+44\n4.jpg NULL\n5.jpg 1+1\n6.jpg t23+44\n", encoding="utf-8")
    labels = read_file(path)
    assert (labels.lines, labels.unannotated) == (6, 2)
    assert labels.tokens == {"t23": 3, "44": 3, "1": 2}
    assert (labels.odd, labels.outside) == ({"t23": 3}, {"AU44": 3})
    assert labels.table["AU23"].fillna(-1).tolist() == [1, -1, 1, -1, 0, 1]
    assert labels.table["AU1"].fillna(-1).tolist() == [0, -1, 0, -1, 1, 0]
