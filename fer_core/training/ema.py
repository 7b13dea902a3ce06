"""Exponential moving average of the weights (Polyak & Juditsky 1992; Tarvainen & Valpola, NeurIPS 2017), by timm.

    m_n = d_n · m_(n−1) + (1 − d_n) · w_n,   d_0 = 0,   d_n = min(decay, 1 − (1 + n)^(−2/3))

w_n are the weights after step n = 0, 1, ... Variant: timm's `ModelEmaV3` with its warm-up of the decay. Our runs have
some hundred to some thousand steps; with a constant decay of 0.999 the initial weights would keep a share of
0.999^1000 = 37 % after a thousand steps, with 0.99 they would spoil the first epochs. With the warm-up the first
update forgets them, and the average reaches back over about n^(2/3) steps: d is 0.80 at step 10, 0.95 at 100 and
0.99 at 1000. A `decay` above that does nothing in a shorter run.

Buffers in floating point (the running mean and variance of batch norms) are averaged like the weights, so that they
belong to the same stretch of steps; whole numbers (the count of batches) are copied when the model is asked for.

Where the tensors are is written down once: a small model's two state dicts a step take five times as long as the
arithmetic on them.
"""

from typing import Generic, TypeVar, cast

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from fer_core.losses.common import check_range

Model = TypeVar("Model", bound=nn.Module)
PLAIN = (torch.float32, torch.float64)
Table = dict[str, Tensor | None]  # a module's own, of parameters or of buffers
Place = tuple[Table, str]


class Ema(Generic[Model]):
    """The moving average of a model.

    Args:
        model: on its device and in its memory format; it is watched, never changed.
        decay: the largest d, in [0, 1).

    Raises:
        ConfigError: `decay` is out of its range.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self._average = ModelEmaV3(model, decay=check_range("ema", decay, 0, 1), use_warmup=True)
        self._average.requires_grad_(False)
        pairs = list(zip(_places(self._average.module), _places(model), strict=True))
        self._real = [pair for pair in pairs if _at(pair[0]).is_floating_point()]
        self._whole = [pair for pair in pairs if not _at(pair[0]).is_floating_point()]
        # timm's own way rounds bfloat16 by chance, and adds up what differs in precision
        self._is_plain = all(_at(place).dtype in PLAIN for pair in self._real for place in pair)

    @property
    def model(self) -> Model:
        """The averaged model, in evaluation mode, on the device of the other."""
        average: Model = self._average.module
        if self._whole:
            with torch.no_grad():
                torch._foreach_copy_([_at(pair[0]) for pair in self._whole], [_at(pair[1]) for pair in self._whole])
        return average

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the weights in after the optimiser's step number `step` = 0, 1, ..."""
        weight = 1 - self._average.get_decay(step + 1)  # timm counts steps from 1
        means, values = [_at(pair[0]) for pair in self._real], [_at(pair[1]) for pair in self._real]
        if self._is_plain:
            torch._foreach_lerp_(means, values, weight)
        else:
            self._average._foreach_lerp_(means, values, weight)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged model's state: plain tensors; there is nothing else to remember."""
        return dict(self.model.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state_dict` returned."""
        self._average.module.load_state_dict(state)


def _places(module: nn.Module) -> list[Place]:
    """Return where a state dict's tensors are, each tensor once, though several layers may share it.

    A table is asked anew at every step, because a parameter or buffer may be replaced by another.
    """
    found: dict[int, Place] = {}
    for part in module.modules():
        for table, hidden in ((part._parameters, ()), (part._buffers, part._non_persistent_buffers_set)):
            for name, value in table.items():
                if value is not None and name not in hidden:
                    found.setdefault(id(value), (cast(Table, table), name))
    return list(found.values())


def _at(place: Place) -> Tensor:
    table, name = place
    value = table[name]
    assert value is not None
    return value
