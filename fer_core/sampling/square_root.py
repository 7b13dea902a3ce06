"""Square-root sampling: P(class k) ∝ √n_k, N draws with replacement.

Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020, P(k) ∝ n_k^q with
q = 1/2, after Mahajan et al., "Exploring the Limits of Weakly Supervised Pretraining", ECCV 2018. It stands half
way between the data's own shares (q = 1) and `weighted` (q = 0). A picture of class k is drawn with probability
∝ n_k^(-1/2): the same draws as `torch.utils.data.WeightedRandomSampler` with these weights.
"""

from typing import Any

import torch
from torch import Tensor


def order(labels: Tensor, generator: torch.Generator, **_: Any) -> Tensor:
    """Return N draws with replacement, (N,) int64."""
    if len(labels) == 0:
        return torch.empty(0, dtype=torch.int64)
    weights = torch.bincount(labels).double() ** -0.5
    return torch.multinomial(weights[labels], len(labels), replacement=True, generator=generator)
