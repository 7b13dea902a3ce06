import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed, resample_patch_embed
from timm.models import adapt_input_conv

from fer_core.errors import ConfigError
from fer_core.models import build_encoder, build_model
from fer_core.pretraining.weights import load_backbone, save_backbone


def encoder(name="test_resnet", in_chans=3, size=64, seed=0, attention="none", **args):
    torch.manual_seed(seed)
    return build_encoder(timm_name=name, model_args=args, in_chans=in_chans, size=size, attention=attention)


def same(one, other):
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(left[key].equal(right[key]) for key in left)


def test_round_trip(tmp_path):
    source, target = encoder(seed=1), encoder(seed=2)
    source.backbone.bn1.running_mean.fill_(0.7)
    save_backbone(source, tmp_path / "new" / "w.safetensors")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["w.safetensors"]
    assert not same(source.backbone, target.backbone)
    report = load_backbone(target, tmp_path / "new" / "w.safetensors")
    assert same(source.backbone, target.backbone)
    assert report.share == 1 and report.missing == [] and report.unexpected == []
    assert len(report.matched) == sum("num_batches" not in key for key in target.backbone.state_dict())


def test_a_channels_last_model_and_a_bare_timm_network_save_alike(tmp_path):
    source = encoder(seed=1)
    save_backbone(source.backbone, tmp_path / "bare.safetensors")
    save_backbone(source.to(memory_format=torch.channels_last), tmp_path / "model.safetensors")
    bare, model = load_file(tmp_path / "bare.safetensors"), load_file(tmp_path / "model.safetensors")
    assert bare.keys() == model.keys() and all(bare[key].equal(model[key]) for key in bare)


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "encoder.backbone.", "module.model.net."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_prefixes_and_wrappers(tmp_path, prefix, wrapper):
    source, target = encoder(seed=1), encoder(seed=2)
    state = {prefix + key: value for key, value in source.backbone.state_dict().items()}
    state[prefix + "fc.weight"] = torch.zeros(10, 96)
    path = tmp_path / "w.pth"
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, path)
    report = load_backbone(target, path)
    assert same(source.backbone, target.backbone)
    assert report.unexpected == [prefix + "fc.weight"]


def test_whole_models_file_loads_into_another_models_backbone(tmp_path):
    torch.manual_seed(1)
    settings = {"timm_name": "test_resnet", "model_args": {}, "in_chans": 1, "size": 48, "attention": "cbam"}
    source = build_model(**settings, classes=7, aus=3)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    torch.manual_seed(2)
    target = build_model(**settings, classes=14, aus=0)
    report = load_backbone(target, tmp_path / "w.safetensors")
    assert same(source.backbone, target.backbone) and report.share == 1


def test_input_channels_are_adapted_as_timm_does(tmp_path):
    source = encoder(seed=1)
    save_backbone(source, tmp_path / "rgb.safetensors")
    grey = encoder(in_chans=1, seed=2)
    load_backbone(grey, tmp_path / "rgb.safetensors")
    first = next(key for key, value in source.backbone.state_dict().items() if value.ndim == 4)
    colour = source.backbone.state_dict()[first]
    torch.testing.assert_close(grey.backbone.state_dict()[first], adapt_input_conv(1, colour))
    # a grey picture in three equal channels gives the same first convolution
    x = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(
        torch.nn.functional.conv2d(x.repeat(1, 3, 1, 1), colour),
        torch.nn.functional.conv2d(x, grey.backbone.state_dict()[first]),
        atol=1e-5,
        rtol=1e-5,
    )
    save_backbone(grey, tmp_path / "grey.safetensors")
    back = encoder(seed=3)
    load_backbone(back, tmp_path / "grey.safetensors")
    torch.testing.assert_close(
        torch.nn.functional.conv2d(x.repeat(1, 3, 1, 1), back.backbone.state_dict()[first]),
        torch.nn.functional.conv2d(x, grey.backbone.state_dict()[first]),
        atol=1e-5,
        rtol=1e-5,
    )


def test_transformers_change_size_and_patch_as_timm_does(tmp_path):
    source = encoder("test_vit", size=64, seed=1, patch_size=16)
    save_backbone(source, tmp_path / "w.safetensors")
    larger = encoder("test_vit", size=96, seed=2, patch_size=16)
    assert load_backbone(larger, tmp_path / "w.safetensors").share == 1
    expected = resample_abs_pos_embed(source.backbone.pos_embed, [6, 6], num_prefix_tokens=1)
    torch.testing.assert_close(larger.backbone.pos_embed, torch.nn.Parameter(expected))
    finer = encoder("test_vit", size=64, seed=2, patch_size=8)
    assert load_backbone(finer, tmp_path / "w.safetensors").share == 1
    weight = resample_patch_embed(source.backbone.patch_embed.proj.weight, [8, 8])
    torch.testing.assert_close(finer.backbone.patch_embed.proj.weight, torch.nn.Parameter(weight))


def test_class_token_weights_serve_a_transformer_that_pools_its_patches(tmp_path):
    source = encoder("test_vit", seed=1)
    save_backbone(source, tmp_path / "w.safetensors")
    target = encoder("test_vit", seed=2, attention="cbam")
    report = load_backbone(target, tmp_path / "w.safetensors")
    assert report.share == 1 and report.unexpected == []
    torch.testing.assert_close(target.backbone.fc_norm.weight, source.backbone.norm.weight)


def test_another_network_is_refused_by_name_and_nothing_changes(tmp_path):
    save_backbone(encoder("test_efficientnet"), tmp_path / "w.safetensors")
    target = encoder(seed=2)
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(ConfigError, match=r"w\.safetensors fits only .* tensors .*Missing or of another shape: "):
        load_backbone(target, tmp_path / "w.safetensors")
    assert all(value.equal(before[key]) for key, value in target.state_dict().items())


def test_ninety_percent_is_the_line(tmp_path):
    source = encoder(seed=1)
    state = {key: value for key, value in source.backbone.state_dict().items() if "num_batches" not in key}
    allowed = len(state) // 10
    for dropped, fits in ((allowed, True), (allowed + 1, False)):
        norms = [key for key in state if "bn" in key][:dropped]  # few numbers, and not the first convolution
        kept = {key: value for key, value in state.items() if key not in norms}
        save_file(kept, tmp_path / "w.safetensors")
        if fits:
            report = load_backbone(encoder(seed=2), tmp_path / "w.safetensors")
            assert len(report.missing) == dropped and report.share == pytest.approx(1 - dropped / len(state))
        else:
            with pytest.raises(ConfigError, match=norms[0]):
                load_backbone(encoder(seed=2), tmp_path / "w.safetensors")


def test_what_fits_in_number_but_is_another_network_is_refused(tmp_path):
    """A deeper network's file, one without the first convolution, or without the largest layer, or with NaN."""
    state = {key: value.clone() for key, value in encoder(seed=1).backbone.state_dict().items()}
    first = next(key for key, value in state.items() if value.ndim == 4)
    largest = max(state, key=lambda key: state[key].numel())
    deeper = state | {f"layer9.{number}.weight": torch.zeros(3) for number in range(1 + len(state) // 9)}
    for content, message in (
        (deeper, "that the backbone has no place for, as those of a deeper network: layer9.0.weight"),
        ({key: value for key, value in state.items() if key != first}, f"first convolution, {first}"),
        (state | {largest: torch.zeros(1)}, "of the backbone's numbers"),
        (state | {largest: torch.full_like(state[largest], torch.nan)}, f"in {largest} that are not finite"),
    ):
        save_file(content, tmp_path / "w.safetensors")
        fresh = encoder(seed=2)
        before = {key: value.clone() for key, value in fresh.backbone.state_dict().items()}
        with pytest.raises(ConfigError, match=message):
            load_backbone(fresh, tmp_path / "w.safetensors")
        assert all(value.equal(before[key]) for key, value in fresh.backbone.state_dict().items()), "nothing is changed"
    two = {f"query.{key}": value for key, value in state.items()} | {
        f"key.{key}.2": value.clone() for key, value in state.items()
    }
    save_file(two, tmp_path / "w.safetensors")
    assert load_backbone(encoder(seed=2), tmp_path / "w.safetensors").share == 1, (
        "another network's, under another prefix"
    )


class Payload:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_pickles_of_code_are_refused_and_not_run(tmp_path, capsys, name):
    path = tmp_path / name
    with path.open("wb") as file:
        pickle.dump({"state_dict": Payload()}, file, protocol=2)
    with pytest.raises(ConfigError, match="tensors only"):
        load_backbone(encoder(), path)
    torch.save({"w": Payload()}, path)
    with pytest.raises(ConfigError, match="tensors only"):
        load_backbone(encoder(), path)
    assert "executed" not in capsys.readouterr().out


def test_missing_empty_and_strange_files_are_told_plainly(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_backbone(encoder(), tmp_path / "none.pth")
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ConfigError, match="tensors only"):
            load_backbone(encoder(), tmp_path / name)
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(ConfigError, match="named tensors; got Tensor"):
        load_backbone(encoder(), tmp_path / "tensor.pth")
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="fits only 0"):
        load_backbone(encoder(), tmp_path / "other.pth")
