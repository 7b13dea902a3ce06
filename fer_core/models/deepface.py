"""DeepFace (Taigman, Yang, Ranzato and Wolf, "DeepFace: Closing the Gap to Human-Level Performance", CVPR 2014).

C1 conv 11x11 (32) - M2 max pool 3x3, stride 2 - C3 conv 9x9 (16) - L4 9x9, L5 7x7 (stride 2), L6 5x5 locally connected
(16 each: every place of the map has its own filters) - F7 linear (4096), a ReLU after each. Faces of 152 px.

The published weights (S. Ghosh, swghosh/DeepFace: trained on VGGFace2, faces aligned in 2-D, RGB in 0..1) leave the
paper's 3-D frontalisation out; M2 pads as TensorFlow's "same" does. The filters belong to places, so the weights fit
152 px only; the network itself is built for any size from 71 px on.
"""

from typing import Any

import torch
from timm.layers import create_pool2d
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn
from torch.nn import functional

from fer_core.models.face_network import FaceNetwork, build, published

default_cfgs = generate_default_cfgs({"deepface": published(152, 0.0, 1.0, "C1", fixed_input_size=True)})
LEAST = 71  # px


class LocallyConnected2d(nn.Module):
    """A convolution whose filters are not shared between places.

    Args:
        inputs: input channels.
        outputs: output channels.
        side: side of the square input map.
        kernel: side of the filters.
        stride: their step.

    Attributes:
        weight: (places, inputs · kernel², outputs), places row by row, each filter's inputs as `unfold` orders them
            (channel, row, column).
        bias: (outputs, side', side').
    """

    def __init__(self, inputs: int, outputs: int, side: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.inputs, self.kernel, self.stride = inputs, kernel, stride
        self.side = (side - kernel) // stride + 1
        fan_in = inputs * kernel * kernel
        self.weight = nn.Parameter(torch.empty(self.side**2, fan_in, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs, self.side, self.side))
        nn.init.normal_(self.weight, std=(2 / fan_in) ** 0.5)  # He et al., ICCV 2015, of one place's filter

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, side, side) to (B, outputs, side', side')."""
        patches = functional.unfold(x, self.kernel, stride=self.stride)  # (B, inputs · kernel², places)
        return torch.einsum("bip,pio->bop", patches, self.weight).unflatten(2, (self.side, self.side)) + self.bias


class DeepFace(FaceNetwork):
    """The network up to F7.

    Args:
        img_size: side of the pictures in pixels.
        in_chans: input channels.
        num_classes: 0.
        drop_rate: dropout after F7; 0.5 in the paper.
        hidden: width of F7.

    Raises:
        ValueError: pictures below 71 px, or not square.
    """

    num_features = 16

    def __init__(
        self,
        img_size: int | tuple[int, int] = 152,
        in_chans: int = 3,
        num_classes: int = 0,
        drop_rate: float = 0.5,
        hidden: int = 4096,
    ) -> None:
        super().__init__(num_classes)
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        if height != width or height < LEAST:
            raise ValueError(f"deepface needs square pictures of {LEAST} px or more; got {height} x {width}")
        self.head_hidden_size = hidden
        self.C1 = nn.Conv2d(in_chans, 32, 11)
        self.M2 = create_pool2d("max", 3, 2, padding="same")
        self.C3 = nn.Conv2d(32, 16, 9)
        side = -(-(height - 10) // 2) - 8
        self.L4 = LocallyConnected2d(16, 16, side, 9)
        self.L5 = LocallyConnected2d(16, 16, self.L4.side, 7, 2)
        self.L6 = LocallyConnected2d(16, 16, self.L5.side, 5)
        self.F7 = nn.Linear(16 * self.L6.side**2, hidden)
        self.dropout = nn.Dropout(drop_rate)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Say which layers belong together, for `layer_decay`."""
        return {name: f"^{name}" for name in ("C1", "C3", "L4", "L5", "L6", "F7")}

    def forward_features(self, x: Tensor) -> Tensor:
        """Return L6's map (B, 16, h, w), 21 x 21 at 152 px."""
        x = self.C3(self.M2(self.C1(x).relu())).relu()
        return self.L6(self.L5(self.L4(x).relu()).relu()).relu()

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return F7's output (B, hidden)."""
        return self.dropout(self.F7(x.flatten(1)).relu())


@register_model
def deepface(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """DeepFace without its classifier."""
    return build(DeepFace, "deepface", pretrained, **kwargs)
