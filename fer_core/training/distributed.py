"""One training run on several processes, each with a share of every batch: data parallelism under torchrun.

    torchrun --nproc-per-node 2 -m stages.train baseline --plan plans/baseline.yaml

Every process draws the whole batch of a step, augmented and mixed, and keeps its share of it: so the draws, the
partners that pictures are mixed with and the counts that losses are divided by are those of one process. Gradients are
summed, batch norms normalise by the whole batch (`fer_core.training.norms`), and predictions are put together again in
the order of the faces. What remains different is the order of floating-point sums, and the draws of dropout and
stochastic depth, which every process makes for its own share.

Without torchrun there is one process, and nothing here costs anything.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

T = TypeVar("T")
LONGEST = timedelta(hours=2)  # that one process waits for another: the first predicts and writes alone


def rank() -> int:
    """Return this process's number, from 0; the first one writes files."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def world() -> int:
    """Return the number of processes."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def is_first() -> bool:
    """Return whether this is the process that writes files and shows progress."""
    return rank() == 0


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that torchrun started for as long as the context lasts; without torchrun, do nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or torch.distributed.is_initialized():
        yield
        return
    backend = "cpu:gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl"
    torch.distributed.init_process_group(backend, timeout=LONGEST)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def share(count: int) -> slice:
    """Return which of `count` rows are this process's: contiguous parts, equal but for one row, in order of rank."""
    return _shares(count)[rank()]


def _shares(count: int) -> list[slice]:
    bounds = [count * number // world() for number in range(world() + 1)]
    return [slice(low, high) for low, high in pairwise(bounds)]


def pieces(count: int, most: int) -> tuple[list[slice], float]:
    """Return the parts of a batch of `count` pictures that this process puts through the network one by one.

    Every process has as many, since batch norms meet at each. A batch too small to give every process a picture is put
    through by all of them.

    Args:
        count: of the whole batch.
        most: pictures of a part.

    Returns:
        The parts, and the factor on their losses: 1, or where all processes do the same 1 / their number.
    """
    if count < world():
        return cut(slice(0, count), -(-count // most)), 1 / world()
    shares = _shares(count)
    largest = max(part.stop - part.start for part in shares)
    smallest = min(part.stop - part.start for part in shares)
    return cut(shares[rank()], min(-(-largest // most), smallest)), 1.0


def cut(rows: slice, parts: int) -> list[slice]:
    """Return `rows` in so many contiguous parts, equal but for one row."""
    total = rows.stop - rows.start
    bounds = [rows.start + total * number // parts for number in range(parts + 1)]
    return [slice(low, high) for low, high in pairwise(bounds)]


@torch.no_grad()
def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Add up every parameter's gradient over all processes: one message for each type of number.

    A parameter that no process used has no gradient on any of them, since all take the same steps.
    """
    if world() == 1:
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            by_type.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for gradients in by_type.values():
        flat = _flatten_dense_tensors(gradients)
        torch.distributed.all_reduce(flat)
        torch._foreach_copy_(gradients, list(_unflatten_dense_tensors(flat, gradients)))


@torch.no_grad()
def summed(values: Tensor) -> Tensor:
    """Return the sum of `values` over all processes."""
    if world() > 1:
        values = values.clone()
        torch.distributed.all_reduce(values)
    return values


def gathered(rows: Tensor, total: int) -> Tensor:
    """Return all `total` rows of which every process has its `share`, (total, ...), in order."""
    if world() == 1:
        return rows
    largest = -(-total // world())
    padded = rows.new_zeros(largest, *rows.shape[1:])
    padded[: len(rows)] = rows
    found = [torch.empty_like(padded) for _ in range(world())]
    torch.distributed.all_gather(found, padded)
    parts = _shares(total)
    return torch.cat([item[: part.stop - part.start] for item, part in zip(found, parts, strict=True)])


def from_first(value: T) -> T:
    """Return the first process's value in every process; plain values and tensors on the CPU."""
    if world() == 1:
        return value
    box: list[Any] = [value if is_first() else None]
    torch.distributed.broadcast_object_list(box, src=0)
    found: T = box[0]
    return found
