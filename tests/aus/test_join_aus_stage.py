"""The stage alone, on a manifest that align could have written."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from made_up_rows import clip, rows
from typer.testing import CliRunner

from fer_core.files import read_json, write_json
from fer_core.manifest import empty_columns, read_manifest, write_manifest
from stages.join_aus import app

OPENFACE = (
    "frame, face_id, timestamp, confidence, success, AU01_r, AU12_r, AU01_c, AU12_c\n1, 0, 0, {}, 1, {}, {}, {}, {}\n"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    stills = rows([f"000{k}" for k in range(1, 7)]).assign(
        split=["train", "train", "train", "validation", "test", "test"],
        emotion=pd.array([0, 1, 0, 1, None, None], dtype="Int16"),
    )
    frames = clip("clips/0001", [0, 1]).assign(emotion=pd.array([1, 1], dtype="Int16"), subject="s1")
    table = pd.concat([stills, frames], ignore_index=True).assign(source="rafce")
    for name, column in (empty_columns("ingest", len(table)) | empty_columns("align", len(table))).items():
        if name not in table:
            table[name] = column
    table["crop_index"] = pd.array(range(len(table)), dtype="Int32")
    write_manifest(Path("data/align/manifest.parquet"), table, "align", 2)
    write_json(Path("data/ingest/card.json"), {"classes": ["happiness", "surprise"]})
    raw = Path("data/raw/rafce")
    (raw / "openface").mkdir(parents=True)
    (raw / "RAFCE_AUlabel.txt").write_text("0001.jpg L12\n0002.jpg null\n0003.jpg 1+R12\n0005.jpg 12\n0007.jpg 1\n")
    for name, values in {"0001": (0.9, 0, 3, 0, 1), "0002": (0.9, 1, 0, 1, 0), "0004": (0.7, 1, 0, 1, 0)}.items():
        (raw / f"openface/{name}.csv").write_text(OPENFACE.format(*values))
    return tmp_path


def run(**params: object) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"data": "rafce"} | params))
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0, result.output


def columns(*names: str) -> list[list[float]]:
    table = read_manifest(Path("data/join_aus/manifest.parquet"))
    return table[list(names)].fillna(-1).to_numpy().tolist()


def test_by_default_the_annotations_count_folded(root: Path) -> None:
    run()
    assert columns("AU1", "AU12") == [[0, 1], [-1, -1], [1, 1], *[[-1, -1]] * 5]
    report = read_json(Path("data/join_aus/aus.json"))
    assert report["names"] == ["AU1", "AU12"] and set(report["sources"]) == {"annotated", "openface"}
    assert report["agreement"][0]["aus"]["AU12"] == {"pictures": 1, "agreement": 1.0, "kappa": None}
    listed = pd.read_csv("data/join_aus/unmatched.csv", dtype=str).to_numpy().tolist()
    assert listed == [
        ["annotated", "label", "0007"],
        *[["annotated", "picture", name] for name in ("0004", "0006")],
        *[["openface", "picture", name] for name in ("0003", "0005", "0006")],
    ]


def test_kept_sides_and_filling_and_confidence(root: Path) -> None:
    run(au_labels="annotated+openface", au_sides="kept", au_confidence=0.6)
    assert columns("AU1", "AU12L", "AU12R") == [[0, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 0], *[[-1, -1, -1]] * 4]
    assert read_json(Path("data/join_aus/aus.json"))["titles"]["AU12R"] == "lip corner puller, right"
    test = pd.read_parquet("data/join_aus/test_aus.parquet").set_index("sample_id")
    assert test.loc["0005", ["AU12L", "AU12R"]].tolist() == [1, 1] and test.loc["0006"].isna().all()


def test_prototypes_take_the_classes_from_the_card(root: Path) -> None:
    run(au_labels="prototypes")
    assert columns("AU12", "AU2")[:2] == [[1, 0], [0, 1]]
    report = read_json(Path("data/join_aus/aus.json"))
    assert report["weak"] is True and any("were replaced" in note for note in report["notes"])


def test_a_set_without_any_source_says_what_it_said_before(root: Path) -> None:
    for path in [Path("data/raw/rafce/RAFCE_AUlabel.txt"), *Path("data/raw/rafce/openface").iterdir()]:
        path.unlink()
    run()
    assert read_json(Path("data/join_aus/aus.json")) == {"names": [], "intensities": [], "weak": False, "notes": []}
    assert Path("data/join_aus/unmatched.csv").read_text() == "source,side,key\n"
