"""The contact sheet: every choice is a row, eight faces are columns, landmarks move along."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from benchmarks import augmentations
from fer_core.augment import AUGMENTS
from fer_core.augment.mixing import MIXES
from fer_core.augment.regions import TEMPLATE
from fer_core.errors import DataError
from fer_core.files import write_json
from fer_core.manifest import without_clips
from fer_core.training.faces import FaceSet, load_faces

ROOT = Path(__file__).parents[2]
SIDE = 16


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve tiny train faces of three classes, and a test face that must not be shown."""
    rng = np.random.default_rng(0)
    for name in ("align", "join_aus"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "align" / "faces.npy", rng.integers(0, 256, (13, SIDE, SIDE, 3)).astype(np.uint8))
    points = (np.array(TEMPLATE) * SIDE).flatten()
    table = pd.DataFrame(
        {
            "sample_id": [f"{row}" for row in range(13)],
            "split": ["train"] * 12 + ["test"],
            "crop_index": np.arange(13),
            "emotion": [0, 0, 0, 0, 0, 2, 1, 1, 1, 2, 2, 2, None],
            "aligned_landmarks": [points.astype(np.float32)] * 13,
            "votes": [None] * 13,
            "subject": [None] * 13,
            "AU1": [1.0, 0.0, np.nan] * 4 + [np.nan],
        }
    )
    table["emotion"] = table["emotion"].astype("Int64")
    without_clips(table).to_parquet(tmp_path / "join_aus" / "manifest.parquet")
    write_json(tmp_path / "join_aus" / "aus.json", {"names": ["AU1"]})
    return tmp_path


def train_faces(data: Path) -> FaceSet:
    table = pd.read_parquet(data / "join_aus" / "manifest.parquet")
    return load_faces(table, data / "align" / "faces.npy", ["train"], ["AU1"])


def test_one_face_of_each_class_comes_first(data: Path) -> None:
    faces = train_faces(data)
    assert augmentations.some(faces).tolist() == [0, 6, 5, 1, 2, 3, 4, 7]
    assert augmentations.some(faces, 2).tolist() == [0, 6]


def test_rows_are_all_choices_and_shares_are_true(data: Path) -> None:
    faces = train_faces(data)
    index = augmentations.some(faces)
    found = augmentations.rows(faces, index, seed=0)
    assert [row.title.split("\n")[1] for row in found] == [*AUGMENTS, *(name for name in MIXES if name != "none")]
    assert found[0].images.equal(faces.images(index))
    for row in found[1:]:
        assert row.images.shape == found[0].images.shape and not row.images.equal(found[0].images)
    moved = {row.title.split("\n")[1] for row in found if not row.landmarks.equal(found[0].landmarks)}
    assert moved == set(AUGMENTS) - {"none"}
    for row in found[len(AUGMENTS) :]:
        assert row.shares is not None and bool(((row.shares >= 0) & (row.shares <= 1)).all())
        whole = row.shares == 1
        torch.testing.assert_close(row.images[whole], found[0].images[whole])


def test_command_writes_the_sheet(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    result = CliRunner().invoke(augmentations.app, ["--data", str(data), "--out", str(out)])
    assert result.exit_code == 0, result.output
    with Image.open(out) as image:
        assert image.width > 1000 and image.height > 1000 and image.mode.startswith("RGB")
    first = out.read_bytes()
    CliRunner().invoke(augmentations.app, ["--data", str(data), "--out", str(out)])
    assert out.read_bytes() == first, "the same faces give the same sheet"


def test_dots_are_drawn_where_the_landmarks_are(tmp_path: Path) -> None:
    flat = torch.full((1, 3, 64, 64), 0.5)
    empty, marked = tmp_path / "empty.png", tmp_path / "marked.png"
    unknown = torch.full((1, 5, 2), torch.nan)
    for path, points in ((empty, unknown), (marked, unknown.clone().index_fill_(1, torch.tensor(0), 48.0))):
        augmentations.draw([augmentations.Row("x", flat, points)], path)
    one, other = (np.asarray(Image.open(path).convert("RGB"), dtype=int) for path in (empty, marked))
    changed = np.argwhere((one != other).any(axis=2))
    grey = np.argwhere((one == 128).all(axis=2) | (one == 127).all(axis=2))
    low, high = grey.min(axis=0), grey.max(axis=0)
    place = (changed.mean(axis=0) - low) / (high - low)
    assert place == pytest.approx([48.5 / 64, 48.5 / 64], abs=0.02)


def test_missing_data_and_no_faces_are_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run `dvc repro join_aus` first"):
        augmentations.main(tmp_path / "nowhere", tmp_path / "x.png", 0)
    path = data / "join_aus" / "manifest.parquet"
    table = pd.read_parquet(path)
    table[table["split"] == "test"].to_parquet(path)
    with pytest.raises(DataError, match="got none"):
        augmentations.main(data, tmp_path / "x.png", 0)


def test_unknown_landmarks_and_grey_faces_can_be_drawn(data: Path, tmp_path: Path) -> None:
    faces = train_faces(data)
    grey = replace(faces, pixels=faces.pixels[..., :1], landmarks=torch.full_like(faces.landmarks, torch.nan))
    augmentations.draw(augmentations.rows(grey, augmentations.some(grey, 3), seed=1), tmp_path / "grey.png")
    assert (tmp_path / "grey.png").stat().st_size > 10000


def test_git_ignores_the_sheet_because_it_shows_faces() -> None:
    assert "/augmentations.png" in (ROOT / "reports" / ".gitignore").read_text(encoding="utf-8").splitlines()
