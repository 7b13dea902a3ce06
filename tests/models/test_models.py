import pytest
import timm
import torch

from fer_core.errors import ConfigError
from fer_core.models import ATTENTIONS, build_encoder, build_model
from fer_core.models.backbone import create_backbone
from fer_core.models.cpu import prepare_cpu

DEMO = [
    ("test_resnet", {}),
    ("resnet10t", {}),
    ("test_efficientnet", {}),
    ("test_vit", {"patch_size": 8}),
    ("vit_tiny_patch16_224", {"patch_size": 8}),
]
OTHERS = [("test_convnext3", {}), ("test_mambaout", {}), ("swin_tiny_patch4_window7_224", {"depths": (1, 1, 1, 1)})]


ORDERS = (torch.contiguous_format, torch.channels_last)


def build(name="test_resnet", args=None, in_chans=3, size=64, classes=5, aus=3, attention="none", **more):
    torch.manual_seed(0)
    return build_model(
        timm_name=name,
        model_args=args or {},
        in_chans=in_chans,
        size=size,
        classes=classes,
        aus=aus,
        attention=attention,
        **more,
    )


@pytest.mark.parametrize(("name", "args"), DEMO)
@pytest.mark.parametrize(("in_chans", "size"), [(1, 48), (3, 64)])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_demo_backbones_give_both_outputs_and_gradients_everywhere(name, args, in_chans, size, attention):
    model = build(name, args, in_chans, size, attention=attention)
    images = torch.rand(2, in_chans, size, size)
    output = model(images)
    assert output.logits.shape == (2, 5) and output.au_logits.shape == (2, 3)
    (output.logits.square().sum() + output.au_logits.square().sum()).backward()
    dead = [key for key, value in model.named_parameters() if value.grad is None]
    assert dead == []
    model.eval()
    assert model.features(images).shape == (2, model.num_features)


@pytest.mark.parametrize(("name", "args"), OTHERS)
def test_other_layouts(name, args):
    model = build(name, args, 3, 64, attention="cbam")
    output = model(torch.rand(2, 3, 64, 64))
    output.logits.square().sum().backward()
    assert output.logits.shape == (2, 5)
    assert all(value.grad is not None for value in model.attention.parameters())


def test_features_are_timms_own_on_normalised_pictures():
    model = build("test_efficientnet").eval()
    config = timm.data.resolve_data_config({}, model=model.backbone)
    images = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(config[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        expected = model.backbone((images - mean) / std)  # num_classes = 0: timm returns its pooled features
        torch.testing.assert_close(model.features(images), expected)
        torch.testing.assert_close(model(images).logits, model.head(expected))
        torch.testing.assert_close(model(images).au_logits, model.au_head(expected))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_order_in_memory_does_not_matter_to_the_normalisation(channels):
    """Channels-last pictures are normalised row by row: to the same numbers, in their own order."""
    encoder = build("resnet10t", in_chans=channels).encoder
    images = torch.rand(2, channels, 48, 64)  # of unequal sides: a mix-up would be seen
    planes, last = (images.clone(memory_format=order).requires_grad_() for order in ORDERS)
    one, other = encoder._normalised(planes), encoder._normalised(last)
    assert one.equal((planes - encoder.mean) / encoder.std) and other.equal(one)
    assert one.is_contiguous() and other.is_contiguous(memory_format=torch.channels_last)
    one.square().sum().backward()
    other.square().sum().backward()
    assert last.grad.equal(planes.grad)


def test_grey_normalisation_is_the_mean_of_the_colours():
    model = build("resnet10t", in_chans=1)
    assert model.encoder.mean.flatten().tolist() == pytest.approx([(0.485 + 0.456 + 0.406) / 3])
    assert model.encoder.std.flatten().tolist() == pytest.approx([(0.229 + 0.224 + 0.225) / 3])


def test_no_au_head():
    model = build(aus=0)
    assert model.au_head is None and model(torch.rand(2, 3, 64, 64)).au_logits is None


def test_position_embedding_follows_the_size():
    assert build("test_vit", {"patch_size": 8}, size=48).backbone.pos_embed.shape[1] == 36 + 1
    assert build("test_vit", {"patch_size": 8}, size=64).backbone.pos_embed.shape[1] == 64 + 1


def test_attention_reaches_the_logits_of_a_vision_transformer():
    """Attention on patch tokens cannot change a class token that is read alone, so the patches are pooled."""
    model = build("test_vit", {"patch_size": 8}, attention="cbam").eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = model(images).logits
        for parameter in model.attention.parameters():
            parameter.add_(torch.randn(parameter.shape))
        assert not torch.allclose(before, model(images).logits, atol=1e-3)


def test_dropout_only_in_training():
    model = build(drop_rate=0.5)
    images = torch.rand(4, 3, 64, 64)
    model.eval()
    assert model(images).logits.equal(model(images).logits)
    model.dropout.train()
    assert not model(images).logits.equal(model(images).logits)


def test_building_draws_only_initial_weights_and_leaves_training_mode():
    model = build("test_resnet", attention="cbam")
    assert model.training and all(module.training for module in model.modules())
    again = build("test_resnet", attention="cbam")
    for key, value in model.state_dict().items():
        assert value.equal(again.state_dict()[key])
        if key.endswith("running_mean"):
            assert (value == 0).all()  # the shape probe ran in evaluation mode


def test_encoder_is_the_models_own_part():
    encoder = build_encoder(timm_name="test_resnet", model_args={}, in_chans=1, size=48)
    assert set(encoder.state_dict()) == {
        key.removeprefix("encoder.") for key in build(in_chans=1, size=48).state_dict() if "head" not in key
    }
    assert encoder(torch.rand(3, 1, 48, 48)).shape == (3, encoder.num_features)


def test_unknown_backbone_lists_near_names():
    with pytest.raises(ConfigError, match=r"`backbone`.*got 'resnet5'.*Did you mean .*resnet50"):
        build("resnet5")


def test_unknown_attention():
    with pytest.raises(ConfigError, match="Did you mean 'cbam'"):
        build(attention="cbamm")


def test_arguments_that_timm_refuses_are_named():
    with pytest.raises(ConfigError, match=r"test_resnet.*no_such"):
        build("test_resnet", {"no_such": 3})
    with pytest.raises(ConfigError, match="48"):
        build("swin_tiny_patch4_window7_224", {"img_size": 224, "depths": (1, 1, 1, 1)}, size=48, attention="cbam")


def test_bf16_and_one_picture_are_finite():
    for name, args in DEMO:
        model = build(name, args, 1, 48).eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            output = model(torch.rand(1, 1, 48, 48))
        assert output.logits.isfinite().all() and output.au_logits.isfinite().all()


def test_prepare_cpu_turns_fused_attention_off():
    from timm.layers import set_fused_attn, use_fused_attn

    before = bool(use_fused_attn())
    try:
        set_fused_attn(True)
        assert build("test_vit").backbone.blocks[0].attn.fused_attn
        prepare_cpu()
        assert not build("test_vit").backbone.blocks[0].attn.fused_attn
    finally:
        set_fused_attn(before)


def test_weights_that_cannot_be_fetched_are_told_in_one_sentence(monkeypatch):
    def offline(*_, **__):
        raise FileNotFoundError("no route to the hub")

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(ConfigError, match=r"could not fetch the published weights of 'test_resnet'.*init: face"):
        create_backbone("test_resnet", {}, 3, 32, pretrained=True)
