"""Inception-ResNet-v1 with FaceNet's embedding, in the key layout of facenet-pytorch.

Szegedy, Ioffe, Vanhoucke and Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", AAAI 2017 (figures 10 to 14): blocks whose branches are concatenated, brought back to the input's width by a
1x1 convolution with bias, scaled (0.17, 0.10, 0.20) and added. The 512 numbers, trained as classification of people,
follow Schroff, Kalenichenko and Philbin, "FaceNet", CVPR 2015; the published weights are D. Sandberg's, ported by
T. Esler. Trained on RGB faces of 160 px, (x - 127.5) / 128 for x in 0..255. The least size is 75 px.

Variant: facenet-pytorch normalises the embedding to length 1, here the heads read it as it is.
"""

from typing import Any

import torch
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from fer_core.models.face_network import FaceNetwork, build, published

EPS = 0.001  # of the batch norms, as in TensorFlow's slim
default_cfgs = generate_default_cfgs({"inception_resnet_v1": published(160, 0.5, 128 / 255, "conv2d_1a.conv")})

Size = int | tuple[int, int]
# one convolution of a branch: output channels, kernel, stride; padding keeps the size where the stride is 1
Conv = tuple[int, Size, int]


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(BN(conv(x)))."""
        return self.bn(self.conv(x)).relu()


def branch(inputs: int, *convs: Conv) -> nn.Module:
    """Chain convolutions; a single one stands without a list around it, as its published names say."""
    modules = []
    for outputs, kernel, stride in convs:
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if stride == 1 else (0, 0)
        modules.append(ConvNorm(inputs, outputs, sides, stride, padding))
        inputs = outputs
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


class Branches(nn.Module):
    """Modules branch0, branch1, ... side by side, their outputs concatenated."""

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.count = len(branches)
        for number, module in enumerate(branches):
            self.add_module(f"branch{number}", module)

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenation over channels."""
        return torch.cat([self.get_submodule(f"branch{number}")(x) for number in range(self.count)], dim=1)


class Residual(Branches):
    """x + scale · conv(branches(x)), with a ReLU unless it is the network's last."""

    def __init__(self, width: int, branches: list[list[Conv]], scale: float, activation: bool = True) -> None:
        super().__init__([branch(width, *convs) for convs in branches])
        self.scale = scale
        self.activation = activation
        self.conv2d = nn.Conv2d(sum(convs[-1][0] for convs in branches), width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        x = x + self.scale * self.conv2d(super().forward(x))
        return x.relu() if self.activation else x


BLOCK35: list[list[Conv]] = [[(32, 1, 1)], [(32, 1, 1), (32, 3, 1)], [(32, 1, 1), (32, 3, 1), (32, 3, 1)]]
BLOCK17: list[list[Conv]] = [[(128, 1, 1)], [(128, 1, 1), (128, (1, 7), 1), (128, (7, 1), 1)]]
BLOCK8: list[list[Conv]] = [[(192, 1, 1)], [(192, 1, 1), (192, (1, 3), 1), (192, (3, 1), 1)]]


class InceptionResnetV1(FaceNetwork):
    """Stem, 5 + 10 + 6 residual blocks with two reductions between, average pooling and an embedding of 512.

    Args:
        in_chans: input channels.
        num_classes: 0.
        drop_rate: dropout of the pooled 1792 features; 0.6 in facenet-pytorch.
    """

    num_features = 1792

    def __init__(self, in_chans: int = 3, num_classes: int = 0, drop_rate: float = 0.6) -> None:
        super().__init__(num_classes)
        self.head_hidden_size = 512
        self.conv2d_1a = ConvNorm(in_chans, 32, 3, 2)
        self.conv2d_2a = ConvNorm(32, 32, 3)
        self.conv2d_2b = ConvNorm(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = ConvNorm(64, 80, 1)
        self.conv2d_4a = ConvNorm(80, 192, 3)
        self.conv2d_4b = ConvNorm(192, 256, 3, 2)
        self.repeat_1 = nn.Sequential(*(Residual(256, BLOCK35, 0.17) for _ in range(5)))
        self.mixed_6a = Branches(
            [branch(256, (384, 3, 2)), branch(256, (192, 1, 1), (192, 3, 1), (256, 3, 2)), nn.MaxPool2d(3, 2)]
        )
        self.repeat_2 = nn.Sequential(*(Residual(896, BLOCK17, 0.10) for _ in range(10)))
        self.mixed_7a = Branches(
            [
                branch(896, (256, 1, 1), (384, 3, 2)),
                branch(896, (256, 1, 1), (256, 3, 2)),
                branch(896, (256, 1, 1), (256, 3, 1), (256, 3, 2)),
                nn.MaxPool2d(3, 2),
            ]
        )
        self.repeat_3 = nn.Sequential(*(Residual(1792, BLOCK8, 0.20) for _ in range(5)))
        self.block8 = Residual(1792, BLOCK8, 1.0, activation=False)
        self.avgpool_1a = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(drop_rate)
        self.last_linear = nn.Linear(1792, self.head_hidden_size, bias=False)
        self.last_bn = nn.BatchNorm1d(self.head_hidden_size, eps=EPS)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Say which layers belong together, for `layer_decay`."""
        stages = ("repeat_1", "mixed_6a", "repeat_2", "mixed_7a", "repeat_3", "block8", "last_")
        within = "" if coarse else r"\.(\d+)"
        return {"stem": "^conv2d_"} | {name: f"^{name}{within if name[:6] == 'repeat' else ''}" for name in stages}

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last block's map (B, 1792, h, w), 3 x 3 at 160 px."""
        x = self.maxpool_3a(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(x)))
        x = self.repeat_2(self.mixed_6a(self.repeat_1(x)))
        return self.block8(self.repeat_3(self.mixed_7a(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the embedding (B, 512), not normalised to length 1."""
        return self.last_bn(self.last_linear(self.dropout(self.avgpool_1a(x).flatten(1))))


@register_model
def inception_resnet_v1(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Inception-ResNet-v1 as FaceNet's backbone."""
    return build(InceptionResnetV1, "inception_resnet_v1", pretrained, **kwargs)
