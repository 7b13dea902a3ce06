"""What augmentations share: constants made once, rows in their order of memory, seeds out of a generator's state."""

import math

import pytest
import torch

from fer_core.augment.batch import constant, on_host, partners, seed_of, take
from fer_core.augment.cutmix import paste
from fer_core.augment.mixing import mix

CPU = torch.device("cpu")


def test_a_constant_is_made_once_and_serves_autograd_even_if_first_asked_for_in_inference() -> None:
    with torch.inference_mode():
        first = constant(((1.5, -2.0),), torch.float64, CPU)
    assert first.tolist() == [[1.5, -2.0]] and first.dtype == torch.float64
    assert constant(((1.5, -2.0),), torch.float64, CPU) is first
    assert constant(((1.5, -2.0),), torch.float32, CPU) is not first
    value = torch.ones(1, 2, dtype=torch.float64, requires_grad=True)
    (value * first).sum().backward()
    assert value.grad is not None and value.grad.tolist() == [[1.5, -2.0]]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_rows_are_taken_in_their_order_of_memory(layout: torch.memory_format) -> None:
    images = torch.rand(4, 3, 5, 6).contiguous(memory_format=layout)
    found = take(images, torch.tensor([2, 0, 2]))
    assert found.equal(torch.stack([images[2], images[0], images[2]]))
    assert found.is_contiguous(memory_format=layout)
    found.zero_()
    assert images.min() >= 0 and images.sum() > 0, "a copy"
    assert take(torch.tensor([[1, 2], [3, 4]]), torch.tensor([1])).tolist() == [[3, 4]]


def test_every_byte_of_a_state_counts_for_the_seed() -> None:
    state = torch.arange(16, dtype=torch.uint8)
    seeds = {seed_of(state)}
    for place in range(16):
        other = state.clone()
        other[place] += 100
        seeds.add(seed_of(other))
    assert len(seeds) == 17 and all(0 <= seed < 2**62 for seed in seeds)
    assert seed_of(state) == seed_of(state.clone())


def test_a_generator_on_the_host_is_used_as_it_is() -> None:
    generator = torch.Generator().manual_seed(3)
    assert on_host(generator) is generator
    expected = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    assert partners(9, generator, CPU).equal(expected)


@pytest.mark.parametrize("name", ["mixup", "cutmix", "face_cutmix"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_mixed_pictures_come_channels_last_whatever_the_order_given(name: str, layout: torch.memory_format) -> None:
    images = torch.rand(6, 3, 16, 16)

    def mixed(given: torch.Tensor) -> torch.Tensor:
        draw = torch.Generator().manual_seed(1)
        return mix(name, given, torch.eye(6), torch.zeros(6, 0), alpha=1.0, generator=draw)[0]

    found = mixed(images.contiguous(memory_format=layout))
    assert found.is_contiguous(memory_format=torch.channels_last) and not found.equal(images)
    assert found.equal(mixed(images))


def test_what_is_unknown_stays_in_its_own_part_of_a_pasted_picture() -> None:
    images = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).reshape(2, 1, 1, 3)
    images[1, 0, 0, 2] = math.nan
    partner = torch.tensor([1, 0])
    mask = torch.tensor([[[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]])
    mixed, targets = paste(images, torch.eye(2), images[partner], partner, mask)
    # the first picture's partner is unknown where nothing is pasted, the second's own where its partner is pasted over
    assert mixed.flatten().tolist() == [4, 2, 3, 4, 5, 3]
    torch.testing.assert_close(targets, torch.tensor([[2 / 3, 1 / 3], [1 / 3, 2 / 3]]))
