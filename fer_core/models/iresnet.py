"""IResNet, the backbone of ArcFace (Deng et al., "ArcFace", CVPR 2019), in InsightFace's key layout (arcface_torch).

A residual unit is BN - conv 3x3 - BN - PReLU - conv 3x3 (stride) - BN, added to a shortcut (1x1 conv and BN where the
shape changes), with no activation after the sum: the "improved" unit of the paper's section 3.1, after Han et al.,
"Deep Pyramidal Residual Networks", CVPR 2017. The stem keeps the resolution (3x3, stride 1), the four stages halve it,
so a picture of 112 px ends in a 7 x 7 map; BN, dropout, a linear layer on the flattened map and BN give 512 numbers.

Published for aligned RGB faces of 112 px, (x - 0.5) / 0.5 for x in 0..1. Variants: at other sizes the map is brought to
7 x 7 by averaging (nothing happens at 112); the last BN's scale, frozen at 1 there, is learned.
"""

from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn import functional

from fer_core.models.face_network import FaceNetwork, build, published

GRID = 7  # side of the map that the linear layer reads
WIDTHS = (64, 128, 256, 512)
default_cfgs = generate_default_cfgs(
    {name: published(112, 0.5, 0.5, "conv1") for name in ("iresnet18", "iresnet34", "iresnet50", "iresnet100")}
)


class Unit(nn.Module):
    """The improved residual unit: (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return shortcut + residual."""
        residual = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        residual = self.bn3(self.conv2(residual))
        return residual + (x if self.downsample is None else self.downsample(x))


class IResNet(FaceNetwork):
    """Four stages of improved residual units and an embedding of 512.

    Args:
        layers: units of each stage.
        in_chans: input channels.
        num_classes: 0.
        drop_rate: dropout before the linear layer.
    """

    num_features = WIDTHS[-1]

    def __init__(
        self, layers: tuple[int, int, int, int], in_chans: int = 3, num_classes: int = 0, drop_rate: float = 0.0
    ) -> None:
        super().__init__(num_classes)
        self.head_hidden_size = 512
        self.conv1 = nn.Conv2d(in_chans, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        inputs = 64
        for number, (width, count) in enumerate(zip(WIDTHS, layers, strict=True), start=1):
            units = [Unit(inputs, width, 2), *(Unit(width, width, 1) for _ in range(count - 1))]
            self.add_module(f"layer{number}", nn.Sequential(*units))
            inputs = width
        self.bn2 = nn.BatchNorm2d(inputs)
        self.dropout = nn.Dropout(drop_rate)
        self.fc = nn.Linear(inputs * GRID * GRID, self.head_hidden_size)
        self.features = nn.BatchNorm1d(self.head_hidden_size)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.1)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Say which layers belong together, for `layer_decay`."""
        blocks = r"^layer(\d+)" if coarse else r"^layer(\d+)\.(\d+)"
        return {"stem": r"^(?:conv1|bn1|prelu)", "blocks": blocks, "embedding": r"^(?:bn2|fc|features)"}

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the normalised map (B, 512, H / 16, W / 16)."""
        x = self.prelu(self.bn1(self.conv1(x)))
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return self.bn2(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the embedding (B, 512)."""
        if x.shape[2:] != (GRID, GRID):
            x = functional.adaptive_avg_pool2d(x, GRID)
        return self.features(self.fc(self.dropout(x.flatten(1))))


@register_model
def iresnet18(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """IResNet of 2, 2, 2, 2 units."""
    return build(IResNet, "iresnet18", pretrained, layers=(2, 2, 2, 2), **kwargs)


@register_model
def iresnet34(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """IResNet of 3, 4, 6, 3 units."""
    return build(IResNet, "iresnet34", pretrained, layers=(3, 4, 6, 3), **kwargs)


@register_model
def iresnet50(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """IResNet of 3, 4, 14, 3 units."""
    return build(IResNet, "iresnet50", pretrained, layers=(3, 4, 14, 3), **kwargs)


@register_model
def iresnet100(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """IResNet of 3, 13, 30, 3 units."""
    return build(IResNet, "iresnet100", pretrained, layers=(3, 13, 30, 3), **kwargs)
