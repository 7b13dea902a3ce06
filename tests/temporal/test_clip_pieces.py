"""A step on clips in pieces is the step of the whole batch; running out of memory halves the pieces."""

from typing import Any

import clip_sets
import pytest
import torch
from torch import Tensor, nn

from fer_core.errors import ConfigError
from fer_core.temporal.build import new_clip_model
from fer_core.temporal.learner import ClipLearner
from fer_core.temporal.train import train_epoch

# no batch norm; and not AdamW, which makes steps of one size from gradients that are nothing but rounding
EXACT = {
    "timm": "test_vit",
    "model_args": {"patch_size": 8},
    "temporal": "transformer",
    "temporal_dropout": 0.0,
    "optimizer": "sgd",
    "lr": 0.05,
    "batch_size": 8 * clip_sets.FRAMES,
}


def learner(**changes: Any) -> ClipLearner:
    recipe = clip_sets.recipe(**EXACT | changes)
    return ClipLearner(recipe, new_clip_model(recipe, 1, 2), clip_sets.clips(20), 2)


def curve(**changes: Any) -> tuple[dict[str, float], dict[str, Tensor]]:
    made = learner(**changes)
    return train_epoch(made, 0), dict(made.model.state_dict())


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=2e-3, atol=2e-4, msg=name)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "cb", "label_smoothing": 0.1, "augment": "generic"},
        {"sam": 0.05, "clip_grad": 0.5, "ema": 0.9},
        {"temporal": "lstm"},
    ],
    ids=str,
)
@pytest.mark.parametrize("clips", [1, 3])
def test_pieces_add_up_to_the_whole_batch(changes: dict[str, Any], clips: int) -> None:
    row, weights = curve(**changes)
    parted, others = curve(**changes, micro_batch=clips * clip_sets.FRAMES)
    assert parted == pytest.approx(row, rel=2e-4)
    assert_close(others, weights)


@pytest.mark.parametrize(
    ("micro", "expected"),
    [("auto", [8, 8, 4]), (3 * clip_sets.FRAMES + 1, [2, 3, 3, 2, 3, 3, 2, 2]), (1, [1] * 20)],
)
def test_the_network_never_sees_more_frames_than_a_micro_batch(micro: int | str, expected: list[int]) -> None:
    made = learner(micro_batch=micro)
    seen: list[int] = []
    made.model.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    train_epoch(made, 0)
    assert seen == expected


class Short:
    """A network with memory for `most` clips."""

    def __init__(self, network: nn.Module, most: int) -> None:
        self.network, self.most, self.seen = network, most, []

    def __call__(self, images: Tensor, mask: Tensor) -> Tensor:
        self.seen.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        found: Tensor = self.network(images, mask)
        return found


def test_out_of_memory_halves_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    expected, weights = curve(sam=0.05)
    made = learner(sam=0.05)
    network = made.network = Short(made.model, 3)  # type: ignore[assignment]
    row = train_epoch(made, 0)
    assert network.seen[:8] == [8, 4, 2, 2, 2, 2, 2, 2]
    assert "from here on 2 clips at once; a step still sees 8" in capsys.readouterr().err
    assert row == pytest.approx(expected, rel=2e-4)
    assert_close(dict(made.model.state_dict()), weights)


def test_memory_for_not_even_one_clip() -> None:
    made = learner()
    made.network = Short(made.model, 0)  # type: ignore[assignment]
    with pytest.raises(ConfigError, match=r"with 1 clips at once, and they cannot be fewer: set `batch_size` lower"):
        train_epoch(made, 0)


@pytest.mark.parametrize(
    "changes",
    [{}, {"timm": "test_resnet", "model_args": {}, "temporal": "mean"}, {"temporal": "conv3d", "lr": 0.01}],
    ids=["vit", "resnet", "conv3d"],
)
def test_checkpointed_activations_change_nothing(changes: dict[str, Any]) -> None:
    row, weights = curve(**changes)
    again, others = curve(**changes, grad_checkpointing=True)
    assert again == pytest.approx(row, rel=1e-4)
    assert_close(others, weights)  # running statistics and counts of batches too


def test_checkpointing_computes_blocks_of_a_3d_network_again() -> None:
    counts = {}
    for on in (False, True):
        made = learner(temporal="conv3d", grad_checkpointing=on)
        seen: list[int] = []
        made.model.layer1[0].register_forward_pre_hook(lambda *given, seen=seen: seen.append(1))  # type: ignore[index,union-attr]
        train_epoch(made, 0)
        counts[on] = len(seen)
    assert counts == {False: 3, True: 6}


def test_an_encoder_that_cannot_checkpoint_is_refused() -> None:
    with pytest.raises(ConfigError, match="`grad_checkpointing` to be false for 'iresnet18'"):
        learner(timm="iresnet18", model_args={}, temporal="mean", grad_checkpointing=True)


def test_the_compiled_network_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []

    def eager(model: nn.Module) -> nn.Module:
        compiled.append(model)
        return torch._dynamo.optimize("eager")(model)  # the graph as compiled, run by PyTorch: no C++ compiler needed

    monkeypatch.setattr(torch, "compile", eager)
    row, weights = curve(temporal="lstm")
    again, others = curve(temporal="lstm", compile=True)
    assert len(compiled) == 1
    assert again == pytest.approx(row, rel=1e-4)
    assert_close(others, weights)
