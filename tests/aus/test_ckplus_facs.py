from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_rows import clip, rows

from fer_core.aus.ckplus import read
from fer_core.aus.vocabulary import CKPLUS
from fer_core.errors import DataError


def write(folder: Path, name: str, text: str, place: str = "FACS") -> None:
    person, sequence, _ = name.split("_")
    path = folder / place / person / sequence / f"{name}_facs.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def test_the_peak_has_its_aus_and_nothing_else_has(tmp_path: Path) -> None:
    line = "   9.0000000e+00   4.0000000e+00\r\n\r\n   1.7000000e+01   0.0000000e+00  \r\n   6.1000000e+01 1.0e+00\r\n"
    write(tmp_path, "S005_001_00000011", line)
    write(tmp_path, "S005_002_00000003", "")
    write(tmp_path, "S999_001_00000003", "1 1")
    stills = rows(["S005_001_00000001", "S005_001_00000010", "S005_001_00000011", "S005_002_00000003"])
    table = pd.concat([stills, clip("clips/S005_001", [1, 10, 11], "images/S005_001_{number:08d}.png")])
    labels = read(tmp_path, table)
    assert labels is not None and labels.intensities is not None
    assert labels.table.index.tolist() == ["S005_001_00000011", "S005_002_00000003"]
    assert labels.table.columns.tolist() == [f"AU{number}" for number in CKPLUS]
    peak, strong = labels.table.loc["S005_001_00000011"], labels.intensities.loc["S005_001_00000011"]
    assert set(peak.index[peak == 1]) == {"AU9", "AU17"} and set(peak) == {0.0, 1.0}
    assert strong["AU9"] == 4 and strong["AU1"] == 0
    assert np.isnan(strong["AU17"]), "present, and nobody coded how strong"
    assert (labels.table.loc["S005_002_00000003"] == 0).all(), "coded, and no AU is active"
    assert labels.outside == {"AU61": 1}
    assert labels.without_picture == ("S999_001_00000003",)


@pytest.mark.parametrize("place", ["FACS", "FACS_labels/FACS", "FACS_labels"])
def test_folders_are_spelled_in_several_ways(tmp_path: Path, place: str) -> None:
    write(tmp_path, "S005_001_00000011", "1 2", place)
    labels = read(tmp_path, rows(["S005_001_00000011"]))
    assert labels is not None and labels.table["AU1"].tolist() == [1]
    assert read(tmp_path / "other", rows(["S005_001_00000011"])) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n1 2 3\n", "line 2: expected an AU and its intensity"),
        ("1\n", "line 1: expected an AU"),
        ("1 6\n", "line 1: expected an AU"),
        ("1.5 2\n", "line 1: expected an AU"),
        ("3 2\n", "line 1: expected an AU"),
        ("nan 2\n", "line 1: expected an AU"),
        ("x y\n", "line 1: expected an AU"),
        ("1 2\n1 3\n", "line 2: expected AU 1 in one line only"),
    ],
)
def test_a_line_that_does_not_parse_is_named(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "S005_001_00000011", text)
    with pytest.raises(DataError, match=rf"S005_001_00000011_facs\.txt, {message}"):
        read(tmp_path, rows(["S005_001_00000011"]))


def test_two_files_of_one_picture_and_foreign_names_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "S005_001_00000011", "1 2")
    write(tmp_path, "S005_001_00000011", "1 2", "FACS_labels")
    with pytest.raises(DataError, match="the AUs of S005_001_00000011 stand already in"):
        read(tmp_path, rows(["S005_001_00000011"]))
    (tmp_path / "FACS/S005/001/peak_facs.txt").write_text("1 2")
    with pytest.raises(DataError, match=r"expected a name such as S005_001_00000011_facs\.txt; got 'peak_facs\.txt'"):
        read(tmp_path, rows(["S005_001_00000011"]))
