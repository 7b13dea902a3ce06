"""Microsoft's own Swin Transformer files (Liu et al., "Swin Transformer", ICCV 2021).

They merge patches at the end of a stage, timm at the start of the next: layers.0.downsample there is
layers.1.downsample in timm. Untranslated, over 90 % of such a file would fit, all but the merging layers.
"""

import re

from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from torch import Tensor, nn

from fer_core.pretraining.layouts.layout import Layout, Tensors, has

_MERGE = re.compile(r"(^|\.)layers\.(\d+)\.downsample\.")


def from_microsoft(tensors: Tensors, backbone: nn.Module) -> dict[str, Tensor]:
    """Count the merging layers from the stage that they lead to."""
    return {
        _MERGE.sub(lambda match: f"{match[1]}layers.{int(match[2]) + 1}.downsample.", name): tensor
        for name, tensor in tensors.items()
    }


SWIN = Layout(
    "Microsoft Swin",
    recognise=lambda tensors: has(tensors, "layers.0.downsample.reduction.weight"),
    suits=lambda backbone: isinstance(backbone, (SwinTransformer, SwinTransformerV2)),
    backbones="a Swin, such as swin_tiny_patch4_window7_224",
    convert=from_microsoft,
)
