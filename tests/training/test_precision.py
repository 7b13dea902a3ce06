"""fp16 scales its loss, leaves out steps that overflow and remembers its scale; auto knows the device."""

from pathlib import Path

import pytest
import torch
from torch import nn
from training_sets import LABELS, faces, recipe, sets

from fer_core.errors import ConfigError
from fer_core.training.device import Precision, autocast, pick_device, precision_of
from fer_core.training.learner import Learner
from fer_core.training.loop import new_model, train, train_epoch

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("computes_in_it", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_on_gpus_is_what_they_compute_in(
    computes_in_it: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or computes_in_it  # a T4 emulates bf16, slowly

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert precision_of(nn.Conv2d(8, 8, 3, groups=8), GPU, "auto") == expected


@pytest.mark.parametrize("unit", ["amx", "avx512_bf16", "none"])
@pytest.mark.parametrize("groups", [1, 8])
def test_auto_on_cpus(unit: str, groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: unit == "amx")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: unit == "avx512_bf16")
    assert precision_of(nn.Conv2d(8, 8, 3, groups=groups), CPU, "auto") == (
        torch.bfloat16 if unit != "none" and groups == 1 else torch.float32
    )


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`precision` to be one of .*fp16.*; got 'fp8'"):
        autocast(nn.Linear(1, 1), CPU, "fp8")


@pytest.mark.parametrize(
    "changes", [{}, {"clip_grad": 0.5}, {"sam": 0.05}, {"meta": "maml", "clip_grad": 0.5}], ids=str
)
def test_fp16_learns(changes: dict, tmp_path: Path) -> None:
    trained = train(recipe(epochs=12, precision="fp16", **changes), sets(64), LABELS, None, tmp_path, "fp16")
    assert max(row["validation_macro_f1"] for row in trained.history) > 0.9


def test_clipping_sees_the_true_norm() -> None:
    """With a scale of 65536 an unscaled clip to 0.5 would leave next to nothing of the gradient."""
    steps = {}
    for name in ("fp32", "fp16"):
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        precision = Precision(model, CPU, name)
        before = model.weight.detach().clone()
        with precision.autocast():
            loss = model(torch.ones(2, 4)).float().square().sum() * 0.01
        precision.backward(loss)
        precision.step(optimizer, list(model.parameters()), clip=0.005)
        steps[name] = model.weight.detach() - before
    assert 0.003 < steps["fp32"].norm() < 0.005  # the bias has the rest of it
    torch.testing.assert_close(steps["fp16"], steps["fp32"], rtol=0.02, atol=1e-5)


def test_an_overflow_leaves_the_weights_and_lowers_the_scale() -> None:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, fused=True)
    precision = Precision(model, CPU, "fp16")
    before, scale = model.weight.detach().clone(), precision.scaler.get_scale()
    precision.backward(model(torch.full((2, 4), 1e30)).square().sum())
    precision.step(optimizer, list(model.parameters()))
    assert torch.equal(model.weight, before)
    assert precision.scaler.get_scale() == scale / 2
    optimizer.zero_grad()
    precision.backward(model(torch.ones(2, 4)).sum())  # and the next step is taken
    precision.step(optimizer, list(model.parameters()), clip=1.0)
    assert not torch.equal(model.weight, before)


def test_the_scale_is_part_of_the_state() -> None:
    made = recipe(precision="fp16")
    first, second = (
        Learner(made, new_model(made, 1, LABELS, 2, None, pretrained=False), faces(32), LABELS) for _ in range(2)
    )
    train_epoch(first, 0)
    first.precision.scaler.update(32.0)
    train_epoch(first, 1)
    second.load_state_dict(first.state_dict())
    assert second.precision.scaler.get_scale() == 32.0
    assert second.state_dict()["precision"]["_growth_tracker"] == first.state_dict()["precision"]["_growth_tracker"] > 0
    # fp32 and bf16 have nothing to remember
    assert Precision(nn.Linear(1, 1), CPU, "bf16").state_dict() == {}


def test_every_process_of_a_machine_has_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device() == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert pick_device() == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match="at most one process a GPU on this machine, 2; got process 2"):
        pick_device()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert pick_device() == CPU


def test_the_meta_gradient_is_not_scaled_away() -> None:
    """It has its true size, the batch's gradient is scaled: added up as they are, it would be one of 65536 parts."""
    moved = {}
    for name in ("fp32", "fp16"):
        made = recipe(precision=name, optimizer="sgd", lr=0.01, meta="maml", maml_weight=5.0, warmup_epochs=0)
        learner = Learner(made, new_model(made, 1, LABELS, 2, None, pretrained=False), faces(32), LABELS)
        if learner.precision.scaler.is_enabled():
            learner.precision.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)  # no overflow in the first step
        before = [item.detach().clone() for item in learner.model.parameters()]
        draw, episodes = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
        learner.model.train()
        learner.step(0, learner.sample(torch.arange(16), draw), draw, episodes)
        moved[name] = torch.cat(
            [(new.detach() - old).flatten() for old, new in zip(before, learner.model.parameters(), strict=True)]
        )
    assert moved["fp32"].norm() > 0
    assert (moved["fp16"] - moved["fp32"]).norm() < 0.4 * moved["fp32"].norm()  # rounding is 0.16 of it
