"""The three data stages by hand, one after another, on a small set in RAF-CE's layout."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from made_up_sets import edit, write, write_clips, write_fer2013, write_rafce
from typer.testing import CliRunner, Result

from fer_core.evaluation.clip_truth import read_clip_truth, read_clip_validation
from fer_core.evaluation.predictions import read_truth
from fer_core.evaluation.validation import read_validation
from fer_core.files import read_json
from fer_core.manifest import SPLITS, clip_frames, read_manifest, stills
from fer_core.training.faces import load_faces
from stages import align, ingest, join_aus

PARAMS = {
    "data": "rafce",
    "limit": None,
    "seed": 1,
    "profile": "tiny",
    "profiles": {"tiny": {"size": 16}},
    "align": {"detector": "auto", "zoom": 0.9, "max_dropped": 0.02},
}
STAGES = {"ingest": ingest.app, "align": align.app, "join_aus": join_aus.app}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_rafce(tmp_path / "data" / "raw" / "rafce")
    names = [f"{k:04d}.jpg" for k in range(1, 113)]
    write(folder / "RAFCE_AUlabel.txt", [f"{n} {'null' if k % 9 == 0 else '12+L25'}" for k, n in enumerate(names)])
    write(folder / "RAFCE_landmark.txt", [f"{n} 6 8 13 8 10 11 7 15 12 15" for n in names])
    set_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_params(root: Path, **changes: object) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS | changes))


def run(name: str, *arguments: str) -> Result:
    return CliRunner().invoke(STAGES[name], list(arguments))


def run_all() -> None:
    for name in STAGES:
        result = run(name)
        assert result.exit_code == 0, result.output


def test_from_published_files_to_aus(root: Path) -> None:
    run_all()
    table = read_manifest(root / "data/join_aus/manifest.parquet")
    faces = np.load(root / "data/align/faces.npy", mmap_mode="r")
    assert faces.shape == (112, 16, 16, 3)
    assert sorted(table["crop_index"]) == list(range(112))
    assert table["aligned_landmarks"].notna().all()
    test = table["split"] == "test"
    assert table.loc[test, ["emotion", "AU12", "AU25"]].isna().all().all()
    assert table.loc[~test, "AU25"].notna().sum() == 74
    assert len(pd.read_parquet(root / "data/ingest/test_truth.parquet")) == 28
    test_aus = pd.read_parquet(root / "data/join_aus/test_aus.parquet")
    assert test_aus["AU25"].sum() == 25
    report = read_json(root / "data/join_aus/aus.json")
    assert report["names"] == ["AU12", "AU25"]
    assert len(report["left_out"]) == 20
    for name in STAGES:
        assert not [path for path in (root / "data" / name).iterdir() if path.name.endswith(".tmp")]


def what_stills_say(root: Path) -> tuple[object, ...]:
    """Return what every reader of stills makes of the data, in numbers and names that can be compared."""
    aus, ingested = root / "data/join_aus", root / "data/ingest"
    table = read_manifest(aus / "manifest.parquet")
    report = read_json(aus / "aus.json")
    faces = [load_faces(table, root / "data/align/faces.npy", [split], report["names"]) for split in SPLITS]
    truth = read_truth(aus / "manifest.parquet", ingested / "test_truth.parquet", aus / "test_aus.parquet", 14)
    return (
        report,
        [(found.ids, found.labels.tolist(), found.aus.nan_to_num(-1).tolist()) for found in faces],
        {
            split: (t.ids, t.labels.tolist(), np.nan_to_num(t.aus, nan=-1).tolist(), t.dropped)
            for split, t in truth.items()
        },
        read_validation(aus / "manifest.parquet").ids,
        pd.read_parquet(aus / "test_aus.parquet").fillna(-1).to_dict("list"),
        read_json(ingested / "card.json")["counts"],
    )


@pytest.mark.parametrize("kind", ["annotated", "prototypes"])
def test_clips_change_nothing_for_stills(root: Path, kind: str) -> None:
    set_params(root, au_labels=kind)
    run_all()
    before = what_stills_say(root)
    write_clips(root / "data/raw/rafce")
    run_all()
    assert what_stills_say(root) == before
    table = read_manifest(root / "data/join_aus/manifest.parquet")
    frames = clip_frames(table)
    assert len(frames) == 18 and len(stills(table)) == 112
    assert frames["crop_index"].notna().all() and frames["aligned_landmarks"].notna().all(), "cut like pictures"
    assert np.load(root / "data/align/faces.npy", mmap_mode="r").shape == (130, 16, 16, 3)
    assert frames[read_json(root / "data/join_aus/aus.json")["names"]].isna().all(axis=None)
    truth = read_clip_truth(root / "data/join_aus/manifest.parquet", root / "data/ingest/test_truth.parquet", 14)
    assert (truth["test"].ids, truth["test"].labels.tolist()) == (["clips/0004", "clips/0005"], [4, 5])
    assert read_clip_validation(root / "data/align/manifest.parquet").labels.tolist() == [2, 3]


def test_a_set_without_aus(root: Path) -> None:
    write_fer2013(root / "data/raw/fer2013", private=False, per_class=12)
    set_params(root, data="fer2013", limit=84, leakage="report")
    run_all()
    assert read_json(root / "data/join_aus/aus.json") == {"names": [], "intensities": [], "weak": False, "notes": []}
    assert np.load(root / "data/align/faces.npy").shape == (84, 16, 16, 1)


def spoil(root: Path, fault: str) -> tuple[str, str]:
    """Bring a fault in; return the stage that must refuse it and a part of its sentence."""
    raw = root / "data/raw/rafce"
    if fault == "missing folder":
        shutil.rmtree(raw)
        return "ingest", "data/raw/rafce does not exist; expected there"
    if fault == "bad label":
        edit(raw / "RAFCE_emolabel.txt", 3, "0003.jpg x")
        return "ingest", "RAFCE_emolabel.txt, line 3: expected a class index"
    if fault == "unknown data":
        set_params(root, data="rafc")
        return "ingest", "Did you mean 'rafce'"
    if fault == "undecodable":
        for k in range(1, 5):
            (raw / "original" / f"{k:04d}.jpg").write_bytes(b"x")
        return "align", "4 of 112 pictures were lost"
    if fault == "unknown profile":
        set_params(root, profile="tinny")
        return "align", "Did you mean 'tiny'"
    if fault == "bad AU":
        edit(raw / "RAFCE_AUlabel.txt", 2, "0002.jpg 12+x")
        return "join_aus", "RAFCE_AUlabel.txt, line 2: expected AUs"
    write(raw / "RAFCE_AUlabel.txt", [f"{k:04d}.jpg 19" for k in range(1, 113)])
    return "join_aus", "no positive among 56 annotated train pictures"


@pytest.mark.parametrize(
    "fault",
    ["missing folder", "bad label", "unknown data", "undecodable", "unknown profile", "bad AU", "no AU"],
)
def test_bad_input_is_one_sentence_exit_1_and_nothing_half_written(root: Path, fault: str) -> None:
    failing, message = spoil(root, fault)
    for name in STAGES:
        result = run(name)
        if name == failing:
            break
        assert result.exit_code == 0, result.output
    assert result.exit_code == 1
    sentence = result.stderr.strip().splitlines()[-1]
    assert sentence.startswith("error: ")
    assert message in sentence
    assert "Traceback" not in result.output
    out = root / "data" / failing
    kept = ["rejects.csv"] if fault == "undecodable" else []  # what is wrong with which picture
    assert [path.name for path in out.iterdir()] == kept if out.exists() else not kept
    assert run(failing, "--debug").exception is not None
    assert not isinstance(run(failing, "--debug").exception, SystemExit)


def test_join_aus_does_not_take_an_unknown_set_for_one_without_aus(root: Path) -> None:
    run_all()
    set_params(root, data="rafc")
    result = run("join_aus")
    assert result.exit_code == 1
    assert "Did you mean 'rafce'" in result.stderr


@pytest.mark.parametrize(("name", "key"), [("ingest", "data"), ("ingest", "seed"), ("align", "profiles")])
def test_a_missing_key_is_one_sentence(root: Path, name: str, key: str) -> None:
    assert run("ingest").exit_code == 0
    (root / "params.yaml").write_text(yaml.safe_dump({k: v for k, v in PARAMS.items() if k != key}))
    result = run(name)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: Expected `")


@pytest.mark.parametrize("name", STAGES)
def test_help_reads_well(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "--out" in result.output


def test_intensities_reach_the_manifest_except_for_test(root: Path) -> None:
    names = [f"{k:04d}.jpg" for k in range(1, 113)]
    write(root / "data/raw/rafce/AUintensity.csv", ["picture,AU25,AU4", *(f"{name},C,1" for name in names)])
    run_all()
    table = read_manifest(root / "data/join_aus/manifest.parquet")
    hidden = table["split"] == "test"
    assert table.loc[hidden, "AU25_intensity"].isna().all()
    assert (table.loc[~hidden, "AU25_intensity"] == 3).all()
    assert pd.read_parquet(root / "data/join_aus/test_aus.parquet")["AU25_intensity"].tolist() == [3] * 28
    report = read_json(root / "data/join_aus/aus.json")
    assert (report["intensities"], report["weak"]) == (["AU25"], False)
    assert report["intensities_outside_vocabulary"] == {"AU4": 112}, "AU4 has no label here"


@pytest.mark.parametrize("data", ["rafce", "fer2013"])
def test_prototypes_instead_of_annotations(root: Path, data: str) -> None:
    write_fer2013(root / "data/raw/fer2013", private=False, per_class=12)
    set_params(root, data=data, au_labels="prototypes", leakage="report")
    run_all()
    table = read_manifest(root / "data/join_aus/manifest.parquet")
    report = read_json(root / "data/join_aus/aus.json")
    train = table["split"] == "train"
    assert report["weak"] is True and report["coverage"] == {"train": 1.0, "validation": 0.0}
    assert table.loc[~train, report["names"]].isna().all(axis=None)
    happy = table[train & (table["emotion"] == (0 if data == "rafce" else 3))].iloc[0]
    assert (happy["AU12"], happy["AU25"], happy["AU4"]) == (1, 1, 0)
    assert any("were replaced" in note for note in report["notes"]) == (data == "rafce")


def test_an_unknown_kind_of_au_labels_is_one_sentence(root: Path) -> None:
    run_all()
    set_params(root, au_labels="prototype")
    result = run("join_aus")
    assert result.exit_code == 1
    assert "Expected `au_labels` to be one of annotated, openface, prototypes, pyfeat; got 'prototype'" in result.stderr


def test_intensities_alone_are_not_used_and_said_so(root: Path) -> None:
    (root / "data/raw/rafce/RAFCE_AUlabel.txt").unlink()
    write(root / "data/raw/rafce/AUintensity.csv", ["picture,AU25", "0001.jpg,C"])
    run_all()
    report = read_json(root / "data/join_aus/aus.json")
    assert report["names"] == [] and "intensities were not used" in report["notes"][0]
