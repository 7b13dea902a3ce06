"""DeepFace's weights as Keras saved them (swghosh/DeepFace, VGGFace2_DeepFace_weights_val-0.9034.h5).

    convolution C1, C3      kernel (rows, columns, in, out)
    local L4, L5, L6        kernel (places, rows · columns · in, out), bias (rows', columns', out)
    linear F7               kernel (rows · columns · in, out): Keras flattens the channels last

F8, the classifier of 8631 people, is not used.
"""

from torch import Tensor, nn

from fer_core.models.deepface import DeepFace, LocallyConnected2d
from fer_core.pretraining.layouts.layout import Layout, Tensors


def convert(tensors: Tensors, backbone: nn.Module) -> dict[str, Tensor]:
    """Rename and reorder; a tensor of unexpected size keeps its published name, and so counts as missing."""
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.partition("/")
        module = getattr(backbone, layer, None)
        if isinstance(module, nn.Conv2d) and kind == "kernel" and tensor.ndim == 4:
            result[f"{layer}.weight"] = tensor.permute(3, 2, 0, 1).contiguous()
        elif isinstance(module, LocallyConnected2d) and tensor.ndim == 3 and kind in ("kernel", "bias"):
            if kind == "bias":
                result[f"{layer}.bias"] = tensor.permute(2, 0, 1).contiguous()
            elif tensor.shape[1] == module.weight.shape[1]:
                places = tensor.unflatten(1, (module.kernel, module.kernel, module.inputs))
                result[f"{layer}.weight"] = places.permute(0, 3, 1, 2, 4).flatten(1, 3).contiguous()
            else:
                result[name] = tensor
        elif isinstance(module, nn.Linear) and kind == "kernel" and tensor.ndim == 2 and len(tensor) % 16 == 0:
            result[f"{layer}.weight"] = tensor.unflatten(0, (-1, 16)).permute(2, 1, 0).flatten(1).contiguous()
        elif module is not None and kind == "bias":
            result[f"{layer}.bias"] = tensor
        else:
            result[name] = tensor
    return result


DEEPFACE = Layout(
    "DeepFace (Keras)",
    recognise=lambda tensors: {"C1/kernel", "L4/kernel", "F7/kernel"} <= set(tensors),
    suits=lambda backbone: isinstance(backbone, DeepFace),
    backbones="deepface (at 152 px)",
    convert=convert,
)
