"""Any timm network with an attention module, an emotion head and an AU head: `build_model` and `build_encoder`."""

from typing import Any

from torch import Tensor

from fer_core.models.attention import ATTENTIONS, build_attention
from fer_core.models.backbone import create_backbone, input_statistics
from fer_core.models.heads import AU_HEADS, HEADS, build_au_head, build_head
from fer_core.models.model import Encoder, FerModel, Output

__all__ = ["ATTENTIONS", "AU_HEADS", "HEADS", "Encoder", "FerModel", "Output", "build_encoder", "build_model"]


def build_encoder(
    *,
    timm_name: str,
    model_args: dict[str, Any],
    in_chans: int,
    size: int,
    attention: str = "none",
    pretrained: bool = False,
    drop_path: float = 0.0,
) -> Encoder:
    """Build what turns pictures into pooled features, without heads (for pretraining).

    The arguments are those of `build_model`.
    """
    backbone = create_backbone(
        timm_name,
        model_args,
        in_chans,
        size,
        pretrained=pretrained,
        pool_patches=attention != "none",
        drop_path=drop_path,
    )
    module = build_attention(attention, backbone, in_chans, size)
    return Encoder(backbone, module, input_statistics(backbone, in_chans), in_chans, size)


def build_model(
    *,
    timm_name: str,
    model_args: dict[str, Any],
    in_chans: int,
    size: int,
    classes: int,
    aus: int,
    attention: str,
    head: str = "linear",
    head_scale: float = 1.0,
    pairs: Tensor | None = None,
    au_head: str = "linear",
    intensities: bool = False,
    pretrained: bool = False,
    drop_rate: float = 0.0,
    drop_path: float = 0.0,
) -> FerModel:
    """Build an expression classifier, with an AU head when `aus` > 0.

    Args:
        timm_name: any name of `timm.list_models()`.
        model_args: further arguments of that timm network, such as `{"patch_size": 8}`.
        in_chans: 1 (grey) or 3 (RGB).
        size: side of the square input in pixels; position embeddings follow it.
        classes: number of emotions K.
        aus: number of Action Units A, 0 for no AU head.
        attention: a key of `ATTENTIONS`. With one, a vision transformer pools its patch tokens instead of its
            class token: attention on patches would not reach a class token that is already computed.
        head: a key of `HEADS`.
        head_scale: s of the cosine head's s · cos.
        pairs: (K, V) of 0 and 1 where the head is to name V basic emotions, two for each class; else None.
        au_head: a key of `AU_HEADS`.
        intensities: the AU head also predicts how strong each AU is.
        pretrained: load timm's weights (needs the network or a cache).
        drop_rate: dropout of the pooled features before the heads.
        drop_path: stochastic depth, see `create_backbone`.

    Raises:
        ConfigError: an unknown name (the nearest are listed), or arguments that the network refuses.

    Example:
        >>> import torch
        >>> model = build_model(
        ...     timm_name="test_vit",
        ...     model_args={"patch_size": 8},
        ...     in_chans=1,
        ...     size=48,
        ...     classes=7,
        ...     aus=2,
        ...     attention="cbam",
        ... )
        >>> output = model(torch.rand(4, 1, 48, 48))
        >>> output.logits.shape, output.au_logits.shape
        (torch.Size([4, 7]), torch.Size([4, 2]))
    """
    encoder = build_encoder(
        timm_name=timm_name,
        model_args=model_args,
        in_chans=in_chans,
        size=size,
        attention=attention,
        pretrained=pretrained,
        drop_path=drop_path,
    )
    outputs = classes if pairs is None else pairs.shape[1]
    emotion_head = build_head(head, encoder.num_features, outputs, scale=head_scale)
    units = build_au_head(au_head, encoder.num_features, aus * (1 + intensities)) if aus > 0 else None
    return FerModel(encoder, emotion_head, units, pairs=pairs, intensities=intensities, drop_rate=drop_rate)
