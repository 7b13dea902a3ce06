"""Class-balanced sampling without chance in the counts: every present class equally often, N draws.

    n_k(epoch) ∈ {⌊N / K⌋, ⌈N / K⌉},   K = number of classes that have a picture

The class-balanced sampling of Kang et al., "Decoupling Representation and Classifier for Long-Tailed
Recognition", ICLR 2020 (their q = 0), which draws class and picture at random; `weighted` does that. Here the
epoch is a row of blocks of K draws, each with every class once in random order, and the pictures of a class come
in fresh random permutations, so that none repeats before all of its class were shown. The blocks are those of
pytorch-metric-learning's `MPerClassSampler` with m = 1, which picks the pictures of a block independently.
"""

from typing import Any

import torch
from torch import Tensor

from fer_core.sampling.cycle import cycled


def order(labels: Tensor, generator: torch.Generator, **_: Any) -> Tensor:
    """Return N indices, (N,) int64; where K does not divide N the last block is cut short."""
    if len(labels) == 0:
        return torch.empty(0, dtype=torch.int64)
    members = [labels.eq(label).nonzero().flatten() for label in labels.unique()]
    blocks = -(-len(labels) // len(members))
    pictures = torch.stack([own[cycled(len(own), blocks, generator)] for own in members], dim=1)
    # sorting random numbers gives one permutation of the classes a row; float64 makes equal ones improbable
    turns = torch.rand(pictures.shape, dtype=torch.float64, generator=generator).argsort(dim=1)
    return pictures.gather(1, turns).flatten()[: len(labels)]
