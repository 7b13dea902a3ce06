"""The ViT of Hugging Face's transformers (Dosovitskiy et al., ICLR 2021), such as google/vit-base-patch16-224.

`ViTModel`, `ViTForImageClassification` and the encoder of `ViTMAEForPreTraining`:

    published (after "vit." or nothing)              timm's VisionTransformer
    embeddings.cls_token                             cls_token
    embeddings.position_embeddings                   pos_embed                 (1, 1 + places, D)
    embeddings.patch_embeddings.projection           patch_embed.proj
    encoder.layer.N.attention.attention.query, key,  blocks.N.attn.qkv         three (D, D), in this order (3 D, D)
        value
    encoder.layer.N.attention.output.dense           blocks.N.attn.proj
    encoder.layer.N.intermediate.dense               blocks.N.mlp.fc1
    encoder.layer.N.output.dense                     blocks.N.mlp.fc2
    encoder.layer.N.layernorm_before, _after         blocks.N.norm1, norm2
    layernorm                                        norm

Since version 5 the modules are called layers.N.attention.q_proj, k_proj, v_proj, o_proj and layers.N.mlp.fc1, fc2;
`save_pretrained` still writes the names above, a plain state dict does not. Both are read. `classifier` and `pooler`
(a further layer on the class token) are not used, and said; a masked autoencoder's decoder is left out.

Variants: transformers' norms add 1e-12 to the variance, timm's 1e-6. Nothing in the file tells the number of heads,
nor the pictures' mean and standard deviation: they are the backbone's.
"""

import re

from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, cat, nn

from fer_core.errors import ConfigError
from fer_core.pretraining.layouts.layout import Layout, Tensors, has

_MARK = "embeddings.patch_embeddings.projection.weight"
# what a plain vision transformer has not, and whose it is
_OTHERS = {
    "embeddings.distillation_token": "a distilled DeiT",
    "embeddings.register_tokens": "DINOv2 with registers",
    "layer_scale1.lambda1": "DINOv2",
    "lambda_1": "BEiT or data2vec",
    "relative_position_bias.relative_position_bias_table": "BEiT or data2vec",
}
_STEM = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.": "patch_embed.proj.",
    "layernorm.": "norm.",
}
_LAYER = re.compile(r"(?:encoder\.layer|layers)\.(\d+)\.(.+)\.(weight|bias)")
_INSIDE = {
    "attention.output.dense": "attn.proj",
    "attention.o_proj": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
}
_QKV = {"attention.attention.query": 0, "attention.attention.key": 1, "attention.attention.value": 2}
_QKV |= {"attention.q_proj": 0, "attention.k_proj": 1, "attention.v_proj": 2}


def is_plain_vit(backbone: nn.Module) -> bool:
    """Return whether a network is a vision transformer of pre-norm blocks with a class token and nothing added."""
    if not isinstance(backbone, VisionTransformer) or backbone.cls_token is None or backbone.num_prefix_tokens != 1:
        return False
    if not isinstance(backbone.norm_pre, nn.Identity) or getattr(backbone, "no_embed_class", False):
        return False
    return all(_is_plain(block) for block in backbone.blocks)


def _is_plain(block: nn.Module) -> bool:
    added = ("attn.q_norm", "attn.k_norm", "attn.norm", "ls1", "ls2", "mlp.norm")
    if not isinstance(block, Block) or "attn.qkv.bias" not in block.state_dict():
        return False
    if not isinstance(block.get_submodule("mlp.act"), nn.GELU):
        return False
    return all(isinstance(block.get_submodule(name), nn.Identity) for name in added)


def from_huggingface(tensors: Tensors, backbone: nn.Module) -> dict[str, Tensor]:
    """Rename, and put query, key and value into one tensor each of weights and biases.

    Raises:
        ConfigError: the file is of a relative of the plain vision transformer, or a layer lacks one of query, key and
            value or its bias.
    """
    for mark, owner in _OTHERS.items():
        if any(name.endswith(mark) for name in tensors):
            raise ConfigError(
                f"Expected weights of a plain vision transformer; the file has {mark}, as {owner} has. Take timm's "
                "weights of that network."
            )
    prefix = next(name for name in tensors if name.endswith(_MARK)).removesuffix(_MARK)
    result: dict[str, Tensor] = {}
    threes: dict[str, dict[int, Tensor]] = {}
    for name, tensor in tensors.items():
        inner = name.removeprefix(prefix)
        layer = _LAYER.fullmatch(inner)
        if layer is not None and layer[2] in _QKV:
            threes.setdefault(f"blocks.{layer[1]}.attn.qkv.{layer[3]}", {})[_QKV[layer[2]]] = tensor
        elif layer is not None and layer[2] in _INSIDE:
            result[f"blocks.{layer[1]}.{_INSIDE[layer[2]]}.{layer[3]}"] = tensor
        elif (start := next((key for key in _STEM if inner.startswith(key)), None)) is not None:
            result[_STEM[start] + inner.removeprefix(start)] = tensor
        elif not name.startswith("decoder."):
            result[name] = tensor  # classifier, pooler and mask token: not used, and said
    for weight in [name for name in threes if name.endswith("weight")]:
        threes.setdefault(weight.removesuffix("weight") + "bias", {})
    for name, three in threes.items():
        if len(three) < 3:
            found = ", ".join(("query", "key", "value")[place] for place in sorted(three)) or "none"
            raise ConfigError(f"Expected query, key and value for {name}; the file has {found} of them.")
        result[name] = cat([three[place] for place in range(3)])
    return result


HUGGINGFACE = Layout(
    "Hugging Face ViT",
    recognise=lambda tensors: has(tensors, _MARK, "embeddings.cls_token"),
    suits=is_plain_vit,
    backbones="a plain vision transformer with a class token, such as vit_base_patch16_224",
    convert=from_huggingface,
)
