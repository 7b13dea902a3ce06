"""Faces are loaded from the manifest as they stand there; nothing is made up where something is missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fer_core.errors import DataError
from fer_core.evaluation.validation import prediction_table
from fer_core.manifest import without_clips
from fer_core.training.faces import joined, load_faces


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    pixels = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
    np.save(tmp_path / "faces.npy", pixels)
    return tmp_path / "faces.npy"


@pytest.fixture
def manifest() -> pd.DataFrame:
    points = [np.arange(10, dtype=np.float32), None, None, None, None]
    table = pd.DataFrame(
        {
            "sample_id": ["a", "b", "c", "d", "e"],
            "split": ["train", "train", "validation", "test", "train"],
            "emotion": pd.array([2, 0, 1, None, 1], dtype="Int16"),
            "subject": ["p", None, "q", "r", "p"],
            "crop_index": pd.array([3, 0, 1, 2, None], dtype="Int32"),
            "aligned_landmarks": points,
            "votes": [[0.25, 0.75], None, None, None, None],
            "AU1": pd.array([1, None, 0, None, 1], dtype="Float32"),
            "AU12": pd.array([0, 1, None, None, 1], dtype="Float32"),
            "AU12_intensity": pd.array([0, 4, None, None, 1], dtype="Float32"),
        }
    )
    return without_clips(table)


def test_rows_of_the_split_that_have_a_crop(manifest: pd.DataFrame, crops: Path) -> None:
    found = load_faces(manifest, crops, ["train"], ["AU1", "AU12"])
    assert found.ids == ["a", "b"] and len(found) == 2, "e was dropped: it has no crop"
    assert found.labels.tolist() == [2, 0]
    assert found.pixels.dtype == torch.uint8
    assert found.pixels.numpy().tolist() == np.load(crops)[[3, 0]].tolist(), "by crop_index, not by row"
    assert found.aus[0].tolist() == [1.0, 0.0]
    assert found.aus[1].isnan().tolist() == [True, False], "not annotated is not absent"
    assert found.au_names == ("AU1", "AU12")
    assert found.landmarks[0].tolist() == np.arange(10.0).reshape(5, 2).tolist()
    assert found.landmarks[1].isnan().all()
    assert found.votes[0].tolist() == [0.25, 0.75] and found.votes[1].isnan().all()
    assert found.intensities[:, 0].isnan().all() and found.intensities[:, 1].tolist() == [0.0, 4.0]
    assert found.subjects[0] >= 0 and found.subjects[1] == -1


def test_test_faces_come_without_a_label(manifest: pd.DataFrame, crops: Path) -> None:
    found = load_faces(manifest, crops, ["test"])
    assert found.ids == ["d"] and found.labels.tolist() == [-1]
    assert found.aus.shape == (1, 0) and found.votes.shape == (1, 0)


def test_frames_of_clips_never_come(manifest: pd.DataFrame, crops: Path) -> None:
    """Neither to training, nor to pretraining on people, nor to the GAN: all of them load their faces here."""
    expected = {split: load_faces(manifest, crops, [split], ["AU1"]) for split in ("train", "validation", "test")}
    frames = manifest[:4].assign(clip_id=["x", "x", "y", "z"], frame=pd.array([0, 1, 0, 0], dtype="Int16"))
    frames["sample_id"] = "clips/" + frames["sample_id"]
    both = pd.concat([frames, manifest], ignore_index=True)
    for split, found in expected.items():
        loaded = load_faces(both, crops, [split], ["AU1"])
        assert loaded.ids == found.ids and loaded.pixels.equal(found.pixels) and loaded.labels.equal(found.labels)
    with pytest.raises(DataError, match="the column `clip_id`"):
        load_faces(both.drop(columns="clip_id"), crops, ["train"])


def test_a_split_without_rows_is_an_empty_set(manifest: pd.DataFrame, crops: Path) -> None:
    found = load_faces(manifest, crops, ["pool"], ["AU1"])
    assert len(found) == 0 and found.landmarks.shape == (0, 5, 2) and found.aus.shape == (0, 1)


def test_images_are_channels_first_in_0_to_1(manifest: pd.DataFrame, crops: Path) -> None:
    found = load_faces(manifest, crops, ["train"])
    images = found.images(torch.tensor([1]))
    assert images.shape == (1, 3, 8, 8) and images.is_contiguous()
    assert torch.allclose(images[0, 2], found.pixels[1, :, :, 2].float() / 255)


def test_a_missing_array_is_named(manifest: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"faces\.npy does not exist; run the align stage first"):
        load_faces(manifest, tmp_path / "faces.npy", ["train"])


def test_an_array_of_another_manifest_is_refused(manifest: pd.DataFrame, tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", np.zeros((2, 8, 8, 1), np.uint8))
    with pytest.raises(DataError, match="to hold 4 crops or more; got 2"):
        load_faces(manifest, tmp_path / "faces.npy", ["train"])


def test_predictions_carry_no_labels() -> None:
    logs = np.log(np.full((2, 4), 0.25))
    table = prediction_table({"validation": (["a", "b"], logs), "test": (["c"], logs[:1])})
    assert list(table.columns) == ["sample_id", "split", "log_probabilities"]
    assert table["split"].tolist() == ["validation", "validation", "test"]
    assert table["log_probabilities"].iloc[0].dtype == np.float32


@pytest.fixture
def synthetic(manifest: pd.DataFrame) -> pd.DataFrame:
    table = manifest.iloc[[0, 1]].assign(sample_id=["x", "y"], subject=None, aligned_landmarks=None, votes=None)
    return table.assign(AU1=np.nan, AU12=np.nan, AU12_intensity=np.nan, synthetic=True)


def test_synthetic_faces_stand_behind_the_real_ones(
    manifest: pd.DataFrame, synthetic: pd.DataFrame, crops: Path
) -> None:
    real = load_faces(manifest, crops, ["train"], ["AU1", "AU12"])
    made = load_faces(synthetic, crops, ["train"], ["AU1", "AU12"])
    assert (real.synthetic, made.synthetic, made.votes.shape[1]) == (0, 2, 0)
    both = joined(real, made)
    assert both.ids == ["a", "b", "x", "y"] and both.synthetic == 2 and len(both) == 4
    assert both.labels.tolist() == [2, 0, 2, 0] and both.pixels[2:].equal(made.pixels)
    assert both.votes.shape == (4, 2) and both.votes[0].tolist() == [0.25, 0.75] and both.votes[1:].isnan().all()
    assert both.aus[:2].equal(real.aus) is False, "NaN is not equal to itself"
    assert both.aus[:2].nan_to_num(7).equal(real.aus.nan_to_num(7)) and both.aus[2:].isnan().all()
    assert both.subjects.tolist() == [*real.subjects.tolist(), -1, -1]
    assert both.only(torch.tensor([1, 3])).synthetic == 1 and both.only(torch.tensor([0, 1])).synthetic == 0


def test_people_of_two_sets_are_others(manifest: pd.DataFrame, crops: Path) -> None:
    one = load_faces(manifest, crops, ["train", "validation"])
    both = joined(one, load_faces(manifest, crops, ["train", "test"]))
    known = both.subjects[both.subjects >= 0].tolist()
    assert len(set(known)) == 4, "numbers are of their own set"


def test_what_cannot_be_joined_is_told(manifest: pd.DataFrame, synthetic: pd.DataFrame, crops: Path) -> None:
    real = load_faces(manifest, crops, ["train"], ["AU1", "AU12"])
    made = load_faces(synthetic, crops, ["train"], ["AU1", "AU12"])
    with pytest.raises(DataError, match="behind the others"):
        joined(joined(real, made), real)
    with pytest.raises(DataError, match=r"of one size to join; got \(8, 8, 3\) and \(4, 8, 3\)"):
        joined(real, replace(made, pixels=made.pixels[:, :4]))
    with pytest.raises(DataError, match="Expected the AUs"):
        joined(real, replace(made, au_names=("AU1",)))
    with pytest.raises(DataError, match="votes with 2 columns to join; got 3"):
        joined(real, replace(made, votes=torch.zeros(2, 3)))
