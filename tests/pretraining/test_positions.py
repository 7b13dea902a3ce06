"""Weights of one picture size in a network of another: as timm's own loading gives them, or refused."""

import math

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from fer_core.errors import ConfigError
from fer_core.models import build_encoder
from fer_core.pretraining.weights import load_backbone, save_backbone

VIT = {"embed_dim": 48, "depth": 2, "num_heads": 3}
NO_CLASS = {"class_token": False, "global_pool": "avg"}
SWIN = {"embed_dim": 24, "depths": (2, 2, 2), "num_heads": (1, 2, 4)}
CONVNEXT = {"depths": (1, 1, 2, 1), "dims": (16, 24, 32, 48)}


def randomised(name, size, seed=1, **args):
    """A timm network as published at `size` px, with 10 classes and no number at its initial value."""
    torch.manual_seed(seed)
    fixed = {"img_size": size} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    network = timm.create_model(name, num_classes=10, **fixed, **args)
    with torch.no_grad():
        for item in network.parameters():
            item.add_(0.05 * torch.randn(item.shape))
    return network.eval()


def loaded(path, name, size, **args):
    torch.manual_seed(2)
    encoder = build_encoder(timm_name=name, model_args=args, in_chans=3, size=size).eval()
    return encoder, load_backbone(encoder, path)


def alike(ours, timms, size):
    left, right = ours.backbone.state_dict(), timms.state_dict()
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert tensor.equal(right[name]), name
    pictures = torch.rand(2, 3, size, size)
    with torch.no_grad():
        expected = timms((pictures - ours.mean) / ours.std)
        torch.testing.assert_close(ours(pictures), expected, rtol=0, atol=0)


CASES = [
    ("vit_tiny_patch16_224", VIT, 224, {}, 64, {}),
    ("vit_tiny_patch16_224", VIT, 224, {}, 64, {"patch_size": 8}),
    ("vit_tiny_patch16_224", VIT, 64, {}, 96, {}),
    ("vit_tiny_patch16_224", VIT, 224, NO_CLASS, 64, {"patch_size": 8} | NO_CLASS),
    ("vit_tiny_patch16_224", VIT, 224, {"reg_tokens": 4}, 64, {"reg_tokens": 4}),
    ("vit_tiny_patch16_224", VIT, 224, {"no_embed_class": True}, 64, {"no_embed_class": True}),
    ("swin_tiny_patch4_window7_224", SWIN, 224, {"window_size": 7}, 224, {"window_size": 7}),
    ("swin_tiny_patch4_window7_224", SWIN, 224, {"window_size": 7}, 112, {"window_size": 7}),
    ("swin_tiny_patch4_window7_224", SWIN, 224, {"window_size": 7}, 64, {"window_size": 4}),
    ("swin_tiny_patch4_window7_224", SWIN, 64, {"window_size": 4}, 224, {"window_size": 7}),
    ("swin_tiny_patch4_window7_224", SWIN, 224, {"window_size": 7}, 64, {"window_size": 4, "patch_size": 2}),
    ("convnext_tiny", CONVNEXT, 224, {}, 64, {}),
    ("test_convnext", {}, 224, {}, 64, {}),
]


@pytest.mark.parametrize(("name", "common", "old", "there", "new", "here"), CASES)
def test_the_result_is_that_of_timms_own_loading(tmp_path, name, common, old, there, new, here):
    """Of `pretrained=True` with a local file, which runs timm's `checkpoint_filter_fn`: equal to the last bit."""
    path = tmp_path / "published.safetensors"
    published = randomised(name, old, **common, **there)
    save_file({key: tensor.contiguous() for key, tensor in published.state_dict().items()}, path)
    ours, report = loaded(path, name, new, **common, **here)
    assert report.share == 1 and sorted(report.unexpected) == sorted(report.classifier) and len(report.classifier) == 2
    fixed = {"img_size": new} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    torch.manual_seed(3)
    local = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}
    timms = timm.create_model(name, num_classes=0, **local, **fixed, **common, **here).eval()
    alike(ours, timms, new)


def test_positions_by_hand():
    """Two by two places that are a ramp: bicubic in the same places again, and its mean when they become one."""
    ramp = torch.tensor([[9.0], [0.0], [1.0], [2.0], [3.0]])[None]
    assert resample_abs_pos_embed(ramp, [2, 2]).equal(ramp)
    single = resample_abs_pos_embed(ramp, [1, 1]).flatten().tolist()
    assert single == pytest.approx([9.0, 1.5]), "the class token's stays"


def test_a_window_resizes_as_the_relative_offsets_do(tmp_path):
    """timm resizes as BEiT does, with the offsets' own spacing about the middle: a bias of 1 a place stays one."""
    published = randomised("swin_tiny_patch4_window7_224", 224, **SWIN, window_size=7)
    table = published.layers[0].blocks[0].attn.relative_position_bias_table
    rows = torch.arange(-6.0, 7).repeat_interleave(13)
    with torch.no_grad():
        table.copy_(rows[:, None])
    save_backbone(published, tmp_path / "w.safetensors")
    ours, _ = loaded(tmp_path / "w.safetensors", "swin_tiny_patch4_window7_224", 64, **SWIN, window_size=4)
    new = ours.backbone.layers[0].blocks[0].attn.relative_position_bias_table.detach().reshape(7, 7)
    torch.testing.assert_close(new, torch.arange(-3.0, 4)[:, None].expand(7, 7), atol=0.05, rtol=0)


def test_attention_masks_and_indices_of_old_files_are_not_in_the_way(tmp_path):
    published = randomised("swin_tiny_patch4_window7_224", 224, **SWIN, window_size=7)
    state = {f"module.{key}": tensor for key, tensor in published.state_dict().items()}
    for stage in range(3):
        for block in range(2):
            state[f"module.layers.{stage}.blocks.{block}.attn.relative_position_index"] = torch.zeros(49, 49)
            state[f"module.layers.{stage}.blocks.{block}.attn_mask"] = torch.zeros(64, 49, 49)
    torch.save({"model": state}, tmp_path / "w.pth")
    _, report = loaded(tmp_path / "w.pth", "swin_tiny_patch4_window7_224", 224, **SWIN, window_size=7)
    assert report.share == 1
    assert sorted(report.unexpected) == ["module.head.fc.bias", "module.head.fc.weight"] == sorted(report.classifier)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_microsofts_own_swin_files_merge_where_timm_does(tmp_path, prefix):
    """They count a merging layer from the stage before it; without translation 90 % would fit and merging be random."""
    name, args = "swin_tiny_patch4_window7_224", {**SWIN, "window_size": 7}
    published = randomised(name, 224, **args)
    state = {}
    for key, tensor in published.state_dict().items():
        old = key.replace("head.fc.", "head.")
        for stage in (1, 2):
            old = old.replace(f"layers.{stage}.downsample", f"layers.{stage - 1}.downsample")
        state[prefix + old] = tensor
    assert prefix + "layers.0.downsample.reduction.weight" in state
    torch.save({"model": state}, tmp_path / "w.pth")
    ours, report = loaded(tmp_path / "w.pth", name, 224, **args)
    assert report.share == 1 and report.layout == "Microsoft Swin" and len(report.classifier) == 2
    for key, tensor in ours.backbone.state_dict().items():
        assert tensor.equal(published.state_dict()[key]), key
    other = build_encoder(timm_name="test_resnet", model_args={}, in_chans=3, size=64)
    with pytest.raises(ConfigError, match=r"layout Microsoft Swin.*to be a Swin"):
        load_backbone(other, tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("there", "here"),
    [({}, NO_CLASS), (NO_CLASS, {"class_token": True}), ({"reg_tokens": 4}, {}), ({}, {"reg_tokens": 3})],
)
def test_another_number_of_prefix_tokens_is_refused(tmp_path, there, here):
    name = "vit_tiny_patch16_224"
    save_backbone(randomised(name, 64, **VIT, **there), tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=r"pos_embed to hold a square of places.*`class_token`"):
        loaded(tmp_path / "w.safetensors", name, 96, **VIT, **here)


def test_no_resize_no_change(tmp_path):
    published = randomised("vit_tiny_patch16_224", 64, **VIT)
    save_backbone(published, tmp_path / "w.safetensors")
    ours, _ = loaded(tmp_path / "w.safetensors", "vit_tiny_patch16_224", 64, **VIT)
    assert ours.backbone.pos_embed.equal(published.pos_embed)
    assert math.isqrt(published.pos_embed.shape[1] - 1) == 4
