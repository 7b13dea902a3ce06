"""Gradients of bf16 convolutions on a CPU, on maps smaller than their kernel, beside those in double precision."""

import copy

import pytest
import torch
from torch import Tensor, nn

from fer_core.models.cpu import pad_small_maps
from fer_core.training.device import Precision

# (layer, shape of the pictures): the first six come out wrong without the padding where the CPU has AVX512_BF16
CASES = [
    (nn.Conv3d(64, 64, 3, padding=1), (8, 64, 2, 8, 8)),
    (nn.Conv3d(16, 16, 3, padding=1), (8, 16, 2, 4, 4)),
    (nn.Conv3d(16, 16, 3, stride=2, padding=1), (8, 16, 3, 1, 1)),
    (nn.Conv2d(64, 64, 3, stride=2, padding=1), (8, 64, 1, 1)),
    (nn.Conv2d(32, 32, 5, stride=2, padding=2), (64, 32, 1, 1)),
    (nn.Conv2d(128, 64, 7, padding=3), (4, 128, 2, 2)),
    (nn.Conv2d(16, 16, 3, stride=3, padding=1), (8, 16, 2, 2)),
    (nn.Conv2d(16, 16, 3, padding=2, dilation=2), (8, 16, 2, 2)),
    (nn.Conv2d(64, 64, 3, padding=1), (8, 64, 2, 2)),
    (nn.Conv2d(64, 64, 3, stride=2, padding=1), (8, 64, 2, 2)),
    (nn.Conv2d(16, 16, 3, padding=1), (8, 16, 8, 8)),
]


def fill_free_memory(*sizes: int) -> None:
    """Leave large numbers in the memory that is given out next."""
    for size in sizes:
        torch.full((size,), 3e34)


def gradients(layer: nn.Module, images: Tensor, dtype: torch.dtype) -> list[Tensor]:
    layer.zero_grad()
    images = images.detach().clone().requires_grad_()
    for size in (10_000, 100_000, 1_000_000):
        fill_free_memory(size, images.numel(), *(item.numel() for item in layer.parameters()))
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        out = layer(images)
    torch.manual_seed(2)
    out.backward(torch.randn(out.shape).to(out.dtype))
    return [item.grad.double() for item in (images, *layer.parameters())]


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=str)
def test_gradients_are_those_of_double_precision(layer: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    images, layer = torch.randn(shape), copy.deepcopy(layer)
    expected = gradients(copy.deepcopy(layer).double(), images.double(), torch.float64)
    pad_small_maps(layer)
    for found, exact in zip(gradients(layer, images, torch.bfloat16), expected, strict=True):
        torch.testing.assert_close(found, exact, rtol=0, atol=0.02 * float(exact.abs().max()))


@pytest.mark.parametrize(
    ("layer", "modes"),  # for pictures of 1, 2, 3 and 5 pixels
    [
        (nn.Conv2d(2, 3, 3, padding=1), "czzz"),
        (nn.Conv2d(2, 3, 3, stride=2, padding=1), "czzz"),
        (nn.Conv2d(2, 3, 3, stride=3, padding=1), "cczz"),
        (nn.Conv2d(2, 3, 7, padding=3), "cccz"),
        (nn.Conv2d(2, 3, 3, padding=2, dilation=2), "cczz"),
        (nn.Conv3d(2, 3, 3, padding=1), "cczz"),
    ],
    ids=str,
)
def test_a_layer_pads_as_its_picture_asks(layer: nn.Module, modes: str) -> None:
    plain = copy.deepcopy(layer)
    pad_small_maps(layer)
    sides = len(layer.weight.shape) - 2
    for size, mode in (*zip((1, 2, 3, 5), modes, strict=True), (1, modes[0])):
        images = torch.rand(2, 2, size, *[9] * (sides - 1))
        torch.testing.assert_close(layer(images), plain(images))
        assert layer.padding_mode == {"c": "constant", "z": "zeros"}[mode], size


def test_layers_are_watched_once_and_those_without_zeros_never() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1),
        nn.Conv2d(1, 1, 3),
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(1, 1, 3, padding="same"),
        nn.Conv2d(1, 1, 1),
    )
    for _ in range(2):
        pad_small_maps(model)
    assert [len(layer._forward_pre_hooks) for layer in model] == [1, 0, 0, 1, 0]


@pytest.mark.parametrize(("name", "watched"), [("fp32", 0), ("bf16", 1), ("fp16", 0)])
def test_bf16_on_a_cpu_takes_care_of_small_maps(name: str, watched: int) -> None:
    model = nn.Conv2d(1, 1, 3, padding=1)
    Precision(model, torch.device("cpu"), name)
    assert len(model._forward_pre_hooks) == watched
