"""From the files of several sources to one table, to aus.json and to unmatched.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_rows import clip, rows

from fer_core.aus.agreement import about_sources, agreement
from fer_core.aus.combine import merge, settled
from fer_core.aus.join import join_sources
from fer_core.aus.labels import AuLabels
from fer_core.aus.sources import read_sources, unmatched
from fer_core.choices import check_au_labels, check_au_params
from fer_core.errors import ConfigError, DataError

OPENFACE = "face, confidence, AU01_r, AU12_r, AU45_r, AU01_c, AU12_c, AU45_c"


def openface(folder: Path, **faces: str) -> None:
    (folder / "openface").mkdir(parents=True, exist_ok=True)
    for name, values in faces.items():
        (folder / "openface" / f"{name.removeprefix('p')}.csv").write_text(f"{OPENFACE}\n0, {values}\n")


def rafce(folder: Path, *lines: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "RAFCE_AUlabel.txt").write_text("".join(f"{line}\n" for line in lines))


def manifest() -> pd.DataFrame:
    table = rows([f"000{k}" for k in range(1, 7)])
    return table.assign(split=["train", "train", "train", "validation", "test", "pool"])


def both(folder: Path) -> None:
    rafce(folder, "0001.jpg 1+L12", "0002.jpg null", "0003.jpg 4", "0005.jpg 12", "0009.jpg 1")
    openface(
        folder,
        p0001="0.9, 0, 3, 0, 0, 1, 0",  # 12, not 1
        p0002="0.9, 2, 0, 1, 1, 0, 1",  # 1 and 45
        p0004="0.1, 2, 2, 2, 1, 1, 1",  # unsure
        p0005="0.9, 0, 0, 0, 0, 0, 0",
        p0008="0.9, 0, 0, 0, 0, 0, 0",
    )


def test_the_second_source_fills_what_the_first_leaves_null(tmp_path: Path) -> None:
    both(tmp_path)
    table = manifest()
    sources = settled(read_sources(["rafce"], tmp_path, table), "folded")
    assert list(sources) == ["annotated", "openface"]
    joined = join_sources(table, sources, ("annotated", "openface"), ["a"])
    found = joined.manifest[["AU1", "AU4", "AU12", "AU45"]]
    assert found.fillna(-1).to_numpy().tolist() == [
        [1, 0, 1, 0],  # OpenFace says AU1 is absent, and is not asked; AU45 is not annotated
        [1, -1, 0, 1],  # null in the annotation; OpenFace has no AU4
        [0, 1, 0, -1],
        [-1, -1, -1, -1],  # OpenFace is unsure: null stays null
        [-1, -1, -1, -1],  # test
        [-1, -1, -1, -1],  # pool
    ]
    assert joined.test_aus[["AU1", "AU12"]].to_numpy().tolist() == [[0, 1]]
    strong = joined.manifest["AU1_intensity"]
    assert strong.fillna(-1).tolist() == [-1, 2, -1, -1, -1, -1], "an intensity goes with its own label"
    assert joined.report["notes"][0] == "AU labels of 1 of 3 train pictures are estimates of OpenFace, not annotations"
    alone = join_sources(table, sources, ("openface",), ["a"])
    assert alone.manifest["AU1"].fillna(-1).tolist() == [0, 1, -1, -1, -1, -1]
    assert "of 2 of 2 train pictures" in alone.report["notes"][0]


def test_the_annotated_labels_are_the_same_whatever_else_lies_there(tmp_path: Path) -> None:
    both(tmp_path)
    table = manifest()
    with_both = join_sources(table, settled(read_sources(["rafce"], tmp_path, table), "folded"), ("annotated",), ["a"])
    for path in (tmp_path / "openface").iterdir():
        path.unlink()
    alone = join_sources(table, settled(read_sources(["rafce"], tmp_path, table), "folded"), ("annotated",), ["a"])
    pd.testing.assert_frame_equal(with_both.manifest, alone.manifest)
    assert with_both.report == alone.report and with_both.report["names"] == ["AU1", "AU4", "AU12"]
    assert not any("estimates" in note for note in alone.report["notes"])


def test_what_is_missing_is_listed_on_both_sides(tmp_path: Path) -> None:
    both(tmp_path)
    table = pd.concat([manifest(), clip("clips/1", [0, 1])], ignore_index=True)
    found = unmatched(read_sources(["rafce"], tmp_path, table))
    assert found.to_numpy().tolist() == [
        ["annotated", "label", "0009"],
        ["annotated", "picture", "0004"],  # 0002 has a row that says null; 0006 is pool
        ["openface", "label", "0008"],
        ["openface", "picture", "0003"],
    ]
    assert unmatched([]).columns.tolist() == ["source", "side", "key"]


def test_an_estimate_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    rafce(tmp_path, "0001.jpg 1")
    table = manifest()
    sources = settled(read_sources(["rafce"], tmp_path, table), "folded")
    with pytest.raises(DataError, match=r"`au_labels` names pyfeat, .* expected pyfeat/\*\.csv or pyfeat\.csv"):
        join_sources(table, sources, ("annotated", "pyfeat"), ["a"])
    assert join_sources(table, {}, ("annotated",), ["a"]).report["names"] == []


def test_labels_of_other_pictures_are_refused(tmp_path: Path) -> None:
    rafce(tmp_path, "x0001.jpg 1")
    table = manifest()
    sources = settled(read_sources(["rafce"], tmp_path, table), "folded")
    with pytest.raises(DataError, match=r"No AU label belongs to a picture: labels name 'x0001' \.\."):
        join_sources(table, sources, ("annotated",), ["a"])


def joined_sets() -> pd.DataFrame:
    first = manifest().assign(source="rafce")
    second = rows(["S005_001_00000011", "0001"], ["S005/001/S005_001_00000011.png", "0001.jpg"]).assign(source="ckplus")
    third = rows(["0001"]).assign(source="rafdb")
    for table in (first, second, third):
        for name in ("sample_id", "picture"):
            table[name] = table["source"] + "/" + table[name]
    return pd.concat([first, second, third], ignore_index=True)


def test_joined_sets_are_read_with_their_own_names(tmp_path: Path) -> None:
    both(tmp_path / "rafce")
    facs = tmp_path / "ckplus/FACS/S005/001/S005_001_00000011_facs.txt"
    facs.parent.mkdir(parents=True)
    facs.write_text("1.2e+01 3\n3.9e+01 0\n")
    table = joined_sets()
    parts = read_sources(["rafce", "ckplus", "rafdb"], tmp_path, table)
    assert [(part.source, part.labels.table.index[0]) for part in parts] == [
        ("annotated", "rafce/0001"),
        ("annotated", "ckplus/S005_001_00000011"),
        ("openface", "rafce/0001"),
    ]
    joined = join_sources(table, settled(parts, "folded"), ("annotated",), ["a"])
    found = joined.manifest.set_index("sample_id")
    assert found["AU12"].dropna().to_dict() == {"rafce/0001": 1, "rafce/0003": 0, "ckplus/S005_001_00000011": 1}
    assert found["AU39"].dropna().to_dict() == {"ckplus/S005_001_00000011": 1}, "RAF-CE says nothing of AU39"
    assert found["AU12_intensity"].dropna().to_dict() == {"ckplus/S005_001_00000011": 3}
    listed = unmatched(parts)
    assert ["annotated", "label", "rafce/0009"] in listed.to_numpy().tolist()
    assert ["annotated", "picture", "ckplus/0001"] in listed.to_numpy().tolist()
    assert not listed["key"].str.startswith("rafdb").any(), "a set without files of a source is no fault of the source"


def test_kept_sides_reach_the_manifest_and_fill(tmp_path: Path) -> None:
    both(tmp_path)
    table = manifest()
    sources = settled(read_sources(["rafce"], tmp_path, table), "kept")
    joined = join_sources(table, sources, ("annotated", "openface"), ["a"])
    assert joined.report["names"] == ["AU1", "AU4", "AU12L", "AU45"], "AU12R is shown by no train picture"
    assert joined.manifest["AU12L"].fillna(-1).tolist()[:4] == [1, 0, 0, -1]
    assert joined.report["left_out"][-1] == "AU43" and "AU12R" in joined.report["left_out"]


def test_what_aus_json_says_is_of_train_and_validation_alone(tmp_path: Path) -> None:
    both(tmp_path)
    table = manifest()
    told = about_sources(table, settled(read_sources(["rafce"], tmp_path, table), "folded"))
    mine, openface_says = told["sources"]["annotated"], told["sources"]["openface"]
    assert (mine["pictures"], mine["pictures_without_labels"], mine["unknown"]) == (4, 1, 1)
    assert mine["labels_without_picture"] == 1
    assert (mine["coverage"]["AU12"], mine["positives"]["AU12"]) == (0.5, 1), "0005 is test"
    assert (openface_says["pictures_without_labels"], openface_says["unknown"]) == (1, 1)
    assert openface_says["coverage"] == {"AU1": 0.5, "AU12": 0.5, "AU45": 0.5}
    (pair,) = told["agreement"]
    assert pair["sources"] == ["annotated", "openface"]
    assert pair["aus"] == {
        "AU1": {"pictures": 1, "agreement": 0.0, "kappa": 0.0},
        "AU12": {"pictures": 1, "agreement": 1.0, "kappa": None},
    }, "0001 alone has both; 0005 is test"
    changed = table.assign(split=table["split"].where(table["split"] != "test", "pool"))
    assert about_sources(changed, settled(read_sources(["rafce"], tmp_path, changed), "folded")) == told


def test_agreement_by_hand() -> None:
    nan = float("nan")
    first = pd.Series([1.0, 1, 0, 0, 1, nan, 0, 0, 0, 0, 1])
    second = pd.Series([1.0, 0, 0, 0, 1, 1, nan, 0, 1, 0, 1])
    # of 9: both 1 three times, both 0 four, first alone 1, second alone 1; by chance 4/9 * 4/9 + 5/9 * 5/9 = 41/81
    found = agreement(first, second)
    assert found["pictures"] == 9 and found["agreement"] == pytest.approx(7 / 9)
    assert found["kappa"] == pytest.approx((7 / 9 - 41 / 81) / (1 - 41 / 81))
    assert agreement(first, second * nan) == {"pictures": 0, "agreement": None, "kappa": None}
    assert agreement(pd.Series([0.0, 0]), pd.Series([0.0, 0])) == {"pictures": 2, "agreement": 1.0, "kappa": None}


def test_sources_that_share_no_picture_have_no_agreement() -> None:
    def one(name: str) -> AuLabels:
        return AuLabels(pd.DataFrame({"AU1": [1.0]}, index=[name], dtype=np.float32), 1, 0)

    told = about_sources(manifest(), {"annotated": one("0001"), "openface": one("0002")})
    assert told["agreement"] == [] and list(told["sources"]) == ["annotated", "openface"]


def test_no_source_is_none() -> None:
    assert merge({}, ("annotated", "openface")) is None
    assert settled([], "folded") == {}


@pytest.mark.parametrize("value", ["annotated", "prototypes", "openface", "pyfeat", "openface+annotated+pyfeat"])
def test_what_au_labels_may_be(value: str) -> None:
    assert check_au_labels(value) == tuple(value.split("+"))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"au_labels": "opnface"}, "Did you mean 'openface'"),
        ({"au_labels": "annotated+"}, "`au_labels` to be one of"),
        ({"au_labels": None}, "`au_labels` to be one of"),
        ({"au_labels": "annotated+annotated"}, "each source once in `au_labels`"),
        ({"au_labels": "annotated+prototypes"}, "prototypes to stand alone in `au_labels`"),
        ({"au_sides": "left"}, "`au_sides` to be one of folded, kept; got 'left'"),
        ({"au_confidence": 1.5}, "`au_confidence` to be between 0 and 1; got 1.5"),
        ({"au_confidence": "high"}, "`au_confidence` to be between 0 and 1"),
        ({"au_confidence": True}, "`au_confidence` to be between 0 and 1"),
    ],
)
def test_what_the_params_may_not_be(params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_au_params(params)
    assert check_au_params({}) == (("annotated",), "folded", 0.8)
