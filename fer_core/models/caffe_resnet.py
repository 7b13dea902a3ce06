"""ResNet-50 and SE-ResNet-50 as Caffe has them, the networks of the published VGGFace2 weights.

He et al., "Deep Residual Learning", CVPR 2016; Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018; weights: Cao et
al., "VGGFace2", FG 2018. They differ from torchvision's and timm's resnet50 in two places that no tensor shows: the
stride of a stage stands in its first 1x1 convolution, not in the 3x3, and the first max pooling rounds up instead of
padding. Weights of the one load into the other without complaint and compute something else.

The pictures are RGB of 224 px, x - (131.0912, 103.8827, 91.4953) for x in 0..255.
"""

from typing import Any

from timm.models import generate_default_cfgs, register_model
from timm.models.resnet import Bottleneck, ResNet
from timm.models.senet import SENet, SEResNetBottleneck
from torch import nn

from fer_core.models.face_network import build, published

MEAN = tuple(value / 255 for value in (131.0912, 103.8827, 91.4953))
STD = (1 / 255,) * 3
default_cfgs = generate_default_cfgs(
    {
        "caffe_resnet50": published(224, 0, 1, "conv1") | {"mean": MEAN, "std": STD, "classifier": "fc"},
        "caffe_senet50": published(224, 0, 1, "layer0.conv1") | {"mean": MEAN, "std": STD, "classifier": "last_linear"},
    }
)


class CaffeResNet(ResNet):
    """timm's ResNet with Caffe's strides and first pooling; the tensors have timm's names."""

    def __init__(self, **arguments: Any) -> None:
        block: Any = Bottleneck  # timm's annotation asks for an instance
        super().__init__(block=block, layers=(3, 4, 6, 3), **arguments)
        self.add_module("maxpool", nn.MaxPool2d(3, 2, ceil_mode=True))
        for stage in ("layer2", "layer3", "layer4"):
            for name, stride in (("conv1", (2, 2)), ("conv2", (1, 1))):
                conv = self.get_submodule(f"{stage}.0.{name}")
                assert isinstance(conv, nn.Conv2d)
                conv.stride = stride


@register_model
def caffe_resnet50(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet-50 as Caffe has it."""
    return build(CaffeResNet, "caffe_resnet50", pretrained, **kwargs)


@register_model
def caffe_senet50(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """SE-ResNet-50 as Caffe has it: timm's `legacy_seresnet50` with the statistics of VGGFace2."""
    arguments = {"block": SEResNetBottleneck, "layers": (3, 4, 6, 3), "groups": 1, "reduction": 16, "drop_rate": 0.0}
    return build(SENet, "caffe_senet50", pretrained, **{**arguments, **kwargs})
