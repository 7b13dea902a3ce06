from pathlib import Path

import numpy as np
import pytest

from fer_core.aus.intensity import parse_intensity, read_intensities
from fer_core.errors import DataError


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "AUintensity.csv").write_bytes(text.encode())
    return tmp_path


def test_letters_numbers_and_nothing(tmp_path: Path) -> None:
    text = "\ufeffpicture,AU12, AU1\r\n0001.jpg,A,E\r\n\r\n0002_aligned.jpg, 2.5 ,\r\n0003,c,0\r\n,,\r\n"
    table = read_intensities(write(tmp_path, text))
    assert table is not None
    assert table.index.tolist() == ["0001", "0002", "0003"]
    assert table.columns.tolist() == ["AU12", "AU1"]
    assert (table.dtypes == np.float32).all()
    np.testing.assert_array_equal(table, np.array([[1, 5], [2.5, np.nan], [3, 0]], np.float32))


def test_a_folder_without_the_file_has_none(tmp_path: Path) -> None:
    assert read_intensities(tmp_path) is None


@pytest.mark.parametrize("text", ["F", "AB", "5.1", "-1", "nan", "inf", "x", "1,5"])
def test_what_is_no_intensity(text: str) -> None:
    with pytest.raises(ValueError):
        parse_intensity(text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0002.jpg,1,6", "line 3: expected 0 to 5, a letter from A to E or nothing in the column `AU12`; got '6'"),
        ("0002.jpg,F,1", "line 3: .* in the column `AU1`; got 'F'"),
        ("0002.jpg,1", "line 3: expected 3 cells .*; got '0002.jpg,1'"),
        ("0002.jpg,1,2,3", "line 3: expected 3 cells"),
        (",1,2", "line 3: expected the name of a picture in the column `picture`; got ',1,2'"),
        ("0001.png,1,2", "line 3: '0001.png' stands already in line 2"),
        ('0002.jpg,"1"x,2', "line 3: not a line of comma-separated values"),
    ],
)
def test_a_bad_line_names_file_line_and_column(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"AUintensity\.csv, {message}"):
        read_intensities(write(tmp_path, f"picture,AU1,AU12\n0001.jpg,1,2\n{line}\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,AU1\n0001.jpg,1\n", "line 1: expected a header `picture,AU1,AU2,...`; got 'name,AU1'"),
        ("picture\n0001.jpg\n", "line 1: expected a header"),
        ("picture,AU3\n0001.jpg,1\n", "line 1: expected an AU that FACS has, such as AU12, .*; got 'AU3'"),
        ("picture,AU01_r\n0001.jpg,1\n", "line 1: expected an AU that FACS has"),
        ("picture,AU1,AU1\n0001.jpg,1,1\n", "line 1: expected each AU once in the header, `AU1` too"),
    ],
)
def test_a_bad_header_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"AUintensity\.csv, {message}"):
        read_intensities(write(tmp_path, text))


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("picture,AU1\n", "has a header and no picture")])
def test_an_empty_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"AUintensity\.csv {message}"):
        read_intensities(write(tmp_path, text))
