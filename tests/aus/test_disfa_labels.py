from pathlib import Path

import pytest
from made_up_rows import rows

from fer_core.aus.disfa import read
from fer_core.errors import DataError


def write(folder: Path, name: str, text: str, place: str = "ActionUnit_Labels") -> None:
    path = folder / place / name[:5] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def test_present_from_2_on_and_intensities_kept(tmp_path: Path) -> None:
    write(tmp_path, "SN001_au1.txt", "\ufeff1,0\r\n2,1\r\n3,2\r\n4,5 \r\n\r\n7,1\r\n9,0\r\n")
    write(tmp_path, "SN001_au12.txt", "1,3\n3,0\n")
    write(tmp_path, "SN002_au1.txt", "1,4\n")
    labels = read(tmp_path, rows(["SN001/1", "SN001/2", "SN001/3", "SN001/4", "SN001/5", "SN003/1"]))
    assert labels is not None and labels.intensities is not None
    assert labels.table["AU1"].to_dict() == {"SN001/1": 0, "SN001/2": 0, "SN001/3": 1, "SN001/4": 1}
    assert labels.intensities["AU1"].tolist() == [0, 1, 2, 5]
    assert labels.table["AU12"].fillna(-1).tolist() == [1, -1, 0, -1], "no line: not annotated"
    assert labels.table["AU2"].isna().all(), "no file: not annotated"
    assert labels.without_picture == ("SN001/7", "SN001/9", "SN002/1")


def test_labels_without_a_frame_are_listed_as_ranges(tmp_path: Path) -> None:
    write(tmp_path, "SN001_au1.txt", "".join(f"{k},0\n" for k in range(1, 21)), "ActionUnit_Labels/ActionUnit_Labels")
    labels = read(tmp_path, rows(["SN001/1", "SN001/11"]))
    assert labels is not None and labels.without_picture == ("SN001/2-10", "SN001/12-20")
    assert read(tmp_path / "other", rows(["SN001/1"])) is None


@pytest.mark.parametrize("line", ["2;0", "2,6", "2,-1", "x,1", "2", "2,1.5", "2,1,1"])
def test_a_line_that_does_not_parse_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path, "SN001_au1.txt", f"1,0\n{line}\n")
    with pytest.raises(DataError, match=r"SN001_au1\.txt, line 2: expected a frame and an intensity from 0 to 5"):
        read(tmp_path, rows(["SN001/1"]))


def test_a_frame_twice_and_an_au_that_disfa_lacks_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "SN001_au1.txt", "1,0\n1,2\n")
    with pytest.raises(DataError, match="line 2: expected frame 1 in one line only"):
        read(tmp_path, rows(["SN001/1"]))
    write(tmp_path, "SN001_au3.txt", "1,0\n")
    with pytest.raises(DataError, match=r"expected a name such as SN001_au1\.txt .* got 'SN001_au3\.txt'"):
        read(tmp_path, rows(["SN001/1"]))
