"""Pretraining lowers its loss, is repeatable, and refuses what it cannot learn from. (Resuming: test_resume.py)"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import EPOCHS, IDENTITY, MODEL, SSL
from training_sets import faces

from fer_core.errors import DataError
from fer_core.models import Encoder
from fer_core.pretraining.weights import save_backbone
from fer_core.training.pretrain import new_encoder, pretrain_identity, pretrain_self_supervised


def byol(encoder: Encoder, pictures: Any, work: Path, **changes: Any) -> list[dict[str, Any]]:
    settings = SSL | changes
    return pretrain_self_supervised(encoder, pictures, settings, precision="fp32", seed=0, work=work, title="byol")


def identity(encoder: Encoder, pictures: Any, work: Path, **changes: Any) -> list[dict[str, Any]]:
    settings = IDENTITY | changes
    return pretrain_identity(encoder, pictures, settings, precision="fp32", seed=0, work=work, title="identity")


def test_byol_lowers_its_loss_without_collapsing(tmp_path: Path) -> None:
    encoder = new_encoder(MODEL, 1, 0)
    history = byol(encoder, faces(128), tmp_path)
    assert [row["epoch"] for row in history] == list(range(1, EPOCHS + 1))
    assert set(history[0]) == {"epoch", "loss", "feature_deviation", "seconds"}
    assert history[-1]["loss"] < history[0]["loss"] < 4.5
    assert history[-1]["feature_deviation"] > 0.1


def test_byol_trains_the_encoder_that_it_was_given(tmp_path: Path) -> None:
    encoder, untouched = new_encoder(MODEL, 1, 0), new_encoder(MODEL, 1, 0)
    byol(encoder, faces(64), tmp_path, epochs=1)
    before = dict(untouched.named_parameters())
    # the last running mean may stand still, a weight may not
    assert all(not value.equal(before[name]) for name, value in encoder.named_parameters() if value.ndim > 1)


def test_byol_needs_no_label(tmp_path: Path) -> None:
    """Unlabelled pictures: emotion, AUs, landmarks and people are never read."""
    pictures = faces(64)
    blind = replace(
        pictures,
        labels=torch.full_like(pictures.labels, -1),
        aus=torch.full_like(pictures.aus, torch.nan),
    )
    histories = [
        byol(new_encoder(MODEL, 1, 0), item, tmp_path / str(n), epochs=1) for n, item in enumerate([pictures, blind])
    ]
    assert histories[0][0]["loss"] == histories[1][0]["loss"]


def test_fewer_pictures_than_a_batch_are_one_batch(tmp_path: Path) -> None:
    history = byol(new_encoder(MODEL, 1, 0), faces(20), tmp_path, epochs=1)
    assert torch.isfinite(torch.tensor(history[0]["loss"]))


@pytest.mark.parametrize(("loss", "channels"), [("arcface", 1), ("arcface", 3), ("cosface", 1)])
def test_identity_losses_fall_and_tell_strangers_apart(loss: str, channels: int, tmp_path: Path) -> None:
    encoder = new_encoder(MODEL, channels, 0)
    history = identity(encoder, faces(160, people=16, channels=channels), tmp_path, loss=loss)
    assert set(history[0]) == {"epoch", "loss", "train_accuracy", "verification_accuracy", "seconds"}
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert history[-1]["train_accuracy"] > 0.9
    assert history[-1]["verification_accuracy"] > 0.8, "measured on people that were held out"


def test_people_held_out_are_never_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fer_core.training import pretrain

    seen: set[int] = set()
    checked: set[int] = set()
    pictures = faces(160, people=16)
    plain, verify = pictures.images, pretrain.verification_accuracy
    mode: list[bool] = []

    def images(self: Any, index: torch.Tensor) -> torch.Tensor:
        if not torch.is_inference_mode_enabled():
            seen.update(pictures.subjects[index].tolist())
        mode.append(torch.is_inference_mode_enabled())
        return plain(index)

    def verification(features: torch.Tensor, ids: torch.Tensor, generator: torch.Generator) -> float:
        checked.update(ids.tolist())
        return verify(features, ids, generator)

    monkeypatch.setattr(type(pictures), "images", images)
    monkeypatch.setattr(pretrain, "verification_accuracy", verification)
    identity(new_encoder(MODEL, 1, 0), pictures, tmp_path, epochs=1)
    assert seen and checked and any(mode) and not all(mode)
    assert not seen & checked
    assert seen | checked == set(range(16))


def test_unknown_people_and_people_with_one_picture_are_left_out(tmp_path: Path) -> None:
    pictures = faces(80, people=8)
    subjects = pictures.subjects.clone()
    subjects[:9] = -1
    subjects[9] = 50  # seen once
    history = identity(new_encoder(MODEL, 1, 0), replace(pictures, subjects=subjects), tmp_path, epochs=1)
    assert torch.isfinite(torch.tensor(history[0]["loss"]))


@pytest.mark.parametrize("people", [0, 1, 3])
def test_too_few_people_are_refused(people: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"four or more people with two pictures each to tell apart; got {people}"):
        identity(new_encoder(MODEL, 1, 0), faces(40, people=people), tmp_path)


def test_an_encoder_starts_from_the_seed_or_from_a_file(tmp_path: Path) -> None:
    def weights(encoder: Encoder) -> torch.Tensor:
        return torch.cat([value.flatten() for value in encoder.backbone.parameters()])

    one, same, other = new_encoder(MODEL, 1, 0), new_encoder(MODEL, 1, 0), new_encoder(MODEL, 1, 1)
    assert weights(one).equal(weights(same)) and not weights(one).equal(weights(other))
    save_backbone(other, tmp_path / "ssl.safetensors")
    assert weights(new_encoder(MODEL, 1, 0, tmp_path / "ssl.safetensors")).equal(weights(other))
