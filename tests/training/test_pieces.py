"""A step in pieces is the step of the whole batch; running out of memory halves the pieces and loses nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_sets import LABELS, faces, recipe, sets

from fer_core.errors import ConfigError
from fer_core.training import step as stepping
from fer_core.training.distributed import pieces
from fer_core.training.learner import Learner
from fer_core.training.loop import new_model, train, train_epoch

# no batch norm; and not AdamW, which makes steps of one size from gradients that are nothing but rounding
EXACT = {"timm": "test_vit", "model_args": {"patch_size": 8}, "batch_size": 16, "optimizer": "sgd", "lr": 0.05}


def learner(**changes: Any) -> Learner:
    made = recipe(**EXACT | changes)
    data = faces(40, annotated=0.4)
    data.intensities[:] = torch.where(data.aus.isnan(), torch.nan, 3.0)
    return Learner(made, new_model(made, 1, LABELS, 2, None, pretrained=False), data, LABELS)


def curve(epochs: int = 2, **changes: Any) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    made = learner(**changes)
    return [train_epoch(made, epoch) for epoch in range(epochs)], dict(made.model.state_dict())


@pytest.mark.parametrize(
    "changes",
    [
        {"au_weight": 0.5, "au_intensity": 0.5, "mix": "mixup", "mix_alpha": 0.3, "augment": "generic"},
        {"au_weight": "uncertainty"},
        {"attention": "au_guided", "attention_weight": 0.5},
        {"few_shot_below": 100, "few_shot_weight": 0.5},
        {"sam": 0.05, "clip_grad": 0.5, "ema": 0.9},
        {"meta": "maml"},
    ],
    ids=str,
)
@pytest.mark.parametrize("micro", [1, 5])
def test_pieces_add_up_to_the_whole_batch(changes: dict[str, Any], micro: int) -> None:
    whole, weights = curve(**changes)
    parted, others = curve(**changes, micro_batch=micro)
    for one, other in zip(whole, parted, strict=True):
        assert one == pytest.approx(other, rel=2e-4, abs=2e-5)
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, rtol=2e-3, atol=2e-4, msg=name)


def test_the_network_never_sees_more_than_a_micro_batch() -> None:
    made = learner(micro_batch=6)
    seen: list[int] = []
    made.model.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    train_epoch(made, 0)  # 40 faces: 16, 16 and 8
    assert seen == [5, 5, 6, 5, 5, 6, 4, 4]


def test_parts_cover_every_picture_once() -> None:
    for count in range(1, 40):
        for most in (1, 3, 7, 64):
            found, factor = pieces(count, most)
            assert [row for part in found for row in range(part.start, part.stop)] == list(range(count))
            assert factor == 1
            assert max(part.stop - part.start for part in found) <= most


class Short:
    """A network with memory for `most` pictures."""

    def __init__(self, network: nn.Module, most: int, error: RuntimeError) -> None:
        self.network, self.most, self.error, self.seen = network, most, error, []

    def __call__(self, images: Tensor) -> Any:
        self.seen.append(len(images))
        if len(images) > self.most:
            raise self.error
        return self.network(images)


CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried ...")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), CPU], ids=["gpu", "cpu"])
def test_out_of_memory_halves_and_says_so(error: RuntimeError, capsys: pytest.CaptureFixture[str]) -> None:
    expected, weights = curve(epochs=1, au_weight=0.5)
    made = learner(au_weight=0.5)
    network = made.network = Short(made.model, 5, error)  # type: ignore[assignment,arg-type]
    row = train_epoch(made, 0)
    assert network.seen[:6] == [16, 8, 4, 4, 4, 4]
    assert made.micro_batch.size == 4
    told = capsys.readouterr().err
    assert "from here on 8 pictures at once; a step still sees 16" in told
    assert "from here on 4 pictures at once" in told
    assert row == pytest.approx(expected[0], rel=2e-4)  # as if memory had been enough
    for name, value in made.model.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=2e-3, atol=2e-4, msg=name)


def test_out_of_memory_in_the_second_pass_of_sam() -> None:
    expected, weights = curve(epochs=1, sam=0.05)
    made = learner(sam=0.05)
    calls = 0

    def once(images: Tensor) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return made.model(images)

    made.network = once
    assert train_epoch(made, 0) == pytest.approx(expected[0], rel=2e-4)
    for name, value in made.model.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=2e-3, atol=2e-4, msg=name)


def test_memory_for_not_even_one_picture() -> None:
    made = learner()
    made.network = Short(made.model, 0, torch.OutOfMemoryError("CUDA out of memory."))  # type: ignore[assignment,arg-type]
    with pytest.raises(ConfigError, match=r"with 1 pictures at once, and they cannot be fewer"):
        train_epoch(made, 0)


def test_other_errors_are_not_taken_for_memory() -> None:
    made = learner()
    made.network = Short(made.model, 0, RuntimeError("Given groups=1"))  # type: ignore[assignment,arg-type]
    with pytest.raises(RuntimeError, match="Given groups"):
        train_epoch(made, 0)


@pytest.mark.parametrize(("key", "name"), [("meta", "meta_weight"), ("head", "prototype")])
def test_what_compares_pictures_needs_the_whole_batch(key: str, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"`{key}: {name}` .* `micro_batch` of auto or at least 16; got 1 and 4"):
        learner(**{key: name}, micro_batch=4)
    learner(**{key: name}, micro_batch=16)
    made = learner(**{key: name})
    made.network = Short(made.model, 5, torch.OutOfMemoryError("CUDA"))  # type: ignore[assignment,arg-type]
    with pytest.raises(ConfigError, match="16 pictures at once, and they cannot be fewer"):
        train_epoch(made, 0)


@pytest.mark.parametrize("network", ["test_resnet", "test_vit"])
def test_checkpointed_activations_change_nothing(network: str, tmp_path: Path) -> None:
    changes = {"timm": network, "epochs": 2} | ({"model_args": {"patch_size": 8}} if network == "test_vit" else {})
    plain = train(recipe(**changes), sets(), LABELS, None, tmp_path / "plain", "plain")
    again = train(recipe(**changes, grad_checkpointing=True), sets(), LABELS, None, tmp_path / "again", "again")
    assert again.model.backbone.state_dict().keys() == plain.model.backbone.state_dict().keys()
    for name, value in plain.model.state_dict().items():  # running statistics and counts of batches too
        torch.testing.assert_close(again.model.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_checkpointing_computes_blocks_again() -> None:
    counts = {}
    for on in (False, True):
        made = learner(grad_checkpointing=on)
        seen: list[int] = []
        made.model.backbone.blocks[0].register_forward_pre_hook(lambda *given, seen=seen: seen.append(1))
        train_epoch(made, 0)
        counts[on] = len(seen)
    assert counts == {False: 3, True: 6}


def test_a_network_that_cannot_checkpoint_is_refused() -> None:
    made = recipe(timm="iresnet18", grad_checkpointing=True)
    with pytest.raises(ConfigError, match="`grad_checkpointing` to be false for 'iresnet18'"):
        new_model(made, 1, LABELS, 2, None, pretrained=False)


def test_the_compiled_network_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []

    def eager(model: nn.Module) -> nn.Module:
        compiled.append(model)
        return torch._dynamo.optimize("eager")(model)  # the graph as compiled, run by PyTorch: no C++ compiler needed

    monkeypatch.setattr(torch, "compile", eager)
    plain, weights = curve(epochs=1, au_weight=0.5)
    again, others = curve(epochs=1, au_weight=0.5, compile=True)
    assert len(compiled) == 1
    assert again[0] == pytest.approx(plain[0], rel=1e-4)
    assert others.keys() == weights.keys()


def test_a_step_sees_the_same_batch_whatever_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = stepping.take_step

    def spy(made: Learner, number: int, sample: Any, *draws: torch.Generator) -> Any:
        sizes.append(len(sample.images))
        return real(made, number, sample, *draws)

    monkeypatch.setattr("fer_core.training.learner.take_step", spy)
    train_epoch(learner(micro_batch=3), 0)
    assert sizes == [16, 16, 8]
