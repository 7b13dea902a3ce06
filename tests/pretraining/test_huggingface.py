"""transformers' ViT in timm's: as a naive module with the published names, and what is refused."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from fer_core.errors import ConfigError
from fer_core.models import build_encoder
from fer_core.pretraining.layouts import translate
from fer_core.pretraining.layouts.huggingface import is_plain_vit
from fer_core.pretraining.weights import load_backbone

WIDTH, DEPTH, HEADS, PATCH = 64, 3, 2, 8
# how transformers' modules are called since version 5
NEW = {
    "encoder.layer.": "layers.",
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}


class NaiveViT(nn.Module):
    """transformers' ViT, module by module, one head and one formula at a time.

    Checked once against transformers 5.24 at these sizes: the last hidden states of `ViTModel`, 0.2 large on average,
    differ by 2.4e-7 at most in single precision, and by 3.5e-8 in double, where its softmax stays single.
    """

    def __init__(self, side=32, width=WIDTH, depth=DEPTH, heads=HEADS, patch=PATCH, eps=1e-12):
        super().__init__()
        self.heads, self.width = heads, width
        self.embeddings = nn.Module()
        self.embeddings.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.embeddings.position_embeddings = nn.Parameter(torch.randn(1, 1 + (side // patch) ** 2, width))
        self.embeddings.patch_embeddings = nn.Module()
        self.embeddings.patch_embeddings.projection = nn.Conv2d(3, width, patch, patch)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList()
        for _ in range(depth):
            layer = nn.Module()
            layer.attention = nn.Module()
            layer.attention.attention = nn.Module()
            for name in ("query", "key", "value"):
                layer.attention.attention.add_module(name, nn.Linear(width, width))
            layer.attention.output = nn.Module()
            layer.attention.output.dense = nn.Linear(width, width)
            layer.intermediate, layer.output = nn.Module(), nn.Module()
            layer.intermediate.dense = nn.Linear(width, 3 * width)
            layer.output.dense = nn.Linear(3 * width, width)
            layer.layernorm_before = nn.LayerNorm(width, eps=eps)
            layer.layernorm_after = nn.LayerNorm(width, eps=eps)
            self.encoder.layer.append(layer)
        self.layernorm = nn.LayerNorm(width, eps=eps)
        for parameter in self.parameters():  # norms are 1 and 0 when new, and most mistakes would not show
            nn.init.normal_(parameter, std=0.2)

    def forward(self, pictures):
        """Return the normed tokens (B, 1 + places, D) of pictures (B, 3, H, W), normalised already."""
        patches = self.embeddings.patch_embeddings.projection(pictures)
        tokens = [self.embeddings.cls_token[:, 0].expand(len(pictures), -1)]
        tokens += [patches[:, :, row, column] for row in range(patches.shape[2]) for column in range(patches.shape[3])]
        x = torch.stack(tokens, dim=1) + self.embeddings.position_embeddings
        for layer in self.encoder.layer:
            x = x + self.attend(layer.attention, layer.layernorm_before(x))
            hidden = layer.intermediate.dense(layer.layernorm_after(x))
            x = x + layer.output.dense(hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5)))
        return self.layernorm(x)

    def attend(self, attention, x):
        size = self.width // self.heads
        mixed = []
        for head in range(self.heads):
            own = slice(head * size, (head + 1) * size)
            query, key, value = (getattr(attention.attention, name)(x)[..., own] for name in ("query", "key", "value"))
            mixed.append(torch.softmax(query @ key.mT / size**0.5, dim=-1) @ value)
        return attention.output.dense(torch.cat(mixed, dim=-1))


def naive(**args):
    torch.manual_seed(1)
    return NaiveViT(**args).eval()


def ours(side=32, attention="none", **args):
    torch.manual_seed(2)
    args = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "patch_size": PATCH, "mlp_ratio": 3} | args
    encoder = build_encoder(
        timm_name="vit_base_patch16_224", model_args=args, in_chans=3, size=side, attention=attention
    )
    return encoder.eval()


def renamed(state):
    result = {}
    for name, tensor in state.items():
        new = name
        for old, current in NEW.items():
            new = new.replace(old, current)
        result[new] = tensor
    return result


@pytest.mark.parametrize("prefix", ["", "vit.", "module.vit."])
@pytest.mark.parametrize("version", [4, 5])
def test_features_are_those_of_the_published_network(tmp_path, prefix, version):
    source, target = naive(), ours()
    state = source.state_dict() if version == 4 else renamed(source.state_dict())
    state = {prefix + name: tensor for name, tensor in state.items()}
    state |= {prefix + "pooler.dense.weight": torch.zeros(3, 3), prefix + "pooler.dense.bias": torch.zeros(3)}
    state |= {"classifier.weight": torch.zeros(7, WIDTH), "classifier.bias": torch.zeros(7)}
    save_file(state, tmp_path / "model.safetensors")
    report = load_backbone(target, tmp_path / "model.safetensors")
    assert report.share == 1 and report.layout == "Hugging Face ViT"
    assert sorted(report.classifier) == ["classifier.bias", "classifier.weight"]
    assert "unexpected (2)" in str(report) and "pooler.dense.weight" in str(report), "said, not used"
    pictures = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        tokens = source((pictures - 0.5) / 0.5)
        torch.testing.assert_close(target(pictures), tokens[:, 0], atol=1e-5, rtol=0)
        whole = target.backbone.forward_features((pictures - 0.5) / 0.5)
        torch.testing.assert_close(whole, tokens, atol=1e-5, rtol=0)


def test_the_norms_smaller_constant_hardly_shows():
    """1e-12 there and 1e-6 in timm differ by the constant's share in the variance, here of tokens of about 0.1."""
    small, large = naive(), naive(eps=1e-6)
    pictures = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        difference = (small(pictures) - large(pictures)).abs().max()
    assert 0 < difference < 1e-5


def test_grey_pictures_another_size_patch_and_attention_load_as_well(tmp_path):
    save_file(naive().state_dict(), tmp_path / "w.safetensors")
    for side, args in ((64, {}), (64, {"patch_size": 16}), (48, {"patch_size": 16})):
        target = ours(side, **args)
        assert load_backbone(target, tmp_path / "w.safetensors").share == 1
        assert target(torch.rand(2, 3, side, side)).isfinite().all()
    pooled = ours(attention="cbam")
    assert load_backbone(pooled, tmp_path / "w.safetensors").share == 1
    assert pooled.backbone.fc_norm.weight.equal(naive().layernorm.weight)


def test_a_masked_autoencoders_encoder_is_taken_without_its_decoder(tmp_path):
    state = {f"vit.{name}": tensor for name, tensor in naive().state_dict().items()}
    state |= {f"decoder.decoder_layers.{number}.x.weight": torch.zeros(4, 4) for number in range(99)}
    save_file(state, tmp_path / "w.safetensors")
    assert load_backbone(ours(), tmp_path / "w.safetensors").unexpected == []


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("deit.embeddings.distillation_token", "as a distilled DeiT has"),
        ("vit.embeddings.register_tokens", "as DINOv2 with registers has"),
        ("vit.encoder.layer.0.layer_scale1.lambda1", "as DINOv2 has"),
        ("beit.encoder.layer.0.lambda_1", "as BEiT or data2vec has"),
    ],
)
def test_relatives_of_the_plain_transformer_are_refused_by_what_they_add(extra, told):
    prefix = extra.split(".")[0]
    state = {f"{prefix}.{name}": tensor for name, tensor in naive().state_dict().items()}
    with pytest.raises(ConfigError, match=f"the file has .*, {told}"):
        translate(state | {extra: torch.zeros(1)}, ours().backbone, "w.safetensors")


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        (("layer.1.attention.attention.key.weight",), r"blocks\.1\.attn\.qkv\.weight; the file has query, value"),
        (("layer.0.attention.attention.key.bias",), r"blocks\.0\.attn\.qkv\.bias; the file has query, value"),
        (tuple(f"layer.2.attention.attention.{x}.bias" for x in ("query", "key", "value")), r"qkv\.bias; .* has none"),
    ],
)
def test_a_layer_without_one_of_the_three_is_refused(gone, told):
    state = {name: tensor for name, tensor in naive().state_dict().items() if not name.endswith(gone)}
    with pytest.raises(ConfigError, match=told):
        translate(state, ours().backbone, "w.safetensors")


def network(name, **args):
    with torch.device("meta"):
        return timm.create_model(name, num_classes=0, **args)


def test_which_networks_compute_it():
    for name in ("vit_base_patch16_224", "vit_small_patch16_224", "vit_large_patch16_224", "deit_small_patch16_224"):
        assert is_plain_vit(network(name)), name
    others = [
        ("resnet50", {}),
        ("swin_tiny_patch4_window7_224", {}),
        ("deit_tiny_distilled_patch16_224", {}),
        ("deit3_small_patch16_224", {}),
        ("vit_small_patch14_reg4_dinov2", {}),
        ("vit_base_patch16_clip_224", {}),
        ("beit_base_patch16_224", {}),
        ("vit_tiny_patch16_224", {"qkv_bias": False}),
        ("vit_tiny_patch16_224", {"qk_norm": True}),
        ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg"}),
    ]
    state = naive().state_dict()
    for name, args in others:
        assert not is_plain_vit(network(name, **args)), name
        with pytest.raises(ConfigError, match=r"layout Hugging Face ViT.*such as vit_base_patch16_224"):
            translate(state, network(name, **args), "w.safetensors")


def test_another_depth_or_width_is_refused(tmp_path):
    save_file(naive(depth=6).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="no place for, as those of a deeper network"):
        load_backbone(ours(), tmp_path / "w.safetensors")
    save_file(naive(width=32).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="fits only"):
        load_backbone(ours(), tmp_path / "w.safetensors")
