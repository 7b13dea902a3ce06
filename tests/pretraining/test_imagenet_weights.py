"""`init: imagenet` from a file or a hub id in the place of timm's own weights."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from fer_core.config import load_params
from fer_core.errors import ConfigError
from fer_core.labels import LabelSet
from fer_core.pretraining import hub
from fer_core.pretraining.weights import save_backbone
from fer_core.recipe import Recipe, merged, resolve
from fer_core.roadmap import _foreign_weights
from fer_core.training.loop import new_model, wants_timms_own
from stages.lib.training import _initial_weights

PARAMS = load_params(yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")))
LABELS = LabelSet(("a", "b", "c"), None)


def recipe(**changes: Any) -> Recipe:
    return resolve(merged(asdict(PARAMS.choices), changes), PARAMS.profiles["demo"], 0)


def test_timms_own_are_fetched_only_where_no_file_is_named() -> None:
    assert wants_timms_own(recipe(init="imagenet"))
    for changes in (
        {"init": "scratch"},
        {"init": "identity"},
        {"init": "imagenet", "weights": "w.pth"},
        {"init": "face", "weights": "w.pth"},
    ):
        assert not wants_timms_own(recipe(**changes)), changes


def test_a_run_from_a_file_asks_timm_for_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of `train`'s way to its model: with `weights` nothing is downloaded, without it timm is asked."""
    from fer_core.training import loop

    class Enough(Exception):
        pass

    def no_more(*_: Any) -> None:
        raise Enough

    class Faces:
        pixels, au_names = torch.zeros(2, 64, 64, 3), ()

        def __len__(self) -> int:
            return 2

        def to(self, _: Any) -> "Faces":
            return self

    asked: list[bool] = []
    real = timm.create_model

    def create(name: str, *, pretrained: bool, **more: Any) -> torch.nn.Module:
        asked.append(pretrained)
        return real(name, pretrained=False, **more)

    monkeypatch.setattr("timm.create_model", create)
    monkeypatch.setattr(loop, "Learner", no_more)
    save_backbone(real("test_convnext", num_classes=0), tmp_path / "w.safetensors")
    sets: Any = {"train": Faces(), "validation": Faces()}
    for changes, initial in (
        ({"weights": str(tmp_path / "w.safetensors")}, tmp_path / "w.safetensors"),
        ({}, None),
    ):
        chosen = recipe(init="imagenet", backbone="convnext", **changes)
        with pytest.raises(Enough):
            loop.train(chosen, sets, LABELS, initial, tmp_path, "train")
    assert asked == [False, True]


def test_the_train_stage_finds_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    local = str(tmp_path / "model.safetensors")
    assert _initial_weights(recipe(init="imagenet", weights=local).to_dict(), tmp_path / "none") == Path(local)
    assert _initial_weights(recipe(init="imagenet").to_dict(), tmp_path / "none") is None, "timm fetches them"
    monkeypatch.setattr(hub, "hf_hub_download", lambda repository, name, revision: str(tmp_path / name))
    vit = recipe(init="imagenet", weights="hf_hub:google/vit-base-patch16-224", backbone="vit").to_dict()
    assert _initial_weights(vit, tmp_path) == Path(local)
    with pytest.raises(ConfigError, match=r"`weights` in params\.yaml names no\.pth, which does not exist"):
        _initial_weights(recipe(init="imagenet", weights="no.pth").to_dict(), tmp_path)


def test_the_model_starts_from_them(tmp_path: Path) -> None:
    torch.manual_seed(7)
    entry = PARAMS.profiles["demo"].models["vit"]
    source = timm.create_model(entry.timm, num_classes=0, img_size=96, **entry.args)
    save_backbone(source, tmp_path / "w.safetensors")
    chosen = recipe(init="imagenet", weights=str(tmp_path / "w.safetensors"), backbone="vit")
    model = new_model(chosen, 3, LABELS, 0, tmp_path / "w.safetensors", pretrained=False)
    assert model.backbone.norm.weight.equal(source.norm.weight)
    assert model.backbone.blocks[0].attn.qkv.weight.equal(source.blocks[0].attn.qkv.weight)
    assert model.backbone.pos_embed.shape == (1, 17, 64), "6 x 6 places made 4 x 4"


def test_a_file_belongs_to_the_backbone_beside_it() -> None:
    base = asdict(PARAMS.choices) | {"init": "imagenet", "weights": "vit.pth", "backbone": "vit"}
    changes = [{"backbone": "resnet"}, {"attention": "cbam"}]
    told = "`weights: vit.pth` are for backbone vit, not resnet"
    assert _foreign_weights(recipe(**base | {"backbone": "resnet"}), base, changes) == told
    assert _foreign_weights(recipe(**base), base, changes) is None
    assert _foreign_weights(recipe(init="imagenet", backbone="swin"), asdict(PARAMS.choices), changes) is None, (
        "timm's own suit each network"
    )
