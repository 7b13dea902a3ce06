from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fer_core.augment.affine import warp_aus
from fer_core.aus.combine import settled
from fer_core.aus.join import join
from fer_core.aus.rafce import parse_token, read_file, read_parts
from fer_core.aus.sides import fold, settle, strengths
from fer_core.aus.sources import Part
from fer_core.aus.vocabulary import RAFCE, column, number_and_part, overlap, title
from fer_core.errors import DataError
from fer_core.manifest import without_clips

NAN = float("nan")
LINES = [
    "0001.jpg 1+4+L12 ",
    "0002.jpg null",
    "0003_aligned.jpg R12+L12+12 + T24",
    "0004.jpg 19",
    "0005.jpg BL18+t23+L12L+AD19",
    "0006.jpg 12+22+B22",
    "0007.jpg NULL",
    "0008.jpg RB18+25+43+R1",
]


def write(tmp_path: Path, lines: list[str]) -> Path:
    path = tmp_path / "RAFCE_AUlabel.txt"
    path.write_text("".join(f"{line}\r\n" for line in lines))
    return path


def folded_as_before(lines: list[str]) -> pd.DataFrame:
    """Parse as the pipeline did before it knew sides: the number alone counts."""
    rows: dict[str, list[float]] = {}
    for line in lines:
        name, _, rest = line.partition(" ")
        key = name.split(".")[0].removesuffix("_aligned")
        if rest.strip().lower() == "null":
            rows[key] = [NAN] * len(RAFCE)
            continue
        shown = {parse_token(token.strip())[0] for token in rest.split("+")}
        rows[key] = [float(number in shown) for number in RAFCE]
    return pd.DataFrame.from_dict(rows, "index", np.float32, [f"AU{number}" for number in RAFCE]).rename_axis("picture")


def test_folded_labels_are_what_they_were_before_sides_were_known(tmp_path: Path) -> None:
    labels = read_file(write(tmp_path, LINES))
    pd.testing.assert_frame_equal(labels.table, folded_as_before(LINES))
    assert (labels.lines, labels.unannotated, labels.outside) == (8, 2, {"AU19": 2})
    assert labels.odd == {"BL18": 1, "t23": 1, "L12L": 1, "AD19": 1, "RB18": 1}


def test_parts_stand_as_written(tmp_path: Path) -> None:
    table = read_parts(write(tmp_path, LINES), (1, 12, 18, 22, 24)).table
    assert list(table) == [
        *("AU1", "AU1R", "AU12", "AU12L", "AU12R", "AU18", "AU18BL", "AU18BR", "AU22", "AU22B", "AU24", "AU24T")
    ]
    assert table.loc["0001", ["AU12", "AU12L", "AU12R"]].tolist() == [0, 1, 0]
    assert table.loc["0003", ["AU12", "AU12L", "AU12R"]].tolist() == [1, 1, 1]
    assert table.loc["0002"].isna().all()


def test_kept_sides_by_hand(tmp_path: Path) -> None:
    (table,) = settle([read_parts(write(tmp_path, LINES), (1, 12, 22, 24, 25)).table], "kept")
    # AU1: only R is written, L would have a positive from "1" of 0001; AU24: T alone is written, no label shows B
    assert list(table) == ["AU1L", "AU1R", "AU12L", "AU12R", "AU22B", "AU24T", "AU25"]
    assert table["AU12L"].tolist()[:6] == [1, pytest.approx(NAN, nan_ok=True), 1, 0, 1, 1]
    assert table["AU12R"].fillna(-1).tolist() == [0, -1, 1, 0, 0, 1, -1, 0]
    assert table["AU1L"].fillna(-1).tolist() == [1, -1, 0, 0, 0, 0, -1, 0]
    assert table["AU1R"].fillna(-1).tolist() == [1, -1, 0, 0, 0, 0, -1, 1]
    assert table.loc["0002"].isna().all() and table.loc["0007"].isna().all(), "null stays null"
    assert (table.dtypes == np.float32).all()


def test_lips_and_sides_meet_where_they_have_a_piece_of_the_face_in_common() -> None:
    written = pd.DataFrame({"AU18": [1.0, 0, 0, 0], "AU18B": [0, 1.0, 0, 0], "AU18BL": [0, 0, 1.0, 0]}, np.arange(4))
    written["AU18L"] = [0, 0, 0, 1.0]
    (table,) = settle([written.astype(np.float32)], "kept")
    assert list(table) == ["AU18B", "AU18BL", "AU18BR", "AU18L", "AU18R"]
    assert table["AU18B"].tolist() == [1, 1, 1, 1]
    assert table["AU18BL"].tolist() == [1, 1, 1, 1]
    assert table["AU18BR"].tolist() == [1, 1, 0, 0]
    assert table["AU18R"].tolist() == [1, 1, 0, 0]
    assert fold(written)["AU18"].tolist() == [1, 1, 1, 1]


def test_what_a_part_leaves_open_is_null() -> None:
    written = pd.DataFrame({"AU12": [NAN, 0.0, NAN], "AU12L": [1.0, NAN, 0.0]}, dtype=np.float32)
    assert fold(written)["AU12"].fillna(-1).tolist() == [1, -1, -1]


def test_two_sources_get_the_same_columns() -> None:
    sided = pd.DataFrame({"AU12": [0.0, 1], "AU12L": [1.0, 0], "AU4": [0.0, 1]}, dtype=np.float32)
    plain = pd.DataFrame({"AU12": [1.0, 0, NAN]}, dtype=np.float32)
    first, second = settle([sided, plain], "kept")
    assert list(first) == ["AU12L", "AU12R", "AU4"]
    assert second.fillna(-1).to_dict("list") == {"AU12L": [1, 0, -1], "AU12R": [1, 0, -1]}
    assert [list(table) for table in settle([sided, plain], "folded")] == [["AU12", "AU4"], ["AU12"]]


def test_the_strength_of_an_au_is_that_of_the_side_that_shows_it() -> None:
    labels = pd.DataFrame({"AU12L": [1.0, 1, 0, NAN], "AU12R": [0.0, 1, 0, NAN], "AU4": [1.0, 0, 0, NAN]})
    known = pd.DataFrame({"AU12": [3.0, 4, 1, 2], "AU4": [2.0, 0, NAN, 1], "AU9": [1.0, 1, 1, 1]})
    found = strengths(known, labels)
    assert found["AU12L"].tolist() == [3, 4, 1, 2]
    assert found["AU12R"].tolist() == [0, 4, 1, 2], "absent; a trace of an unlabelled AU; not annotated"
    assert found["AU4"].fillna(-1).tolist() == [2, 0, -1, 1]
    assert found["AU9"].tolist() == [1, 1, 1, 1], "outside the vocabulary: counted by the join"


def test_kept_sides_survive_a_mirror(tmp_path: Path) -> None:
    (table,) = settle([read_parts(write(tmp_path, [*LINES, "0009.jpg L18+B18"])).table], "kept")
    names = tuple(str(name) for name in table)
    aus = torch.tensor(table.to_numpy())
    flip = torch.ones(len(aus), dtype=torch.bool)
    once = warp_aus(aus, names, flip)
    torch.testing.assert_close(warp_aus(once, names, flip), aus, equal_nan=True)
    first = dict(zip(names, once[0].tolist(), strict=True))
    assert (first["AU12L"], first["AU12R"]) == (0, 1)
    unknown = {name for name, value in zip(names, once[8].tolist(), strict=True) if np.isnan(value)}
    assert unknown == set(), "each side that occurs has its mirror image as a column"


def test_a_side_without_a_positive_in_train_is_left_out_and_no_fault() -> None:
    count = 500
    names = [f"{k:04d}" for k in range(count)]
    split = ["train"] * count
    manifest = without_clips(pd.DataFrame({"sample_id": names, "split": split, "drop_reason": None}))
    table = pd.DataFrame(0.0, index=names, columns=["AU12L", "AU12R", "AU4"]).astype(np.float32)
    table.iloc[0] = [1, 0, 1]
    labels = settled([], "kept")
    assert labels == {}
    from fer_core.aus.labels import AuLabels

    joined = join(manifest, AuLabels(table, count, 0))
    assert joined.report["names"] == ["AU12L", "AU4"]
    assert joined.report["left_out"] == ["AU12R"]
    assert joined.report["titles"] == {"AU12L": "lip corner puller, left", "AU4": "brow lowerer"}
    table.iloc[0] = [0, 0, 1]
    with pytest.raises(DataError, match="AU12L, AU12R: no positive among 500"):
        join(manifest, AuLabels(table, count, 0))


def test_names_of_parts() -> None:
    assert column(18, "BL") == "AU18BL" and number_and_part("AU18BL") == (18, "BL")
    assert title("AU12") == "lip corner puller" and title("AU22B") == "lip funneler, lower lip"
    assert overlap("", "BL") and overlap("T", "R") and not overlap("TL", "B") and not overlap("BL", "TR")
    for wrong in ("AU012", "AU12X", "AU12LR", "12", "AU12LT"):
        with pytest.raises(ValueError, match=wrong):
            number_and_part(wrong)


def test_settled_sets_stand_below_one_another_and_stay_null_where_one_has_no_such_au(tmp_path: Path) -> None:
    from fer_core.aus.labels import AuLabels

    first = AuLabels(pd.DataFrame({"AU12": [0.0], "AU12L": [1.0]}, index=["a/1"], dtype=np.float32), 1, 0)
    second = AuLabels(pd.DataFrame({"AU12": [0.0], "AU45": [1.0]}, index=["b/1"], dtype=np.float32), 1, 0)
    rows = pd.DataFrame()
    merged = settled([Part("annotated", rows, first), Part("annotated", rows, second)], "folded")["annotated"]
    assert merged.table.fillna(-1).to_dict("index") == {"a/1": {"AU12": 1, "AU45": -1}, "b/1": {"AU12": 0, "AU45": 1}}
    assert merged.lines == 2
    kept = settled([Part("annotated", rows, replace(first)), Part("annotated", rows, second)], "kept")["annotated"]
    assert kept.table["AU12L"].tolist() == [1, 0]
