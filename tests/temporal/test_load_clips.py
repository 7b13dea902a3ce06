"""A manifest's rows become clips: in order of their frames, shorter where a frame was dropped, or an error."""

import numpy as np
import pandas as pd
import pytest
import torch

from fer_core.errors import DataError
from fer_core.temporal.clips import load_clips


def table(*rows):
    """Rows of (sample, split, subject, emotion, crop, clip, frame); a row without a crop was dropped."""
    names = ["sample_id", "split", "subject", "emotion", "crop_index", "clip_id", "frame"]
    found = pd.DataFrame(rows, columns=names)
    found["drop_reason"] = found["crop_index"].isna().map({True: "no face", False: None})
    return found.astype({"emotion": "Int16", "crop_index": "Int32", "frame": "Int16", "clip_id": "string"})


ROWS = [
    ("still", "train", "p0", 1, 0, None, None),
    ("b2", "train", "p2", 1, 1, "b", 5),  # frames need not stand in order, nor without gaps
    ("b0", "train", "p2", 1, 2, "b", 0),
    ("a0", "train", "p1", 0, 3, "a", 0),
    ("a1", "train", "p1", 0, None, "a", 1),
    ("a2", "train", "p1", 0, 4, "a", 2),
    ("b1", "train", "p2", 1, 5, "b", 3),
    ("lost", "train", None, 2, None, "lost", 0),
    ("c0", "train", None, 2, 6, "c", 9),
    ("v0", "validation", "p3", 1, 7, "v", 0),
    ("t0", "test", "p4", None, 8, "t", 0),
]


@pytest.fixture
def faces(tmp_path):
    path = tmp_path / "faces.npy"
    np.save(path, np.arange(9, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3) * 10)
    return path


def test_frames_stand_in_order_and_dropped_ones_are_left_out(faces):
    clips = load_clips(table(*ROWS), faces, ["train"])
    assert clips.ids == ["b", "a", "c"]
    assert clips.left_out == ("lost",)
    assert clips.lengths.tolist() == [3, 2, 1]
    assert clips.mask.tolist() == [[True, True, True], [True, True, False], [True, False, False]]
    shown = clips.pixels[clips.rows.clamp(min=0), 0, 0, 0]
    assert shown.masked_fill(~clips.mask, 0).tolist() == [[20, 50, 10], [30, 40, 0], [60, 0, 0]]
    assert clips.pixels.shape == (6, 4, 4, 3) and clips.pixels.dtype == torch.uint8
    assert clips.labels.tolist() == [1, 0, 2]
    assert clips.subjects.tolist() == [0, 1, -1]
    assert len(clips) == 3 and clips.rows.dtype == clips.labels.dtype == clips.subjects.dtype == torch.int64


def test_images_are_shares_of_white_and_zero_where_padded(faces):
    clips = load_clips(table(*ROWS), faces, ["train"]).to(torch.device("cpu"))
    images, mask = clips.clips(torch.tensor([2, 0]))
    assert images.shape == (2, 3, 3, 4, 4) and images.dtype == torch.float32
    assert images[0, 0].unique().tolist() == pytest.approx([60 / 255]) and images[0, 1:].abs().max() == 0
    assert images[1, 1].unique().tolist() == pytest.approx([50 / 255])
    assert mask.tolist() == [[True, False, False], [True, True, True]]


def test_test_clips_have_no_label_and_splits_add_up(faces, tmp_path):
    clips = load_clips(table(*ROWS), faces, ["validation", "test"])
    assert clips.ids == ["v", "t"] and clips.labels.tolist() == [1, -1]
    table(*ROWS).to_parquet(tmp_path / "manifest.parquet")
    read = pd.read_parquet(tmp_path / "manifest.parquet").astype({"emotion": "float64", "crop_index": "float64"})
    again = load_clips(read, faces, ["test"])
    assert again.ids == ["t"] and again.labels.tolist() == [-1] and again.pixels.unique().tolist() == [80]


@pytest.mark.parametrize(
    ("changed", "splits", "message"),
    [
        ({}, ["pool"], "Expected clips in the split pool; got none"),
        ({1: ("b2", "validation", "p2", 1, 1, "b", 5)}, ["train"], "one `split` for all frames of clip b; got valid"),
        ({1: ("b2", "validation", "p2", 1, 1, "b", 5)}, ["validation"], "one `split` for all frames of clip b"),
        ({1: ("b2", "train", "p2", 0, 1, "b", 5)}, ["train"], "one `emotion` for all frames of clip b; got 0, 1"),
        ({1: ("b2", "train", "p9", 1, 1, "b", 5)}, ["train"], "one `subject` for all frames of clip b; got p9, p2"),
        ({1: ("b2", "train", "p2", 1, 1, "b", 0)}, ["train"], r"every `frame` of clip b once; got 0 again \(sample b0"),
        ({1: ("b2", "train", "p2", 1, 1, "b", None)}, ["train"], "a `frame` number of sample b2 in clip b; got none"),
        ({9: ("v0", "validation", "p3", 1, None, "v", 0)}, ["validation"], "clips with a crop .* got 1 without"),
        ({9: ("v0", "validation", "p3", 1, 9, "v", 0)}, ["validation"], "faces.npy to hold 10 crops or more; got 9"),
    ],
)
def test_contradictions_are_refused(faces, changed, splits, message):
    rows = [changed.get(number, row) for number, row in enumerate(ROWS)]
    with pytest.raises(DataError, match=message):
        load_clips(table(*rows), faces, splits)


def test_missing_faces_are_named(tmp_path):
    with pytest.raises(DataError, match=r"faces\.npy does not exist; run the align stage first"):
        load_clips(table(*ROWS), tmp_path / "faces.npy", ["train"])
