"""The profile `gpu48`: real faces of 48 px on one GPU. Here, on a CPU: everything resolves, builds and takes a step."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.nn import functional
from typer.testing import CliRunner

from fer_core import labels
from fer_core.config import load_params
from fer_core.files import read_yaml, write_json
from fer_core.models import FerModel, build_model
from fer_core.models.backbone import final_map
from fer_core.recipe import Recipe, merged
from fer_core.roadmap import make_road, plans_from
from fer_core.training.optim import build_optimizer

ROOT = Path(__file__).parents[1]
RAW: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
NOTHING: dict[str, Any] = dict.fromkeys(("aus", "intensities", "identities", "clips", "votes"), False)
# pictures of FER2013's classes in its Training part, and of FERPlus' there whose majority is a class
FER2013 = {
    **NOTHING,
    "vote_names": None,
    "classes": list(labels.FER2013.classes),
    "counts": {"train": dict(zip(labels.FER2013.classes, (3995, 436, 4097, 7215, 4830, 3171, 4965), strict=True))},
    "notes": [],
}
FERPLUS = {
    **NOTHING,
    "votes": True,
    "vote_names": list(labels.FERPLUS.classes),
    "classes": list(labels.FERPLUS.classes),
    "counts": {"train": dict.fromkeys(labels.FERPLUS.classes, 1000)},
    "notes": [],
}
# name in the profile -> the feature map of a picture as (C, h, w), (tokens, C) or, of swin, (h, w, C)
MAPS: dict[str, tuple[int, ...]] = {
    "vgg": (512, 1, 1),  # 48 halved five times, rounded down
    "resnet": (512, 3, 3),  # halved four times
    "vit": (65, 192),  # 8 x 8 patches of 6 px, and the class token
    "efficientnet": (1280, 3, 3),
    "convnext": (320, 3, 3),
    "swin": (6, 6, 192),  # patches of 2 px, merged twice
}


def params(**changes: Any) -> dict[str, Any]:
    return merged(copy.deepcopy(RAW), {"profile": "gpu48", **changes})


def plans(card: dict[str, Any], **changes: Any) -> dict[str, dict[str, Any]]:
    """Every run of the road on a ladder that keeps nothing."""
    road = make_road(load_params(params(**changes)), card)
    sources = dict.fromkeys(road["runs"].values())
    return {run: plan for source in sources for run, plan in plans_from(source, road, road["baseline"]).items()}


def model_of(recipe: Recipe) -> FerModel:
    torch.manual_seed(0)
    return build_model(
        timm_name=recipe.timm,
        model_args=dict(recipe.model_args),
        in_chans=1,
        size=recipe.size,
        classes=7,
        aus=0,
        attention=recipe.attention,
        head=recipe.head,
        head_scale=recipe.head_scale,
    )


def recipe_of(backbone: str, **changes: Any) -> Recipe:
    return Recipe.from_dict(plans(FER2013, backbone=backbone, **changes)["baseline"]["recipe"])


def test_the_profile_has_every_model_of_the_road_and_vgg() -> None:
    profiles = load_params(params()).profiles
    assert set(profiles["gpu48"].models) == set(MAPS) == {*profiles["gpu"].models, "vgg"}
    assert profiles["gpu48"].techniques is None and profiles["gpu48"].members is None, "the whole road"


def test_sizes_come_from_the_model_before_the_profile() -> None:
    vgg, resnet, vit = (recipe_of(name) for name in ("vgg", "resnet", "vit"))
    assert (vgg.timm, vgg.size, vgg.epochs, vgg.batch_size, vgg.lr) == ("vgg13_bn", 48, 100, 128, 0.0002)
    assert (resnet.timm, resnet.epochs, resnet.lr) == ("iresnet18", 100, 0.001)
    assert (vit.timm, vit.epochs, vit.lr) == ("vit_tiny_patch16_224", 200, 0.0005)


@pytest.mark.parametrize("backbone", ["vgg", "resnet"])
def test_every_run_that_fer2013_allows_is_planned(backbone: str) -> None:
    made = plans(FER2013, backbone=backbone)
    alone = {run.removeprefix("alone-"): plan["reason"] for run, plan in made.items() if run.startswith("alone-")}
    lacking = {
        "au_multitask": "no AU labels",
        "au_guided": "no AU labels",
        "face_pretraining": "no identities",
        "synthesis": "no class with 1 to 99 train pictures to make faces for",
        "few_shot": "no class with 2 to 49 train pictures",
        "votes": "no votes",
        "compound": "its classes are not pairs of basic emotions",
    }
    unknown = "no pretrained weights for backbone vgg" if backbone == "vgg" else None
    if unknown:  # the last rung, and the ensemble on it, begin with weights of the baseline's network
        lacking |= dict.fromkeys(("face_pretraining", "self_supervised"), unknown)
    assert {name: reason for name, reason in alone.items() if reason} == lacking
    assert {made[run]["reason"] for run in ("final-current", "final-vit", "final-efficientnet")} == {unknown}
    assert made["base-resnet"]["reason"] == "no AU labels", "the ensemble's member with AUs"
    done = [Recipe.from_dict(plan["recipe"]) for plan in made.values() if plan["applicable"]]
    assert {recipe.size for recipe in done} == {48} and len(done) > 15


def test_ferplus_has_votes_to_learn_from() -> None:
    made = plans(FERPLUS, backbone="vgg")
    assert made["baseline"]["recipe"]["timm"] == "vgg13_bn"
    assert made["alone-votes"]["recipe"]["target"] == "votes"


def test_vgg_is_pretrained_where_it_is_asked_for() -> None:
    made = plans(FER2013, backbone="vgg", backbones=["vgg", *RAW["backbones"]])
    recipe = made["final-current"]["recipe"]
    assert (recipe["timm"], recipe["ssl"]["method"], recipe["ssl"]["epochs"]) == ("vgg13_bn", "simclr", 50)


@pytest.mark.parametrize("backbone", MAPS)
def test_a_model_takes_a_step_on_grey_faces_of_48_px(backbone: str) -> None:
    recipe = recipe_of(backbone)
    model = model_of(recipe).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert tuple(final_map(model.backbone, 1, recipe.size)[0].shape[1:]) == MAPS[backbone]
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = build_optimizer(recipe.optimizer, model, recipe.lr, recipe.weight_decay)
    images, classes = torch.rand(8, 1, 48, 48), torch.arange(8) % 7
    model.train()
    loss = functional.cross_entropy(model(images).logits, classes)
    loss.backward()
    optimizer.step()
    assert bool(loss.isfinite())
    still = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    assert not still, "the step moves every weight"


@pytest.mark.parametrize("backbone", MAPS)
def test_attention_goes_onto_every_model(backbone: str) -> None:
    model = model_of(recipe_of(backbone, attention="cbam")).eval()
    with torch.no_grad():
        assert bool(model(torch.rand(2, 1, 48, 48)).logits.isfinite().all())


def test_vgg_leaves_a_fifth_of_its_features_out_while_it_learns() -> None:
    model = model_of(recipe_of("vgg")).eval()
    images = torch.rand(16, 1, 48, 48)
    with torch.no_grad():
        asked = float((model.features(images) == 0).float().mean())
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.train()
        learning = float((model.features(images) == 0).float().mean())
    assert learning == pytest.approx(asked + 0.2 * (1 - asked), abs=0.03), "ReLU's zeros, and a fifth of the others"


def test_the_plan_stage_lays_the_road_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.plan import app

    monkeypatch.chdir(tmp_path)
    changed = params(data="fer2013", backbone="vgg", backbones=["vgg", *RAW["backbones"]])
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    write_json(tmp_path / "data/ingest/card.json", FER2013)
    result = CliRunner().invoke(app, [], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert read_yaml(tmp_path / "plans/baseline.yaml")["recipe"]["timm"] == "vgg13_bn"
    assert read_yaml(tmp_path / "plans/pretrain/vgg.yaml")["kinds"] == ["ssl"]
    assert read_yaml(tmp_path / "plans/road.yaml")["profile"] == "gpu48"
