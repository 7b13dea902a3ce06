"""Batch norms that normalise by the batch of all processes (Ioffe and Szegedy, ICML 2015; Zhang et al., "Context
Encoding for Semantic Segmentation", CVPR 2018, section 3.2, for the sums over devices).

torch's SyncBatchNorm has kernels for GPUs alone; timm's `convert_sync_batchnorm` puts it in, also into timm's norms
with an activation. On CPUs the same is done with sums that gradients flow through:

    mean = Σ x / n,   variance = Σ x² / n − mean²,   n = pictures · places of all processes, in float64
"""

from types import MethodType
from typing import Any

import torch
import torch.distributed
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from fer_core.training.distributed import world


def synchronise_norms(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model with batch norms over all processes; the model itself where there is one process."""
    if world() == 1:
        return model
    if device.type == "cuda":
        converted: nn.Module = convert_sync_batchnorm(model)
        return converted
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.forward = MethodType(_forward, module)  # type: ignore[method-assign]
    return model


def _forward(norm: Any, x: Tensor) -> Tensor:
    """Normalise x (B, C, ...) by all processes' pictures in training, by the running statistics in evaluation."""
    after = [layer for name in ("drop", "act") if (layer := getattr(norm, name, None)) is not None]  # timm's norms
    if norm.training or norm.running_mean is None:
        mean, variance, count = _statistics(x)
        if norm.training and norm.track_running_stats:
            _remember(norm, mean.detach(), variance.detach(), count)
    else:
        mean, variance = norm.running_mean.double(), norm.running_var.double()
    shape = (1, -1) + (1,) * (x.ndim - 2)
    scale = (variance + norm.eps).rsqrt()
    weight = scale if norm.weight is None else scale * norm.weight
    offset = -mean * weight if norm.bias is None else norm.bias - mean * weight
    # in the type of the picture, as torch's own norms answer
    found = (x.float() * weight.float().reshape(shape) + offset.float().reshape(shape)).to(x.dtype)
    for layer in after:
        found = layer(found)
    return found


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    places = [0, *range(2, x.ndim)]
    wide = x.double()
    count = wide.new_tensor([wide.numel() / x.shape[1]])
    sums = all_reduce(torch.cat([wide.sum(places), wide.square().sum(places), count]))
    total, squares, number = sums[: x.shape[1]], sums[x.shape[1] : -1], sums[-1].detach()
    mean = total / number
    return mean, (squares / number - mean.square()).clamp(min=0), number


def _remember(norm: Any, mean: Tensor, variance: Tensor, count: Tensor) -> None:
    """Move the running statistics, of which torch keeps the unbiased variance."""
    norm.num_batches_tracked.add_(1)
    momentum = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
    unbiased = variance * count / (count - 1).clamp(min=1)
    with torch.no_grad():
        norm.running_mean.lerp_(mean.to(norm.running_mean), momentum)
        norm.running_var.lerp_(unbiased.to(norm.running_var), momentum)
