"""The PyTorch ports of VGGFace2's Caffe networks (Cao et al., FG 2018): ResNet-50 and SE-ResNet-50.

    conv1_7x7_s2, conv2_1_1x1_reduce_bn, ...   Oxford's own files and S. Albanie's (*_dag.pth). Stage i of Caffe is our
                                               layer i - 1, unit j our j - 1. Made for RGB.
    conv1, layer1.0.conv4 (squeeze), .conv5    the port cydonia999/VGGFace2-pytorch, torchvision's names. Made for BGR,
    (excitation), fc of 8631 people            so the first convolution's channels are turned round.

Both were trained with Caffe's strides and pooling: `fer_core.models.caffe_resnet`.
"""

import re

from timm.models.resnet import ResNet
from timm.models.senet import SENet
from torch import Tensor, nn

from fer_core.models.caffe_resnet import STD
from fer_core.pretraining.layouts.layout import Layout, Tensors, has

PEOPLE = 8631  # identities of VGGFace2's train set
BACKBONES = "caffe_resnet50 or, with squeeze and excitation, caffe_senet50"

_CAFFE = re.compile(r"conv([2-5])_(\d)_(1x1_reduce|3x3|1x1_increase|1x1_proj|1x1_down|1x1_up)(_bn)?\.")
_CONV = {"1x1_reduce": "conv1", "3x3": "conv2", "1x1_increase": "conv3"}
_SQUEEZE = {"1x1_down": "se_module.fc1", "1x1_up": "se_module.fc2"}


def is_caffes(backbone: nn.Module) -> bool:
    """Return whether a residual network halves the map in its units' first convolution and takes pictures in 0..255."""
    if not isinstance(backbone, (ResNet, SENet)) or (getattr(backbone, "pretrained_cfg", {}) or {}).get("std") != STD:
        return False  # timm's legacy_seresnet50 has the strides, but its pictures are 58 times as dark
    first = getattr(next(iter(backbone.get_submodule("layer2").children())), "conv1", None)
    return isinstance(first, nn.Conv2d) and first.kernel_size == (1, 1) and first.stride == (2, 2)


def _caffe_name(match: re.Match[str]) -> str:
    stage, unit, kind, norm = match.groups()
    place = f"layer{int(stage) - 1}.{int(unit) - 1}."
    if kind in _SQUEEZE:
        return f"{place}{_SQUEEZE[kind]}."
    if kind == "1x1_proj":
        return f"{place}downsample.{1 if norm else 0}."
    return f"{place}{_CONV[kind].replace('conv', 'bn') if norm else _CONV[kind]}."


def _stem(name: str, backbone: nn.Module) -> str:
    """Put the stem where timm's SENet has it."""
    return re.sub(r"(^|\.)(conv1|bn1)\.(?=[a-z_]+$)", r"\1layer0.\2.", name) if isinstance(backbone, SENet) else name


def from_caffe(tensors: Tensors, backbone: nn.Module) -> dict[str, Tensor]:
    """Rename Caffe's layers."""
    result = {}
    for name, tensor in tensors.items():
        new = _CAFFE.sub(_caffe_name, name)
        if new == name:
            new = _stem(name.replace("conv1_7x7_s2_bn.", "bn1.").replace("conv1_7x7_s2.", "conv1."), backbone)
        result[new] = tensor
    return result


def from_bgr(tensors: Tensors, backbone: nn.Module) -> dict[str, Tensor]:
    """Rename squeeze and excitation, and turn the first convolution's input from BGR to RGB."""
    result = {}
    for name, tensor in tensors.items():
        new = re.sub(r"(layer\d\.\d+)\.conv4\.", r"\1.se_module.fc1.", name)
        new = re.sub(r"(layer\d\.\d+)\.conv5\.", r"\1.se_module.fc2.", new)
        if re.search(r"(^|\.)layer\d\.", name) is None:
            if has({name: tensor}, "conv1.weight"):
                tensor = tensor.flip(1)  # noqa: PLW2901
            new = _stem(new, backbone)
        result[new] = tensor
    return result


def _is_bgr_port(tensors: Tensors) -> bool:
    if has(tensors, "conv1.weight", "layer1.0.conv4.weight", "layer1.0.conv5.weight"):
        return True
    people = [len(tensor) for name, tensor in tensors.items() if has({name: tensor}, "fc.weight")]
    return people == [PEOPLE] and has(tensors, "conv1.weight", "layer1.0.conv3.weight")


VGGFACE2 = Layout(
    "VGGFace2 (Caffe's names)",
    recognise=lambda tensors: has(tensors, "conv1_7x7_s2.weight", "conv2_1_1x1_reduce.weight"),
    suits=is_caffes,
    backbones=BACKBONES,
    convert=from_caffe,
)
VGGFACE2_BGR = Layout(
    "VGGFace2 (torchvision's names, BGR)",
    recognise=_is_bgr_port,
    suits=is_caffes,
    backbones=BACKBONES,
    convert=from_bgr,
)
