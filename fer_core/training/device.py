"""Where and in which precision a model runs."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from fer_core.choices import NAMES
from fer_core.errors import ConfigError, unknown_name
from fer_core.models.cpu import pad_small_maps


def pick_device() -> torch.device:
    """Return the first GPU, or the CPU; under torchrun the GPU of this process's number on its machine.

    Raises:
        ConfigError: torchrun started more processes on this machine than it has GPUs.
    """
    count, number = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", "0"))
    if count == 0:
        return torch.device("cpu")
    if number >= count:
        raise ConfigError(f"Expected at most one process a GPU on this machine, {count}; got process {number}.")
    return torch.device("cuda", number)


def _has_depthwise(model: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv2d) and m.groups > 1 and m.groups == m.in_channels for m in model.modules())


def _computes_in_bf16() -> bool:
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def precision_of(model: nn.Module, device: torch.device, precision: str) -> torch.dtype:
    """Return the type that `precision` (auto, fp32, bf16 or fp16) means for this model on this device.

    `auto` takes bf16 on GPUs that compute in it and fp16 on older ones; on CPUs bf16 where they compute in it and the
    model has no depthwise convolutions, else fp32. Measured, as multiples of fp32: residual networks 1.5 with AMX, 1.4
    with AVX512_BF16; vision transformers 1.5 with either; depthwise networks 0.7 and 0.6; without both 0.1.

    Raises:
        ConfigError: the name is unknown.
    """
    if precision not in NAMES["precision"]:
        raise unknown_name("precision", precision, NAMES["precision"])
    if precision == "auto" and device.type == "cuda":
        # emulated, as PyTorch can do it on older cards, it is slower than fp32
        precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    elif precision == "auto":
        precision = "bf16" if _computes_in_bf16() and not _has_depthwise(model) else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def autocast(model: nn.Module, device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the autocast context for `precision`; see `precision_of`."""
    return _cast(device, precision_of(model, device, precision))


def _cast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype, cache_enabled=False)


class Precision:
    """Forward passes, backward passes and steps in one precision; with fp16 the loss is scaled (Micikevicius et al.,
    "Mixed Precision Training", ICLR 2018) and a step whose gradients overflow is left out, both by torch's GradScaler.

    Args:
        model: decides what `auto` means; with bf16 on a CPU its convolutions pad small maps (`pad_small_maps`).
        device: where it runs.
        name: auto, fp32, bf16 or fp16.
    """

    def __init__(self, model: nn.Module, device: torch.device, name: str) -> None:
        self.device, self.dtype = device, precision_of(model, device, name)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self._unscaled = False
        if device.type == "cpu" and self.dtype == torch.bfloat16:
            pad_small_maps(model)

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass."""
        return _cast(self.device, self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`, scaled where they need it."""
        self.scaler.scale(loss).backward()

    def step(self, optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], clip: float = 0.0) -> None:
        """Take the optimiser's step, with the gradients' norm clipped to `clip` if that is above 0.

        Call `unscale` before it where more gradients are to be added to the scaled ones.
        """
        if clip > 0:
            self.unscale(optimizer)
            nn.utils.clip_grad_norm_(parameters, clip)
        self.scaler.step(optimizer)
        self.scaler.update()
        self._unscaled = False

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Bring the gradients to their true size, once a step."""
        if not self._unscaled:
            self.scaler.unscale_(optimizer)
            self._unscaled = True

    def state_dict(self) -> dict[str, Any]:
        """Return the scale and when it last grew; nothing where nothing is scaled."""
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state again."""
        self.scaler.load_state_dict(state)


def derived_seed(seed: int, *numbers: int) -> int:
    """Return a 63-bit seed for one purpose (an epoch, say), so that no generator state need be stored.

    Example:
        >>> derived_seed(0, 1) == derived_seed(0, 1) != derived_seed(0, 2)
        True
    """
    value = seed & (2**63 - 1)
    for number in numbers:  # SplitMix64's finaliser, which spreads neighbouring numbers
        value = (value * 0x9E3779B97F4A7C15 + number + 1) & (2**64 - 1)
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        value ^= value >> 31
    return value & (2**63 - 1)
