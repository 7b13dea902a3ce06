"""Training with stochastic depth: the same to the last bit after an interruption, beside SAM and a virtual step."""

from pathlib import Path
from typing import Any

import pytest
import torch
import training_sets
from training_runs import run_train

from fer_core.models.backbone import drop_rates
from fer_core.recipe import Recipe
from fer_core.training import loop
from fer_core.training.loop import new_model, train_epoch

VIT = {"timm": "test_vit", "model_args": {"patch_size": 8}}


def recipe(**changes: Any) -> Recipe:
    return training_sets.recipe(**{"epochs": 3, "drop_path": 0.5, **VIT, **changes})


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupted_run_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    whole = run_train(tmp_path / "whole", recipe())
    calls = 0

    def dying(*given: Any) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls > after:
            raise Killed
        return train_epoch(*given)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", dying)
        with pytest.raises(Killed):
            run_train(tmp_path / "parts", recipe())
    torch.manual_seed(12345)  # whatever another process's generator stands at
    assert run_train(tmp_path / "parts", recipe()) == whole
    assert run_train(tmp_path / "without", recipe(drop_path=0.0)) != whole


@pytest.mark.parametrize(
    "more",
    [
        {"sam": 0.02, "ema": 0.9, "clip_grad": 1.0},
        {"meta": "meta_weight", "meta_scope": "all"},
        {"meta": "maml", "few_shot_below": 25},
        {"mix": "mixup", "mix_alpha": 0.2, "layer_decay": 0.75},
    ],
)
def test_it_trains_beside_techniques_of_several_passes(tmp_path: Path, more: dict[str, Any]) -> None:
    first = run_train(tmp_path / "a", recipe(epochs=2, **more))
    assert run_train(tmp_path / "b", recipe(epochs=2, **more)) == first


def test_the_recipes_rate_is_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    model = new_model(recipe(), 1, training_sets.LABELS, 0, None, pretrained=False)
    assert max(drop_rates(model.backbone)) == 0.5 and capsys.readouterr().err == ""
    still = new_model(recipe(drop_path=0.0), 1, training_sets.LABELS, 0, None, pretrained=False)
    assert drop_rates(still.backbone) == []
    for name, tensor in model.state_dict().items():
        assert tensor.equal(still.state_dict()[name]), "the first weights are the same"


def test_a_network_with_nothing_to_leave_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    lone = recipe(timm="test_efficientnet", model_args={})
    new_model(lone, 1, training_sets.LABELS, 0, None, pretrained=False)
    assert capsys.readouterr().err.startswith("drop_path does nothing here: test_efficientnet has no residual branch")
