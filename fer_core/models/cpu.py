"""Settings that make networks quick on a CPU, and right."""

from typing import Any

from timm.layers import set_fused_attn
from torch import nn


def prepare_cpu() -> None:
    """Turn timm's fused attention off, which halves the speed of bf16 transformers on a CPU.

    Call it before a model is built: timm's attention layers read the setting when they are made.
    """
    set_fused_attn(False)


def pad_small_maps(model: nn.Module) -> None:
    """Make convolutions lay their zeros around a map that is too small for their kernel before they begin.

    On CPUs with AVX512_BF16 PyTorch 2.15 (oneDNN 3.13) leaves parts of a bf16 convolution's weight gradient unwritten
    where the map is smaller than the kernel in some direction: 2 frames under 3 × 3 × 3, a map of 1 × 1 under 3 × 3
    with stride 2, of 2 × 2 under 7 × 7. What stood in the memory before becomes the gradient, now and then not a
    number. With the zeros laid explicitly the same sums come out right. fp32, fp16 and forward passes are fine.

    So are, in two thousand shapes tried at random, two-dimensional convolutions of stride 1 or 2 whose map is larger
    than half of the kernel. They stay as they are: in ResNet18 at 64 px, which ends in maps of 2 × 2, the padding would
    cost an eighth of a step. Convolutions that call torch's function themselves (timm's weight-standardised ones) stay
    as they are too.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d) and _pads(module) and not _is_watched(module):
            module.register_forward_pre_hook(_choose_padding)


def _pads(module: nn.Conv2d | nn.Conv3d) -> bool:
    return module.padding_mode == "zeros" and any(module._reversed_padding_repeated_twice)


def _is_watched(module: nn.Module) -> bool:
    return _choose_padding in module._forward_pre_hooks.values()


def _choose_padding(module: Any, inputs: tuple[Any, ...]) -> None:
    """Set the mode to what `torch.nn.functional.pad` is called with before the convolution, or to none of it."""
    spare = isinstance(module, nn.Conv2d) and max(module.stride) <= 2
    small = any(
        extent <= (width // 2 if spare else width - 1) * gap
        for extent, width, gap in zip(inputs[0].shape[2:], module.kernel_size, module.dilation, strict=True)
    )
    mode = "constant" if small else "zeros"
    if module.padding_mode != mode:
        module.padding_mode = mode
