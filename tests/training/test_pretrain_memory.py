"""Pretraining where memory runs out: smaller pieces of the same batch, or a refusal that names the key."""

from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import IDENTITY, SSL, VIT
from training_sets import faces

from fer_core.errors import ConfigError
from fer_core.models import Encoder
from fer_core.training.device import Precision
from fer_core.training.pretrain import new_encoder, pretrain_identity, pretrain_self_supervised


def pretrained(kind: str, work: Path, most: int | None = None) -> tuple[list[dict[str, Any]], list[int]]:
    """Pretrain a transformer whose memory has room for `most` pictures; return the history and what it was shown."""
    encoder = new_encoder(VIT, 1, 0)
    seen: list[int] = []

    def limit(module: Any, given: tuple[torch.Tensor, ...]) -> None:
        if torch.is_grad_enabled():  # in training
            seen.append(len(given[0]))
            if most is not None and len(given[0]) > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")

    encoder.backbone.patch_embed.register_forward_pre_hook(limit)
    common: dict[str, Any] = {"precision": "fp32", "seed": 0, "work": work, "title": kind}
    return run(kind, encoder, common), seen


def run(kind: str, encoder: Encoder, common: dict[str, Any]) -> list[dict[str, Any]]:
    if kind == "identity":
        return pretrain_identity(encoder, faces(160, people=12), IDENTITY | {"epochs": 2}, **common)
    return pretrain_self_supervised(encoder, faces(64), SSL | {"method": kind, "epochs": 2}, **common)


@pytest.mark.parametrize("kind", ["mae", "identity"])
def test_out_of_memory_halves_and_changes_nothing(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, seen = pretrained(kind, tmp_path / "whole")
    assert set(seen) == {32}
    parted, seen = pretrained(kind, tmp_path / "parted", most=10)
    assert seen[:6] == [32, 16, 8, 8, 8, 8] and set(seen[6:]) == {8}
    assert "from here on 8 pictures at once; a step still sees 32" in capsys.readouterr().err
    for one, other in zip(whole, parted, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-3)
        if kind == "identity":
            assert other["train_accuracy"] == pytest.approx(one["train_accuracy"], abs=0.02)


@pytest.mark.parametrize("kind", ["mae", "identity"])
def test_gradients_of_pieces_add_up_to_the_batchs(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []  # AdamW's steps hardly tell how long a gradient is
    plain = Precision.step

    def step(self: Precision, optimizer: torch.optim.Optimizer, *given: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))
        plain(self, optimizer, *given)

    monkeypatch.setattr(Precision, "step", step)
    pretrained(kind, tmp_path / "whole")
    whole = norms[0]
    norms.clear()
    pretrained(kind, tmp_path / "parted", most=10)
    assert norms[0] == pytest.approx(whole, rel=1e-3)


def test_byol_goes_on_in_pieces(tmp_path: Path) -> None:
    history, seen = pretrained("byol", tmp_path, most=16)  # its projector has batch norms: of a piece
    assert len(history) == 2 and seen[0] == 32 and set(seen[1:]) == {16}


@pytest.mark.parametrize("kind", ["simclr", "moco"])
def test_methods_that_compare_pictures_say_what_to_lower(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"with 32 pictures at once, and they .* set `ssl\.batch_size` lower"):
        pretrained(kind, tmp_path, most=16)


def test_two_pictures_are_the_fewest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"with 2 pictures at once, and they .* set `identity\.batch_size` lower"):
        pretrained("identity", tmp_path, most=1)
