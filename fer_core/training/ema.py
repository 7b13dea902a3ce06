"""Exponential moving average of the weights (Polyak & Juditsky 1992; Tarvainen & Valpola, NeurIPS 2017), by timm.

    m_n = d_n · m_(n−1) + (1 − d_n) · w_n,   d_0 = 0,   d_n = min(decay, 1 − (1 + n)^(−2/3))

w_n are the weights after step n = 0, 1, ... Variant: timm's `ModelEmaV3` with its warm-up of the decay. Our runs have
some hundred to some thousand steps; with a constant decay of 0.999 the initial weights would keep a share of
0.999^1000 = 37 % after a thousand steps, with 0.99 they would spoil the first epochs. With the warm-up the first
update forgets them, and the average reaches back over about n^(2/3) steps: d is 0.80 at step 10, 0.95 at 100 and
0.99 at 1000. A `decay` above that does nothing in a shorter run.

Buffers in floating point (the running mean and variance of batch norms) are averaged like the weights, so that they
belong to the same stretch of steps; whole numbers (the count of batches) are copied.
"""

from typing import Generic, TypeVar

from timm.utils import ModelEmaV3
from torch import Tensor, nn

from fer_core.losses.common import check_range

Model = TypeVar("Model", bound=nn.Module)


class Ema(Generic[Model]):
    """The moving average of a model.

    Args:
        model: on its device and in its memory format; it is watched, never changed.
        decay: the largest d, in [0, 1).

    Raises:
        ConfigError: `decay` is out of its range.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self._source = model
        self._average = ModelEmaV3(model, decay=check_range("ema", decay, 0, 1), use_warmup=True)
        self._average.requires_grad_(False)

    @property
    def model(self) -> Model:
        """The averaged model, in evaluation mode, on the device of the other."""
        average: Model = self._average.module
        return average

    def update(self, step: int) -> None:
        """Take the weights in after the optimiser's step number `step` = 0, 1, ..."""
        self._average.update(self._source, step=step + 1)  # timm counts steps from 1

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged model's state: plain tensors; there is nothing else to remember."""
        return dict(self._average.module.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state_dict` returned."""
        self._average.module.load_state_dict(state)
