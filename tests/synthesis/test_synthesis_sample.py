"""Synthetic faces: how many of which class, the same for the same seed, and nothing claimed but their class."""

import numpy as np
import pandas as pd
import pytest
import torch
from blobs import blobs
from safetensors.torch import save_file

from fer_core.errors import ConfigError, DataError
from fer_core.manifest import read_manifest, validate, write_manifest
from fer_core.synthesis.networks import Generator
from fer_core.synthesis.rows import synthetic_rows
from fer_core.synthesis.sample import as_faces, missing_faces, synthesise, to_pixels
from fer_core.synthesis.saved import load_synthesiser, save_synthesiser
from fer_core.synthesis.train import Synthesiser


def synthesiser(classes=3, channels=1, blind=()):
    torch.manual_seed(0)
    generator = Generator(classes, 16, channels, width=4, noise=6).eval()
    for block in generator.blocks:  # classes that differ, as after training
        torch.nn.init.normal_(block.norm1.offset.weight)
    trained = torch.tensor([k not in blind for k in range(classes)])
    return Synthesiser(generator, [], trained)


def test_missing_faces_by_hand():
    counts = torch.tensor([582, 100, 99, 6, 1, 0])
    assert missing_faces(counts, 100).tolist() == [0, 0, 1, 94, 99, 0]
    assert missing_faces(counts, 1).tolist() == [0] * 6


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_classes(channels):
    pixels, labels = synthesise(synthesiser(channels=channels), torch.tensor([2, 0, 3]), 0)
    assert pixels.dtype == torch.uint8 and pixels.shape == (5, 16, 16, channels)
    assert labels.tolist() == [0, 0, 2, 2, 2]
    assert len({item.numpy().tobytes() for item in pixels}) == 5, "no face twice"


def test_the_seed_decides_and_the_global_generator_does_not():
    made = synthesiser()
    counts = torch.tensor([70, 2, 3])
    first, _ = synthesise(made, counts, 7)
    torch.rand(3)
    state = torch.random.get_rng_state()
    assert synthesise(made, counts, 7)[0].equal(first)
    assert torch.random.get_rng_state().equal(state)
    assert not synthesise(made, counts, 8)[0].equal(first)


def test_a_class_does_not_depend_on_the_others():
    made = synthesiser()
    many, labels = synthesise(made, torch.tensor([90, 5, 3]), 0)
    few, _ = synthesise(made, torch.tensor([0, 2, 0]), 0)
    assert (few.int() - many[labels == 1][:2].int()).abs().max() <= 1


def test_the_noise_is_of_the_class_the_seed_and_standard_normal():
    """Classes do not share their noise: else faces of two classes would be pairs."""
    made = synthesiser()
    seen = []
    made.generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    synthesise(made, torch.tensor([300, 300, 300]), 0)
    noise, labels = (torch.cat(items) for items in zip(*seen, strict=True))
    assert noise.shape == (900, 6) and noise.unique(dim=0).shape == (900, 6)
    assert noise.mean().abs() < 0.05 and abs(noise.std().item() - 1) < 0.05
    assert labels.tolist() == [0] * 300 + [1] * 300 + [2] * 300
    assert abs(np.corrcoef(noise[:300].flatten(), noise[300:600].flatten())[0, 1]) < 0.1


def test_pixels_are_rounded_to_the_nearest():
    steps = torch.arange(256)
    images = (steps / 127.5 - 1).reshape(1, 1, 16, 16)
    assert to_pixels(images).flatten().tolist() == steps.tolist()
    assert to_pixels(images + 0.4 / 127.5).flatten().tolist()[:-1] == steps.tolist()[:-1]
    coloured = torch.stack([torch.full((2, 2), value) for value in (-1.0, 0.0, 1.0)])[None]
    assert to_pixels(coloured)[0, 1, 1].tolist() == [0, 128, 255], "channels last"
    assert to_pixels(images.half()).dtype == torch.uint8


def test_evaluation_mode_is_used_and_the_mode_handed_back():
    made = synthesiser()
    counts = torch.tensor([2, 2, 0])
    expected = synthesise(made, counts, 0)[0]
    before = made.generator.norm.running_mean.clone()
    made.generator.train()
    assert synthesise(made, counts, 0)[0].equal(expected)
    assert made.generator.training and made.generator.norm.running_mean.equal(before)


def test_nothing_is_asked_for():
    pixels, labels = synthesise(synthesiser(), torch.zeros(3, dtype=torch.int64), 0)
    assert pixels.shape == (0, 16, 16, 1) and labels.shape == (0,)
    assert len(as_faces(pixels, labels, blobs([2, 2]))) == 0


def test_what_is_refused():
    with pytest.raises(ConfigError, match=r"`counts` to be 3 numbers from 0 on; got \[1, 2\]"):
        synthesise(synthesiser(), torch.tensor([1, 2]), 0)
    with pytest.raises(ConfigError, match="from 0 on"):
        synthesise(synthesiser(), torch.tensor([1, 2, -1]), 0)
    with pytest.raises(ConfigError, match=r"without train pictures; got faces of \[1\]"):
        synthesise(synthesiser(blind=(1,)), torch.tensor([1, 2, 0]), 0)


def test_only_the_class_is_known():
    like = blobs([2, 2])
    pixels, labels = synthesise(synthesiser(), torch.tensor([2, 0, 1]), 0)
    faces = as_faces(pixels, labels, like)
    assert faces.ids == ["synthetic-0-0", "synthetic-0-1", "synthetic-2-0"]
    assert faces.pixels.equal(pixels) and faces.labels.equal(labels)
    for name in ("aus", "landmarks", "votes", "intensities"):
        value = getattr(faces, name)
        assert value.isnan().all() and value.shape == (3, *getattr(like, name).shape[1:]), name
        assert value.dtype == getattr(like, name).dtype
    assert faces.subjects.tolist() == [-1] * 3 and faces.subjects.dtype == torch.int64
    assert faces.au_names == like.au_names and faces.weak_aus is like.weak_aus
    assert faces.synthetic == 3


def test_a_saved_generator_draws_the_same_faces(tmp_path):
    made = synthesiser(channels=3, blind=(1,))
    save_synthesiser(tmp_path / "generator.safetensors", made)
    back = load_synthesiser(tmp_path / "generator.safetensors")
    counts = torch.tensor([3, 0, 2])
    assert synthesise(back, counts, 0)[0].equal(synthesise(made, counts, 0)[0])
    assert back.trained.equal(made.trained) and not back.generator.training
    with pytest.raises(DataError, match="does not exist"):
        load_synthesiser(tmp_path / "other.safetensors")
    save_file({"trained": torch.ones(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(DataError, match="to hold a generator"):
        load_synthesiser(tmp_path / "foreign.safetensors")


def test_rows_are_a_valid_manifest(tmp_path):
    like = pd.DataFrame(columns=["sample_id", "attr_skin", "AU1", "AU1_intensity"])
    pixels, labels = synthesise(synthesiser(), torch.tensor([2, 0, 1]), 0)
    table = synthetic_rows(like, as_faces(pixels, labels, blobs([2, 2])))
    write_manifest(tmp_path / "m.parquet", table, "synthesise", 3)
    back = read_manifest(tmp_path / "m.parquet")
    assert back["emotion"].tolist() == [0, 0, 2] and back["crop_index"].tolist() == [0, 1, 2]
    assert back["synthetic"].tolist() == [True] * 3 and set(back["source"]) == {"gan"}
    assert {"attr_skin", "AU1", "AU1_intensity"} <= set(back.columns)
    for column, value, message in (
        ("synthetic", False, "`synthetic` must be true"),
        ("split", "validation", "`split` must be train in a row of a synthetic face"),
        ("subject", "someone", "`subject` must be null in a row of a synthetic face"),
        ("AU1", 1.0, "`AU1` must be null in a row of a synthetic face"),
        ("clip_id", "clips/1", "`frame` must not be null in a row that has a `clip_id`"),
        ("attr_skin", "dark", "`attr_skin` must be null in a row of a synthetic face"),
    ):
        with pytest.raises(DataError, match=message):
            validate(back.assign(**{column: value}), "synthesise", 3)
    in_a_clip = back.assign(clip_id="clips/1", frame=pd.array(range(3), dtype="Int16"), emotion=0)
    with pytest.raises(DataError, match="`clip_id` must be null in a row of a synthetic face"):
        validate(in_a_clip, "synthesise", 3)
