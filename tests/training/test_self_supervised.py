"""Every self-supervised method trains, is watched without being changed, and hands its weights on. (Resuming:
test_resume.py)"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from training_runs import EPOCHS, IDENTITY, MODEL, SSL, VIT
from training_sets import SIZE, faces

from fer_core.choices import SSL_KEYS
from fer_core.errors import ConfigError
from fer_core.models import Encoder
from fer_core.pretraining import SELF_SUPERVISED
from fer_core.pretraining.weights import save_backbone
from fer_core.training import pretrain
from fer_core.training.checkpoint import Checkpoint
from fer_core.training.faces import FaceSet
from fer_core.training.pretrain import new_encoder, pretrain_identity, pretrain_self_supervised

NEW = ("simclr", "moco", "mae")


def model_of(method: str) -> dict[str, Any]:
    return VIT if method == "mae" else MODEL


def run(
    method: str, work: Path, pictures: FaceSet | None = None, labelled: dict[str, FaceSet] | None = None, **changes: Any
) -> tuple[Encoder, list[dict[str, Any]]]:
    encoder = new_encoder(model_of(method), 1, 0)
    history = pretrain_self_supervised(
        encoder,
        faces(128) if pictures is None else pictures,
        SSL | {"method": method} | changes,
        precision="fp32",
        seed=0,
        work=work,
        title=method,
        labelled=labelled,
    )
    return encoder, history


def weights(encoder: Encoder) -> Tensor:
    return torch.cat([value.flatten().double() for value in encoder.state_dict().values()])


def waves(count: int) -> FaceSet:
    """Pictures that all differ, and whose parts tell what is beside them."""
    generator = torch.Generator().manual_seed(0)
    grid = torch.stack(torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")) / SIZE
    slopes = 4 * torch.randn(count, 2, 1, 1, generator=generator)
    phases = 2 * math.pi * torch.rand(count, 1, 1, generator=generator)
    pixels = 127 * (1 + torch.sin((slopes * grid).sum(dim=1) + phases))
    return replace(faces(count), pixels=pixels.to(torch.uint8)[..., None])


def known(seed: int = 0) -> dict[str, FaceSet]:
    return {"train": faces(48, seed + 5), "validation": faces(32, seed + 6)}


def test_every_method_of_the_registry_has_keys() -> None:
    assert set(SSL_KEYS) == set(SELF_SUPERVISED)


@pytest.mark.parametrize("method", NEW)
def test_its_loss_falls_and_the_encoder_is_the_one_given(method: str, tmp_path: Path) -> None:
    before = weights(new_encoder(model_of(method), 1, 0))
    encoder, history = run(method, tmp_path, waves(128))
    assert [row["epoch"] for row in history] == list(range(1, EPOCHS + 1))
    assert set(history[0]) == {"epoch", "loss", "feature_deviation", "seconds"}
    start = 1 if method == "moco" else 0  # its queue starts with random directions, which are easily told apart
    assert history[-1]["loss"] < history[start]["loss"] - 0.1
    assert history[-1]["feature_deviation"] > 0.2
    assert not weights(encoder).equal(before)


@pytest.mark.parametrize("method", sorted(SSL_KEYS))
def test_probes_are_written_and_change_nothing(method: str, tmp_path: Path) -> None:
    plain, unwatched = run(method, tmp_path / "plain", faces(64), epochs=2)
    encoder, history = run(method, tmp_path / "watched", faces(64), labelled=known(), epochs=2)
    assert weights(encoder).equal(weights(plain))
    assert [row["loss"] for row in history] == [row["loss"] for row in unwatched]
    for row in history:
        assert 0 <= row["knn_uar"] <= 1 and 0 <= row["probe_uar"] <= 1
    states = [Checkpoint(tmp_path / name).load() for name in ("plain", "watched")]
    assert states[0] is not None and states[1] is not None
    for name, value in states[0]["learner"].items():
        assert value.equal(states[1]["learner"][name]), name


def test_faces_that_are_easily_told_apart_are(tmp_path: Path) -> None:
    _, history = run("simclr", tmp_path, faces(64), labelled=known(), epochs=1)
    assert history[-1]["knn_uar"] > 0.8 and history[-1]["probe_uar"] > 0.8
    mixed = known()
    shuffled = mixed["train"].labels[torch.randperm(48, generator=torch.Generator().manual_seed(0))]
    mixed["train"].labels.copy_(shuffled)
    _, blind = run("simclr", tmp_path / "blind", faces(64), labelled=mixed, epochs=1)
    assert blind[-1]["knn_uar"] < 0.6, "what a probe says comes from the labels of train"


@pytest.mark.parametrize(
    ("epochs", "asked"),
    [(1, [1]), (3, [1, 2, 3]), (10, list(range(1, 11))), (12, [2, 4, 6, 8, 10, 12]), (50, list(range(5, 51, 5)))],
)
def test_probes_look_ten_times_at_most_and_at_the_end(epochs: int, asked: list[int]) -> None:
    assert [epoch for epoch in range(1, epochs + 1) if pretrain._asked(epoch, epochs)] == asked


def test_probes_look_at_few_faces_of_train_and_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def probe(train: Tensor, labels: Tensor, queries: Tensor, truth: Tensor) -> dict[str, float]:
        assert len(train) == len(labels) and len(queries) == len(truth) and (labels >= 0).all()
        seen.append((len(train), len(queries)))
        return {"knn_uar": 0.0, "probe_uar": 0.0}

    monkeypatch.setattr(pretrain, "probe", probe)
    monkeypatch.setattr(pretrain, "PROBE_FEWEST", 10)
    labelled = known()
    labelled["train"].labels[:40] = -1
    run("simclr", tmp_path, labelled=labelled, epochs=1)
    assert seen == [(8, 16)], "8 labelled train faces, and an eighth of 128 validation faces"


def test_without_labelled_faces_there_are_no_probes(tmp_path: Path) -> None:
    labelled = known()
    labelled["validation"].labels.fill_(-1)
    _, history = run("simclr", tmp_path, labelled=labelled, epochs=1)
    assert "knn_uar" not in history[0]


def test_a_queue_is_no_longer_than_half_the_set(tmp_path: Path) -> None:
    run("moco", tmp_path, faces(40), queue=1000, epochs=1)
    state = Checkpoint(tmp_path).load()
    assert state is not None and state["learner"]["queue"].shape == (20, SSL["projection"])
    assert state["learner"]["oldest"] < 20


@pytest.mark.parametrize("method", NEW)
def test_identity_starts_from_its_weights(method: str, tmp_path: Path) -> None:
    encoder, _ = run(method, tmp_path / "ssl", faces(32), epochs=1)
    save_backbone(encoder.backbone, tmp_path / "ssl.safetensors")
    started = new_encoder(model_of(method), 1, 0, tmp_path / "ssl.safetensors")
    for name, value in started.backbone.state_dict().items():
        # a counter of batches is no weight, and is not loaded
        assert name.endswith("num_batches_tracked") or value.equal(encoder.backbone.state_dict()[name]), name
    settings = IDENTITY | {"epochs": 1}
    pictures = faces(80, people=8)
    history = pretrain_identity(
        started, pictures, settings, precision="fp32", seed=0, work=tmp_path / "id", title="identity"
    )
    assert math.isfinite(history[0]["loss"])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("method", sorted(SSL_KEYS))
def test_half_precision_is_finite(method: str, precision: str, tmp_path: Path) -> None:
    encoder = new_encoder(model_of(method), 1, 0)
    settings = SSL | {"method": method, "epochs": 1}
    common: dict[str, Any] = {"seed": 0, "work": tmp_path, "title": method, "labelled": known()}
    history = pretrain_self_supervised(encoder, faces(64), settings, precision=precision, **common)
    assert all(math.isfinite(value) for value in history[0].values())
    assert weights(encoder).isfinite().all()


def test_mae_of_a_convolution_is_refused(tmp_path: Path) -> None:
    encoder = new_encoder(MODEL, 1, 0)
    with pytest.raises(ConfigError, match="a timm VisionTransformer"):
        pretrain_self_supervised(
            encoder, faces(32), SSL | {"method": "mae"}, precision="fp32", seed=0, work=tmp_path, title="mae"
        )


def test_a_choice_of_faces_keeps_their_rows_together() -> None:
    data = faces(12, people=3)
    some = data.only(torch.tensor([7, 2]))
    assert some.ids == [data.ids[7], data.ids[2]] and len(some) == 2 and some.au_names == data.au_names
    assert some.pixels.shape == (2, SIZE, SIZE, 1) and some.pixels[1].equal(data.pixels[2])
    for name in ("labels", "subjects", "landmarks", "votes", "aus", "intensities"):
        torch.testing.assert_close(getattr(some, name), getattr(data, name)[[7, 2]], equal_nan=True)


def test_a_loss_that_is_no_longer_finite_ends_pretraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = SELF_SUPERVISED["simclr"]
    monkeypatch.setattr(method, "loss", lambda self, *_: next(self.parameters()).sum() * torch.nan)
    with pytest.raises(ConfigError, match="simclr: the loss is no longer finite in epoch 1; expected a smaller `lr`"):
        run("simclr", tmp_path, faces(32), epochs=1)
    assert Checkpoint(tmp_path).load() is None, "and is not kept"
