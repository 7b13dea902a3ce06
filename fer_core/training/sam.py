"""Sharpness-aware minimisation (Foret et al., "Sharpness-Aware Minimization", ICLR 2021).

    ê = ρ · g / ‖g‖₂,   g = ∇L(w) over all parameters together;   step with ∇L(w + ê) from w

Variant: the paper's algorithm 1 with p = 2, first order (no gradient through ê), not the scale-free ASAM. The
step itself stays with the caller and its optimiser:

    loss.backward()                          # g
    sam.climb()                              # to w + ê
    optimizer.zero_grad()
    with frozen_statistics(model):
        second_loss().backward()             # ∇L(w + ê), on the same batch
    sam.descend()                            # back to w
    optimizer.step()
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fer_core.losses.common import at_least_float32, check_range


class Sam:
    """The way up to w + ê and back, for the parameters that have a gradient.

    Args:
        parameters: those that the optimiser trains.
        rho: ρ >= 0, the radius; 0.05 in most of the paper's experiments.

    Raises:
        ConfigError: `rho` is negative, infinite or not a number.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], rho: float) -> None:
        self.parameters = list(parameters)
        self.rho = check_range("sam", rho, 0, math.inf)
        self._saved: list[tuple[nn.Parameter, Tensor]] | None = None

    @torch.no_grad()
    def climb(self) -> None:
        """Add ê to the parameters; a gradient that is zero or not finite moves nothing.

        Raises:
            RuntimeError: an earlier `climb` was not taken back.
        """
        if self._saved is not None:
            raise RuntimeError("Expected descend() before the next climb(): the true weights would be lost.")
        pairs = [(item, at_least_float32(item.grad)) for item in self.parameters if item.grad is not None]
        # values kept, not ê: (w + ê) − ê is not w in floating point, and the error would add up over the steps
        self._saved = [(item, item.detach().clone()) for item, _ in pairs]
        if not pairs:
            return
        norm = nn.utils.get_total_norm([gradient for _, gradient in pairs])
        scale = torch.nan_to_num(self.rho / norm, nan=0.0, posinf=0.0)  # without asking the GPU for the norm
        for item, gradient in pairs:
            move = torch.where(scale > 0, gradient * scale, 0.0)  # an infinite gradient times 0 is not a number
            item.add_(move.to(item.dtype))

    @torch.no_grad()
    def descend(self) -> None:
        """Put the parameters back to the very values before `climb`; without one, do nothing."""
        for item, value in self._saved or ():
            item.copy_(value)
        self._saved = None


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Keep batch norms from updating their running statistics and their count of batches.

    In training mode they still normalise by the batch. The second pass of a step is at w + ê, where the model
    never is: its statistics do not belong in the running ones.
    """
    # not momentum 0: that still counts the batches, and 0 · inf of an overflowing batch is not a number
    norms = [item for item in model.modules() if isinstance(item, _BatchNorm) and item.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
