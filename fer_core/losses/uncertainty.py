"""Learned task weights (Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
Geometry and Semantics", CVPR 2018).

    L = Σ_t  exp(−s_t) · L_t + s_t / 2,   s_t = log σ_t² learned

Variant: the paper's form for classification, L_t / σ² + log σ, with s predicted instead of σ as the paper advises,
so that nothing is divided by zero. Its form for regression has 1 / (2σ²): the same up to s -> s − log 2 and a constant,
so one form serves all tasks. Liebel and Körner ("Auxiliary Tasks in Multi-task Learning", 2018) take log(1 + σ²) as
the second term, which is never negative; here the total can be. At the optimum exp(−s_t) = 1 / (2 L_t): a task whose
loss nears 0 gets a weight without bound.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class UncertaintyWeights(nn.Module):
    """Sum of task losses with learned weights; `log_variance` (tasks,) must be given to the optimizer.

    Keep weight decay off it: decay pulls every weight to 1.

    Example:
        >>> total = UncertaintyWeights(tasks=2)
        >>> total([torch.tensor(0.5), torch.tensor(2.0)]).item()  # all weights start at 1
        2.5
    """

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(tasks))

    def forward(self, losses: Sequence[Tensor], mask: Tensor | Sequence[bool] | None = None) -> Tensor:
        """Return the weighted sum, a scalar.

        Args:
            losses: one scalar per task.
            mask: (tasks,) False for a task with nothing annotated in this batch: it adds neither its loss nor
                s / 2, which alone would drive its weight up. None: all tasks count.

        Raises:
            ValueError: there are not as many losses or mask entries as tasks.
        """
        values = torch.stack(list(losses)) if losses else self.log_variance.new_zeros(0)
        known = torch.ones(len(losses), dtype=torch.bool) if mask is None else torch.as_tensor(mask, dtype=torch.bool)
        if not values.shape == known.shape == self.log_variance.shape:
            raise ValueError(
                f"Expected {len(self.log_variance)} losses and mask entries; got {len(values)} and {len(known)}."
            )
        known = known.to(values.device)
        values = torch.where(known, values, 0.0)  # before the product, whose gradient a NaN would reach
        return (torch.exp(-self.log_variance) * values + torch.where(known, self.log_variance / 2, 0.0)).sum()

    def weights(self) -> Tensor:
        """Return the current factor exp(−s_t) of each task, (tasks,), without gradient."""
        return torch.exp(-self.log_variance.detach())
