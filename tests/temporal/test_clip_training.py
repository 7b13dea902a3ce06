"""Training on clips: order is learned by what can, interrupted runs end with the same bytes, weights go in and out."""

import math
from dataclasses import replace
from types import SimpleNamespace

import clip_sets
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file

from fer_core.errors import ConfigError, DataError
from fer_core.models import FerModel
from fer_core.progress import Bar
from fer_core.temporal import TEMPORAL
from fer_core.temporal.build import load_still, new_clip_model, parameter_groups
from fer_core.temporal.learner import ClipLearner
from fer_core.temporal.predict import average_still, predict_clips
from fer_core.temporal.runs import load_clip_model, save_clip_model, still_model
from fer_core.temporal.train import train_clips, train_epoch
from fer_core.training.checkpoint import Checkpoint
from fer_core.training.loop import new_model
from fer_core.training.optim import build_optimizer
from fer_core.training.runs import save_run

EVERY = pytest.mark.parametrize("name", TEMPORAL)


def run(work, *, initial=None, data=None, **changes):
    return train_clips(clip_sets.recipe(**changes), data or clip_sets.sets(), clip_sets.LABELS, initial, work, "clips")


def as_bytes(trained):
    return save({name: tensor.contiguous().clone() for name, tensor in trained.model.state_dict().items()})


def figures(trained):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in trained.history]


def still(classes=2, **changes) -> FerModel:
    labels = replace(clip_sets.LABELS, classes=tuple("abcdefg"[:classes]))
    return new_model(clip_sets.recipe(**changes), 1, labels, 0, None, pretrained=False)


@EVERY
def test_only_what_reads_the_order_learns_it(name, tmp_path):
    trained = run(tmp_path, temporal=name, epochs=14)
    more = clip_sets.clips(60, seed=7)
    right = float((predict_clips(trained.model, more).argmax(1) == more.labels).float().mean())
    assert abs(right - 0.5) < 0.2 if name == "mean" else right > 0.9


def test_the_history_is_that_of_stills_and_the_best_epoch_is_kept(tmp_path):
    trained = run(tmp_path, temporal="tcn", epochs=4)
    assert list(trained.history[0]) == [
        *("epoch", "train_loss", "train_accuracy", "learning_rate", "validation_loss", "validation_accuracy"),
        *("validation_macro_f1", "validation_uar", "seconds"),
    ]
    curve = [row["validation_macro_f1"] for row in trained.history]
    assert trained.best_epoch == int(np.argmax(curve)) + 1
    validation = clip_sets.sets()["validation"]
    logs = predict_clips(trained.model, validation)
    loss = float(torch.nn.functional.nll_loss(logs, validation.labels))
    assert loss == pytest.approx(trained.history[trained.best_epoch - 1]["validation_loss"], abs=1e-6)
    assert trained.seconds == pytest.approx(sum(row["seconds"] for row in trained.history), abs=0.2)


EVERYTHING = {
    "augment": "generic",
    "sampler": "curriculum",
    "loss": "ldam",
    "drw": 0.5,
    "sam": 0.02,
    "ema": 0.9,
    "clip_grad": 5.0,
    "layer_decay": 0.7,
    "label_smoothing": 0.1,
}


@pytest.mark.parametrize(
    "changes",
    [*({"temporal": name, "augment": "generic", "sampler": "weighted"} for name in TEMPORAL),
     {"temporal": "lstm", "temporal_layers": 2} | EVERYTHING],
)  # fmt: skip
def test_interrupted_and_resumed_ends_with_the_same_bytes(changes, tmp_path, monkeypatch):
    monkeypatch.setattr("fer_core.training.checkpoint.SHARE", math.inf)  # save at every epoch
    data = {"train": clip_sets.clips(24, 0), "validation": clip_sets.clips(12, 1)}
    weights = {f"encoder.{k}": v for k, v in still().encoder.state_dict().items()}
    settings = {"epochs": 4, "data": data, "initial": weights, "temporal_dropout": 0.3} | changes
    whole = run(tmp_path / "whole", **settings)
    plain, done = Bar.advance, []

    def advance(self, steps=1, **shown):
        plain(self, steps, **shown)
        done.append(self.done)
        if len(done) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", **settings)
    state = Checkpoint(tmp_path / "cut").load()
    assert state is not None and len(state["history"]) == 2
    resumed = run(tmp_path / "cut", **settings)
    assert done == [1, 2, 3, 4], "only the epochs that were missing"
    assert as_bytes(resumed) == as_bytes(whole) and figures(resumed) == figures(whole)
    assert resumed.best_epoch == whole.best_epoch


def test_a_run_that_diverges_stops(tmp_path):
    trained = run(tmp_path, temporal="tcn", optimizer="sgd", lr=1e30, warmup_epochs=0)
    assert len(trained.history) < 6 and not np.isfinite(trained.history[-1]["train_loss"])


def test_the_seed_and_nothing_else_decides(tmp_path):
    torch.manual_seed(1)
    first = run(tmp_path / "1", temporal="lstm", epochs=2, augment="generic")
    torch.manual_seed(2)
    assert as_bytes(run(tmp_path / "2", temporal="lstm", epochs=2, augment="generic")) == as_bytes(first)
    assert as_bytes(run(tmp_path / "3", temporal="lstm", epochs=2, augment="generic", seed=5)) != as_bytes(first)


def test_a_batch_has_the_recipes_number_of_frames():
    data = clip_sets.clips(20)
    model = new_clip_model(clip_sets.recipe(temporal="tcn"), 1, 2)
    sizes = [ClipLearner(clip_sets.recipe(batch_size=b), model, data, 2).batch_size for b in (40, 44, 5, 2)]
    assert sizes == [8, 8, 2, 2]


def test_class_weights_come_in_late():
    data = clip_sets.clips(20)
    data = replace(data, labels=(torch.arange(20) < 4).long())
    recipe = clip_sets.recipe(temporal="tcn", drw=0.5, cb_beta=0.9, epochs=4)
    learner = ClipLearner(recipe, new_clip_model(recipe, 1, 2), data, 2)
    weights = []
    for epoch in range(4):
        train_epoch(learner, epoch)
        weights.append(learner.objective.emotion_loss.class_weights)
    assert weights[1] is None and weights[2] is not None and weights[2][1] > weights[2][0]


@EVERY
def test_the_encoder_starts_as_the_still_image_models(name, tmp_path):
    model = still()
    save_run(model, tmp_path / "still.safetensors")
    clip_model = new_clip_model(clip_sets.recipe(temporal=name, seed=3), 1, 2)
    before = {key: value.clone() for key, value in clip_model.state_dict().items()}
    said = load_still(clip_model, tmp_path / "still.safetensors")
    if name == "conv3d":
        assert said.startswith("nothing")
        assert all(torch.equal(value, before[key]) for key, value in clip_model.state_dict().items())
        return
    for key, value in model.encoder.state_dict().items():
        assert torch.equal(clip_model.state_dict()[f"encoder.{key}"], value)
    assert said == ("the encoder and the emotion head" if name == "mean" else "the encoder")
    if name == "mean":  # untrained, it is the still-image model averaged
        data = clip_sets.clips(5)
        torch.testing.assert_close(predict_clips(clip_model, data), average_still(model, data))


@pytest.mark.parametrize("changes", [{"classes": 3}, {"head": "cosine", "head_scale": 4.0}, {"head": "prototype"}])
def test_a_head_that_does_not_fit_is_left(changes):
    clip_model = new_clip_model(clip_sets.recipe(temporal="mean", seed=3), 1, 2)
    before = clip_model.temporal.head.weight.clone()
    assert "the head starts at random" in load_still(clip_model, still(**changes).state_dict())
    assert torch.equal(clip_model.temporal.head.weight, before)


def test_weights_of_another_model_are_refused(tmp_path):
    path = tmp_path / "still.safetensors"
    tensors = {key: value.clone() for key, value in still().state_dict().items()}
    clip_model = new_clip_model(clip_sets.recipe(temporal="lstm", seed=3), 1, 2)
    before = {key: value.clone() for key, value in clip_model.state_dict().items()}
    first = next(key for key in tensors if key.endswith("conv1.weight"))
    wrong = {
        f"still.safetensors to hold {first}": {key: value for key, value in tensors.items() if key != first},
        f"Expected {first} in .* to be .*; got \\(1,\\)": tensors | {first: torch.zeros(1)},
        f"numbers in {first} that are not finite": tensors | {first: torch.full_like(tensors[first], torch.nan)},
        "encoder.attention.fc1.weight, which the encoder of this recipe has no place for": tensors
        | {"encoder.attention.fc1.weight": torch.zeros(2)},
    }
    for message, content in wrong.items():
        save_file(content, path)
        with pytest.raises(ConfigError, match=message):
            load_still(clip_model, path)
    with pytest.raises(ConfigError, match=r"nowhere\.safetensors does not exist"):
        load_still(clip_model, tmp_path / "nowhere.safetensors")
    assert all(torch.equal(value, before[key]) for key, value in clip_model.state_dict().items())


def rates(**changes):
    recipe = clip_sets.recipe(temporal="tcn", weight_decay=0.05, **changes)
    model = new_clip_model(recipe, 1, 2)
    groups = parameter_groups(model, recipe, 0.1)
    optimizer = build_optimizer("adamw", groups, recipe.lr, recipe.weight_decay)
    of = {
        id(item): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for item in group["params"]
    }
    return {name: of[id(item)] for name, item in model.named_parameters()}


def test_the_encoder_learns_more_slowly_and_biases_do_not_decay():
    found = rates(lr=0.01)
    for name, (lr, decay) in found.items():
        assert lr == pytest.approx(0.001 if name.startswith("encoder.") else 0.01)
        if name.endswith("bias"):
            assert decay == 0
    assert found["encoder.backbone.conv1.0.weight"][1] == found["temporal.head.weight"][1] == 0.05


def test_layer_decay_goes_on_within_the_encoder():
    found = rates(lr=0.01, layer_decay=0.5)
    inside = [lr for name, (lr, _) in found.items() if name.startswith("encoder.")]
    assert max(inside) < 0.001 and len(set(inside)) > 2 and min(inside) < max(inside) / 3
    assert {lr for name, (lr, _) in found.items() if not name.startswith("encoder.")} == {0.01}


def test_from_scratch_the_encoder_has_the_full_rate(tmp_path, monkeypatch):
    seen = []
    plain = ClipLearner.__init__

    def spy(self, *args):
        seen.append(args[-1])
        plain(self, *args)

    monkeypatch.setattr(ClipLearner, "__init__", spy)
    weights = still().state_dict()
    for number, (initial, start) in enumerate([(None, "still"), (weights, "scratch"), (weights, "still")]):
        run(tmp_path / str(number), initial=initial, temporal="mean", epochs=1, temporal_start=start)
    assert seen == [1.0, 1.0, 0.1]


def test_an_encoder_that_does_not_learn_stays_as_it_is(tmp_path):
    weights = {key: value.clone() for key, value in still().state_dict().items()}
    trained = run(tmp_path, initial=weights, temporal="lstm", epochs=2, temporal_encoder_lr=0.0)
    after = trained.model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in weights.items() if key.startswith("encoder."))
    assert any("running_mean" in key for key in weights), "statistics of batch norms among them"
    moved = run(tmp_path / "moved", initial=weights, temporal="lstm", epochs=2, temporal_encoder_lr=0.1)
    key = next(key for key in weights if "running_mean" in key)
    assert not torch.equal(moved.model.state_dict()[key], weights[key]), "as they do where it learns"


def test_long_clips_go_through_few_at_a_time():
    data, seen = clip_sets.clips(6), []

    class Counted(torch.nn.Module):
        def forward(self, images, mask):
            seen.append(tuple(images.shape[:2]))
            return torch.zeros(len(images), 2)

    length = data.rows.shape[1]
    for frames, clips in ((1, 1), (2 * length, 2), (2 * length + 1, 2), (100 * length, 6)):
        seen.clear()
        predict_clips(Counted(), data, frames=frames)
        assert seen == [(clips, length)] * (6 // clips)


def test_clips_move_to_where_the_model_is(monkeypatch):
    """Without a second device: what stands for the model's is only told apart from the clips'."""
    data, moved = clip_sets.clips(5), []

    class Elsewhere(torch.nn.Module):
        def parameters(self, recurse=True):
            yield SimpleNamespace(device="elsewhere")

        def forward(self, images, mask):
            assert moved[-2:] == [images.shape, mask.shape], "both were moved"
            return torch.zeros(len(images), 2)

    def to(tensor, device):
        if device == "elsewhere":  # a clip's frames are also brought to where its labels lie
            moved.append(tensor.shape)
        return tensor

    monkeypatch.setattr(torch.Tensor, "to", to)
    assert predict_clips(Elsewhere(), data, frames=1).shape == (5, 2) and len(moved) == 10


def test_one_train_clip_is_refused(tmp_path):
    data = clip_sets.sets() | {"train": clip_sets.clips(1)}
    with pytest.raises(DataError, match="Expected two train clips or more"):
        run(tmp_path, data=data, temporal="mean")


def test_average_still_is_the_frames_mean():
    data, model = clip_sets.clips(7), still().eval()
    found = average_still(model, data, frames=3 * data.rows.shape[1])
    for row, length in enumerate(data.lengths.tolist()):
        pictures = data.pixels[data.rows[row, :length]].permute(0, 3, 1, 2).float() / 255
        mean = model(pictures).logits.softmax(1).mean(0)
        torch.testing.assert_close(found[row].exp(), mean)
    assert found.dtype == torch.float32 and found.shape == (7, 2)


@EVERY
def test_predictions_do_not_depend_on_the_batch_and_survive_a_file(name, tmp_path):
    recipe = clip_sets.recipe(temporal=name)
    model = new_clip_model(recipe, 1, 2)
    data = clip_sets.clips(9, shortest=1)
    found = predict_clips(model, data)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(9))
    torch.testing.assert_close(predict_clips(model, data, frames=1), found, atol=1e-6, rtol=0)
    save_clip_model(model, tmp_path / "clip.safetensors")
    again = load_clip_model(replace(recipe, seed=9), tmp_path / "clip.safetensors", 1, 2)
    assert torch.equal(predict_clips(again, data), found)
    with pytest.raises(ConfigError, match=r"in .*clip.safetensors to be \(3.*; got \(2"):
        load_clip_model(recipe, tmp_path / "clip.safetensors", 1, 3)


def test_a_still_image_model_is_read_from_its_run_without_its_au_head(tmp_path):
    recipe = clip_sets.recipe(au_weight=0.5)
    model = new_model(recipe, 1, clip_sets.LABELS, 4, None, pretrained=False)
    save_run(model, tmp_path / "weights.safetensors")
    assert "au_head.bias" in load_file(tmp_path / "weights.safetensors")
    data = clip_sets.clips(5)
    found = still_model(recipe, tmp_path / "weights.safetensors", data, clip_sets.LABELS)
    torch.testing.assert_close(predict_clips(found, data), average_still(model, data))


def test_wrong_clips_are_named(tmp_path):
    data = clip_sets.sets(8)
    none = replace(data["validation"], ids=[])
    hidden = replace(data["train"], labels=torch.tensor([0, 1, -1, 0, 1, 0, 1, 0]))
    with pytest.raises(DataError, match="Expected clips in the validation split; got none"):
        run(tmp_path, temporal="mean", data=data | {"validation": none})
    with pytest.raises(DataError, match="a class from 0 to 1 of every clip of the train split; got -1 of clip 0-2"):
        run(tmp_path, temporal="mean", data=data | {"train": hidden})
    with pytest.raises(ConfigError, match=r"Expected `temporal` to be one of .*; got 'none'"):
        run(tmp_path, temporal="none", data=data)
    with pytest.raises(ConfigError, match="Expected `augment` to be one of"):
        run(tmp_path, temporal="mean", augment="genric", data=data)
