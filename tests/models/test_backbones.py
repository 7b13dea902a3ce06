"""ResNet, ViT, EfficientNet, ConvNeXt and Swin of every profile: they build, learn and are normalised as timm's."""

import dataclasses
from pathlib import Path

import pytest
import timm
import torch
import yaml

from fer_core.config import load_params
from fer_core.errors import ConfigError
from fer_core.models import ATTENTIONS, build_encoder, build_model
from fer_core.models.backbone import create_backbone, input_statistics, takes_one_size
from fer_core.training.optim import build_optimizer

PARAMS = load_params(yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")))
FAMILIES = ("resnet", "vit", "efficientnet", "convnext", "swin")
SMALL_SWIN = {"embed_dim": 24, "depths": [2, 2, 2], "num_heads": [1, 2, 4], "window_size": 4}
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)


def build(family, profile="demo", attention="none", in_chans=3, **more):
    torch.manual_seed(0)
    entry = PARAMS.profiles[profile].models[family]
    return build_model(
        timm_name=entry.timm,
        model_args=dict(entry.args),
        in_chans=in_chans,
        size=PARAMS.profiles[profile].size,
        classes=5,
        aus=2,
        attention=attention,
        **more,
    )


@pytest.mark.parametrize("profile", sorted(PARAMS.profiles))
def test_every_profile_has_every_family(profile):
    assert set(FAMILIES) <= PARAMS.profiles[profile].models.keys()


def test_the_gpu_profile_has_the_networks_of_the_roadmap():
    models = PARAMS.profiles["gpu"].models
    assert {name: models[name].timm for name in FAMILIES} == {
        "resnet": "resnet50",
        "vit": "vit_base_patch16_224",
        "efficientnet": "efficientnet_b0",
        "convnext": "convnext_tiny",
        "swin": "swin_tiny_patch4_window7_224",
    }
    assert PARAMS.profiles["gpu"].size == 224


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_forward_and_backward_at_the_demos_size(family, attention):
    model = build(family, attention=attention)
    parameters = sum(item.numel() for item in model.parameters())
    assert 0.09e6 < parameters < 0.6e6
    output = model(torch.rand(2, 3, 64, 64))
    assert output.logits.shape == (2, 5) and output.logits.isfinite().all()
    assert (output.attention is not None) == (attention == "au_guided")
    loss = output.logits.square().sum() + output.au_logits.square().sum()
    (loss if output.attention is None else loss + output.attention.square().sum()).backward()
    for name, item in model.named_parameters():
        assert item.grad is not None and item.grad.isfinite().all(), name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("in_chans", [1, 3])
def test_the_smoke_profiles_networks_take_its_size(family, in_chans):
    model = build(family, "smoke", in_chans=in_chans).eval()
    with torch.no_grad():
        assert model(torch.rand(2, in_chans, 32, 32)).logits.isfinite().all()


@pytest.mark.parametrize("family", ["convnext", "swin"])
@pytest.mark.parametrize("attention", ["se", "cbam", "spatial", "au_guided"])
def test_attention_sees_channels_as_channels_and_places_as_places(family, attention):
    """The module gets timm's map with its channels second, and what it gives is pooled where timm would."""
    model = build(family, attention=attention).eval()
    backbone, seen = model.backbone, []
    model.attention.module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    if attention == "au_guided":  # whose `attend` is called instead of the module
        model.attention.module.conv.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    pictures = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        features = model.features(pictures)
        plain = backbone.forward_features((pictures - model.encoder.mean) / model.encoder.std)
        plain = plain.permute(0, 3, 1, 2) if family == "swin" else plain
        torch.testing.assert_close(seen[0], plain)
        assert seen[0].shape[1] == backbone.num_features and seen[0].shape[2:] == model.attention.grid
        attended = model.attention.module(plain)
        if family == "swin":
            expected = attended.mean(dim=(2, 3))
        else:
            expected = backbone.head.norm(attended.mean(dim=(2, 3), keepdim=True)).flatten(1)
        torch.testing.assert_close(features, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_layer_decay_goes_from_stem_to_head_in_every_family(family):
    model = build(family, attention="cbam")
    optimizer = build_optimizer("adamw", model, 1.0, 0.05, layer_decay=0.5)
    rates = {id(item): group["lr"] for group in optimizer.param_groups for item in group["params"]}
    assert rates.keys() == {id(item) for item in model.parameters()}
    stem = next(item for name, item in model.backbone.named_parameters() if item.ndim == 4)
    assert rates[id(stem)] == min(rates.values()) < 0.5
    outside = [*model.head.parameters(), *model.au_head.parameters(), *model.attention.parameters()]
    assert {rates[id(item)] for item in outside} == {1.0}
    assert max(rates[id(item)] for item in model.backbone.parameters()) == 0.5


@pytest.mark.parametrize("family", ["convnext", "swin", "vit"])
def test_deeper_blocks_never_learn_more_slowly(family):
    model = build(family)
    optimizer = build_optimizer("adamw", model, 1.0, 0.05, layer_decay=0.5)
    rates = {id(item): group["lr"] for group in optimizer.param_groups for item in group["params"]}
    blocks = {"vit": "blocks.", "convnext": "stages.", "swin": "layers."}[family]
    found = [rates[id(item)] for name, item in model.backbone.named_parameters() if name.startswith(blocks)]
    assert found == sorted(found) and len(set(found)) >= 6


# --- normalisation and size ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_mean_and_deviation_are_timms(family):
    name = PARAMS.profiles["gpu"].models[family].timm
    config = timm.get_pretrained_cfg(name)
    expected = HALF if family == "vit" else IMAGENET
    assert (list(config.mean), list(config.std)) == expected
    with torch.device("meta"):
        backbone = timm.create_model(name, pretrained=False, num_classes=0)
    mean, std = input_statistics(backbone, 3)
    assert mean.tolist() == pytest.approx(expected[0]) and std.tolist() == pytest.approx(expected[1])


def test_they_are_applied_inside_the_model():
    encoder = build_encoder(timm_name="vit_tiny_patch16_224", model_args={"depth": 1}, in_chans=3, size=32).eval()
    pictures = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(encoder(pictures), encoder.backbone(pictures * 2 - 1))


@pytest.mark.parametrize(
    ("name", "args"),
    [("vit_tiny_patch16_224", {"depth": 1, "patch_size": 8}), ("swin_tiny_patch4_window7_224", SMALL_SWIN)],
)
def test_pictures_of_another_size_are_refused_by_a_network_of_one(name, args):
    encoder = build_encoder(timm_name=name, model_args=args, in_chans=3, size=64)
    assert takes_one_size(encoder.backbone)
    encoder(torch.rand(1, 3, 64, 64))
    for height, width in ((48, 48), (64, 48), (128, 128)):
        with pytest.raises(ConfigError, match=rf"64 x 64 px, the `profiles.<profile>.size`.*got {height} x {width}"):
            encoder(torch.rand(1, 3, height, width))


def test_others_take_any_size():
    for name in ("test_resnet", "test_convnext", "test_efficientnet", "test_vit"):  # timm's test_vit resizes positions
        encoder = build_encoder(timm_name=name, model_args={}, in_chans=3, size=64)
        assert not takes_one_size(encoder.backbone)
        assert encoder(torch.rand(2, 3, 96, 96)).shape == (2, encoder.num_features)


@pytest.mark.parametrize(
    ("name", "args", "patch"),
    [
        ("vit_tiny_patch16_224", {"depth": 1}, 16),
        ("test_vit", {"patch_size": 8}, 8),
        ("swin_tiny_patch4_window7_224", SMALL_SWIN, 4),
    ],
)
def test_a_size_that_cuts_patches_is_refused(name, args, patch):
    told = rf"`profiles.<profile>.size` to be a multiple of {patch}, the patch size of '{name}'.*got 50"
    with pytest.raises(ConfigError, match=told):
        build_encoder(timm_name=name, model_args=args, in_chans=3, size=50)


def test_timm_would_leave_the_last_rows_out_silently():
    network = timm.create_model("vit_tiny_patch16_224", depth=1, img_size=50, num_classes=0).eval()
    pictures = torch.rand(1, 3, 50, 50)
    cut = pictures.clone()
    cut[:, :, 48:] = 0
    with torch.no_grad():
        assert network(pictures).equal(network(cut))


def test_padded_patches_and_published_sizes_that_cut_are_left_to_timm():
    padded = {"depth": 1, "dynamic_img_pad": True}
    create_backbone("vit_tiny_patch16_224", padded, 3, 50)
    with torch.device("meta"):  # published at 378 px with patches of 14, and at 384 px, which 14 does not divide
        create_backbone("vit_so400m_patch14_siglip_384", {"depth": 1}, 3, 384)
        with pytest.raises(ConfigError, match="multiple of 14"):
            create_backbone("vit_so400m_patch14_siglip_384", {"depth": 1}, 3, 230)


def test_a_picture_too_small_for_a_convolution_names_the_size():
    with pytest.raises(ConfigError, match=r"3 x 16 x 16 \(`profiles.<profile>.size`\)"):
        build_encoder(timm_name="test_convnext", model_args={}, in_chans=3, size=16)


# --- the gpu profile -------------------------------------------------------------------------------------------

WIDTHS = {"resnet": 2048, "vit": 768, "efficientnet": 1280, "convnext": 768, "swin": 768}
COUNTS = {"resnet": 23.5, "vit": 85.8, "efficientnet": 4.0, "convnext": 27.8, "swin": 27.5}  # millions


@pytest.mark.parametrize("family", FAMILIES)
def test_the_gpu_profiles_networks_build_at_224_px(family):
    """On torch's meta device, which computes shapes alone."""
    profile = PARAMS.profiles["gpu"]
    entry = profile.models[family]
    with torch.device("meta"):
        backbone = create_backbone(entry.timm, dict(entry.args), 3, profile.size, drop_path=0.1).eval()
        features = backbone.forward_head(backbone.forward_features(torch.zeros(2, 3, 224, 224)), pre_logits=True)
    assert features.shape == (2, WIDTHS[family])
    assert sum(item.numel() for item in backbone.parameters()) / 1e6 == pytest.approx(COUNTS[family], abs=0.06)


@pytest.mark.parametrize("attention", ["none", "cbam"])
def test_the_gpu_profiles_transformer_in_small_is_a_whole_model(attention):
    entry = dataclasses.replace(
        PARAMS.profiles["gpu"].models["vit"], args={"embed_dim": 48, "depth": 2, "num_heads": 3}
    )
    model = build_model(
        timm_name=entry.timm,
        model_args=dict(entry.args),
        in_chans=3,
        size=224,
        classes=14,
        aus=8,
        attention=attention,
    )
    assert model.backbone.patch_embed.grid_size == (14, 14) and model.num_features == 48
    output = model(torch.rand(2, 3, 224, 224))
    assert output.logits.shape == (2, 14) and output.au_logits.shape == (2, 8)
    output.logits.sum().backward()
