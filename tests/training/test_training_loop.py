"""Supervised training learns, keeps its best epoch, masks what is not annotated, and survives bad luck."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from training_sets import CLASSES, LABELS, faces, recipe, sets

from fer_core.errors import ConfigError, DataError
from fer_core.losses.common import EmotionLoss
from fer_core.models import FerModel
from fer_core.pretraining.weights import save_backbone
from fer_core.training import loop, objective
from fer_core.training.epochs import Trained, converged
from fer_core.training.learner import Learner
from fer_core.training.loop import new_model, train
from fer_core.training.predict import predict
from fer_core.training.runs import load_run, predict_with_views, save_run


def run(tmp_path: Path, data: dict[str, Any] | None = None, *, initial: Path | None = None, **changes: Any) -> Trained:
    return train(recipe(**changes), data or sets(), LABELS, initial, tmp_path / "work", "test")


def logs(model: FerModel, face_set: Any) -> torch.Tensor:
    return predict(model, face_set)[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiny_network_overfits_32_faces(channels: int, tmp_path: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    data = sets(channels=channels, noise=60.0)
    data["train"] = replace(data["train"], labels=torch.randint(CLASSES, (32,), generator=rng))  # labels by heart
    trained = run(tmp_path, data, epochs=40)
    assert trained.history[-1]["train_loss"] < 0.05 < trained.history[0]["train_loss"]
    assert trained.history[-1]["train_accuracy"] == 1
    trained.model.load_state_dict(torch.load(tmp_path / "work" / "last.pt", weights_only=True)["learner"]["model"])
    assert (logs(trained.model, data["train"]).argmax(1) == data["train"].labels).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"timm": "test_vit", "model_args": {"patch_size": 8}, "lr": 0.005},
        {"timm": "test_efficientnet"},
        {"attention": "cbam", "loss": "focal", "focal_gamma": 2.0},
        {"loss": "cb", "cb_beta": 0.999, "sampler": "none", "label_smoothing": 0.1},
        {"augment": "face_aware", "mix": "mixup", "mix_alpha": 0.2, "sampler": "weighted", "au_weight": 0.5},
        {"precision": "bf16"},
    ],
    ids="+".join,
)
def test_every_recipe_learns_to_tell_patterns_apart(changes: dict[str, Any], tmp_path: Path) -> None:
    trained = run(tmp_path, sets(64), epochs=12, **changes)
    assert max(row["validation_macro_f1"] for row in trained.history) > 0.9, [
        row["validation_macro_f1"] for row in trained.history
    ]
    assert all(np.isfinite(value) for row in trained.history for value in row.values())


def test_the_history_says_what_the_contract_says(tmp_path: Path) -> None:
    trained = run(tmp_path, epochs=3, au_weight=0.5)
    keys = ["epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "validation_macro_f1"]
    keys += ["validation_uar", "learning_rate", "seconds", "emotion_loss"]
    assert [row["epoch"] for row in trained.history] == [1, 2, 3]
    for row in trained.history:
        assert set(row) == {*keys, "au_loss", "validation_au_f1"}
    plain = run(tmp_path / "plain", epochs=1)
    assert set(plain.history[0]) == set(keys)
    rates = [row["learning_rate"] for row in trained.history]
    assert rates[0] == pytest.approx(0.01), "warmed up over the first of three epochs"
    assert rates[0] > rates[1] > rates[2] > 0


def test_the_model_returned_is_the_best_epochs(tmp_path: Path) -> None:
    data = sets()
    trained = run(tmp_path, data, epochs=6, lr=0.05)
    curve = [row["validation_macro_f1"] for row in trained.history]
    assert trained.best_epoch == 1 + int(np.argmax(curve))
    found = loop.scores(
        data["validation"].labels.numpy(), logs(trained.model, data["validation"]).argmax(1).numpy(), CLASSES
    )
    assert found.macro_f1 == max(curve)


def test_the_best_weights_are_not_the_last_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the network does, the epoch that validation prefers is the one that is kept."""
    told = iter([0.2, 0.9, 0.4, 0.9])
    plain = loop.validate
    weights = []

    def validate(model: FerModel, *rest: Any) -> dict[str, float]:
        weights.append(model.head.weight.detach().clone())
        return plain(model, *rest) | {"validation_macro_f1": next(told)}

    monkeypatch.setattr(loop, "validate", validate)
    trained = run(tmp_path, epochs=4)
    assert trained.best_epoch == 2, "the first of equals"
    assert trained.model.head.weight.equal(weights[1])
    assert not trained.model.head.weight.equal(weights[3])


def test_a_loss_that_is_not_a_number_stops_early_and_keeps_the_best_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bursting(EmotionLoss):
        calls = 0

        def per_sample(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            factor = torch.nan if self.calls > 2 * 2 else 1.0  # two batches an epoch: the third epoch bursts
            return -(target * logits.log_softmax(1)).sum(1) * factor

    monkeypatch.setattr(objective, "build_loss", lambda *args, **kwargs: Bursting())
    data = sets()
    trained = run(tmp_path, data, epochs=20)
    assert len(trained.history) == 3
    assert np.isnan(trained.history[-1]["train_loss"])
    assert trained.best_epoch <= 2
    assert logs(trained.model, data["validation"]).isfinite().all()
    again = run(tmp_path, data, epochs=20)
    assert len(again.history) == 3, "nor does a resumed run go on"


def au_weights(model: FerModel) -> torch.Tensor:
    assert isinstance(model.au_head, nn.Linear)
    return model.au_head.weight.detach()


def test_the_au_head_learns_only_from_what_is_annotated(tmp_path: Path) -> None:
    data = sets(64, annotated=1.0)
    aus = data["train"].aus.clone()
    aus[:, 1] = torch.nan  # AU4 is annotated nowhere
    aus[::2, 0] = torch.nan
    data["train"] = replace(data["train"], aus=aus)
    # decay would move the head too
    trained = run(tmp_path, data, epochs=12, au_weight=0.5, weight_decay=0.0)
    untrained = new_model(recipe(au_weight=0.5), 1, LABELS, 2, None, pretrained=False)
    assert not au_weights(trained.model)[0].equal(au_weights(untrained)[0])
    assert au_weights(trained.model)[1].equal(au_weights(untrained)[1]), "no annotation, no gradient"
    _, found = predict(trained.model, data["validation"])
    assert found is not None
    truth = data["validation"].aus
    assert ((found[:, 0] > 0.5) == (truth[:, 0] > 0.5)).float().mean() > 0.9


def test_what_stands_where_nothing_is_annotated_does_not_matter(tmp_path: Path) -> None:
    """With no AU annotated at all the emotion is learned as without the AU head."""
    data = sets()
    data["train"] = replace(data["train"], aus=torch.full_like(data["train"].aus, torch.nan))
    with_head = run(tmp_path / "with", data, epochs=2, au_weight=0.5)
    assert all(np.isfinite(row["train_loss"]) for row in with_head.history)
    assert logs(with_head.model, data["validation"]).isfinite().all()


def test_there_is_an_au_head_only_with_a_weight(tmp_path: Path) -> None:
    assert new_model(recipe(), 1, LABELS, 2, None, pretrained=False).au_head is None
    assert new_model(recipe(au_weight=0.1), 1, LABELS, 2, None, pretrained=False).au_head is not None


@pytest.mark.parametrize("count", [17, 33])
def test_a_last_batch_of_one_is_left_out(count: int, tmp_path: Path) -> None:
    """Batch norm has no variance in a batch of one, and would put it into its running statistics."""
    trained = run(tmp_path, sets(count), epochs=2)
    assert all(value.isfinite().all() for value in trained.model.state_dict().values())


def test_one_face_is_still_a_batch(tmp_path: Path) -> None:
    one = {"train": faces(1), "validation": faces(4, 1)}
    trained = run(tmp_path, one, epochs=1, timm="test_vit", model_args={"patch_size": 8})
    assert np.isfinite(trained.history[0]["train_loss"])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_faces_is_refused(split: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"faces in the {split} split"):
        run(tmp_path, sets() | {split: faces(0)})


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    data = sets()
    stochastic: dict[str, Any] = {"augment": "generic", "sampler": "weighted", "mix": "mixup", "mix_alpha": 0.4}
    torch.manual_seed(1)
    first = run(tmp_path / "1", data, epochs=2, **stochastic)
    torch.manual_seed(2)
    np.random.default_rng(3).random()
    second = run(tmp_path / "2", data, epochs=2, **stochastic)
    other = run(tmp_path / "3", data, epochs=2, seed=1, **stochastic)
    assert logs(first.model, data["validation"]).equal(logs(second.model, data["validation"]))
    assert not logs(first.model, data["validation"]).equal(logs(other.model, data["validation"]))


def first_state(monkeypatch: pytest.MonkeyPatch, start: Callable[[], Any]) -> dict[str, torch.Tensor]:
    """The model's weights when its first batch is about to be made."""
    seen: dict[str, torch.Tensor] = {}

    class Seen(Exception):
        pass

    def epoch(learner: Learner, *rest: Any) -> None:
        seen.update({key: value.clone() for key, value in learner.model.state_dict().items()})
        raise Seen

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", epoch)
        with pytest.raises(Seen):
            start()
    return seen


def test_training_starts_from_the_weights_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretrained = new_model(recipe(seed=77), 1, LABELS, 0, None, pretrained=False)
    save_backbone(pretrained, tmp_path / "ssl.safetensors")
    scratch = first_state(monkeypatch, lambda: run(tmp_path / "a"))
    loaded = first_state(monkeypatch, lambda: run(tmp_path / "b", initial=tmp_path / "ssl.safetensors"))
    backbone = [key for key in loaded if ".backbone." in key and not key.endswith("num_batches_tracked")]
    assert backbone
    for key in backbone:
        assert loaded[key].equal(pretrained.state_dict()[key]), key
    changed = [key for key in backbone if not loaded[key].equal(scratch[key])]
    assert any("conv" in key for key in changed)
    assert loaded["head.weight"].equal(scratch["head.weight"]), "the heads are new"


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = new_model(recipe(timm="test_efficientnet"), 1, LABELS, 0, None, pretrained=False)
    save_backbone(other, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match=r"other\.safetensors fits only"):
        run(tmp_path, initial=tmp_path / "other.safetensors")


def test_a_saved_run_predicts_what_the_trained_one_did(tmp_path: Path) -> None:
    data, changes = sets(), {"au_weight": 0.5, "attention": "cbam"}
    trained = run(tmp_path, data, epochs=2, **changes)
    save_run(trained.model, tmp_path / "weights.safetensors")
    loaded = load_run(recipe(**changes), tmp_path / "weights.safetensors", 1, LABELS, 2)
    assert logs(loaded, data["validation"]).equal(logs(trained.model, data["validation"]))
    one = predict_with_views(loaded, data["validation"], ["identity"])
    assert np.allclose(one[0], logs(loaded, data["validation"]).numpy(), atol=1e-5)
    several = predict_with_views(loaded, data["validation"], ["identity", "flip", "brighter"])
    assert several.shape == (3, *one.shape[1:]) and np.allclose(np.exp(several).sum(2), 1)
    assert np.allclose(several[0], one[0], atol=1e-5) and not np.allclose(several[1], one[0])


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5], None),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], False),
        ([0.1, 0.3, 0.5, 0.5, 0.5, 0.5], False),
        ([0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], True),
        ([0.50, 0.50, 0.50, 0.50, 0.50, 0.51], True),
        ([0.5, 0.5, 0.5, 0.4, 0.4, 0.4], True),
        ([], None),
    ],
)
def test_converged_compares_the_last_three_epochs_with_the_three_before(
    curve: list[float], expected: bool | None
) -> None:
    assert converged([{"validation_macro_f1": value} for value in curve]) is expected
