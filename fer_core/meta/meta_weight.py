"""Meta-Weight-Net (Shu et al., "Learning an Explicit Mapping For Sample Weighting", NeurIPS 2019).

A small network V(·; θ) maps a sample's loss to its weight. One step, with the classifier's weights w:

    (i)    w'(θ) = w − α · ∇_w  (1/B) Σ_i v_i · L_i(w),        v_i = V(L_i(w); θ), L_i in V held constant
    (ii)   θ ← θ − β · ∇_θ  (1/M) Σ_j L_j^meta(w'(θ))           (an Adam step)
    (iii)  the real step descends (1/B) Σ_i v_i · L_i(w) with the new θ

The gradient in (ii) is exact, through the gradient in (i) (second order). For a sample it is
−(α/B) · ∂v_i/∂θ · <∇L_i, ∇L^meta(w')>: samples whose gradient agrees with that of the meta set gain weight.

Variant: the authors' code has two. MW-Net.py is the paper's algorithm as above (`normalise=False`). The other,
train_WRN-28-10_Meta_PGC.py, divides the weights by their sum in (i) and (iii), as Ren et al. (ICML 2018) do;
`normalise=True`, our default, is that: v_i / mean(v), since our losses are a mean over the batch. So the weighting
leaves the size of the loss alone, hence the learning rate and the balance with an AU loss. V and its Adam (rate
1e-3, weight decay 1e-4) are as in MW-Net.py.

The meta-gradient is proportional to α, and Adam divides by its size, so α matters little until the gradient is no
larger than the decay, which Adam adds to it: then V drifts back to equal weights. The paper's decay goes with its
α = 0.1; with the small rate of an AdamW as α, or late in a run, watch whether the weights still differ.

Any module may stand for the classifier. With the classification head on detached pooled features the step costs next
to nothing, and is exact for that head: updating only the top layers is the idea of Xu et al., "Faster Meta Update
Strategy for Noise-Robust Deep Learning", CVPR 2021.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from fer_core.errors import ConfigError, DataError


class MetaWeightNet(nn.Module):
    """V: losses (B,) to weights (B,) in 0..1; one hidden layer of ReLUs, a sigmoid on the output."""

    def __init__(self, hidden: int = 100) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def logits(self, loss: Tensor) -> Tensor:
        """Return what the sigmoid is taken of, (B,), for the losses (B,)."""
        return self.layers(loss[:, None])[:, 0]

    def forward(self, loss: Tensor) -> Tensor:
        """Return the weights (B,) of the losses (B,)."""
        return torch.sigmoid(self.logits(loss))


class MetaWeight:
    """V with its optimiser.

    Args:
        device: where V lives.
        lr: β, the rate of V's Adam.
        weight_decay: of V's Adam.
        normalise: divide the weights by their mean over the batch, see above.

    Attributes:
        net: the `MetaWeightNet`, its first weights drawn from torch's global generator.
        optimizer: its Adam.
    """

    def __init__(
        self,
        device: torch.device | str = "cpu",
        *,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        normalise: bool = True,
    ) -> None:
        self.net = MetaWeightNet().to(device)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=lr, weight_decay=weight_decay)
        self.normalise = normalise

    def weigh(
        self,
        module: nn.Module,
        inputs: Tensor,
        target: Tensor,
        meta_inputs: Tensor,
        meta_target: Tensor,
        per_sample_loss: Callable[[Tensor, Tensor], Tensor],
        lr: float,
    ) -> Tensor:
        """Train V by one step and return the weights of a batch.

        Args:
            module: maps inputs to logits; nothing in it changes. Dropout draws from the global generator.
            inputs: (B, ...), for instance pooled features; half precision is lifted to the module's type.
            target: (B, ...), as the loss wants it.
            meta_inputs: (M, ...) of the meta set.
            meta_target: (M, ...).
            per_sample_loss: logits (B, K) and target to losses (B,).
            lr: α, the rate of the virtual step; in the paper that of the classifier's SGD, 0.1 (see above).

        Returns:
            Weights (B,) >= 0 without gradient, to be multiplied with the losses: Σ w_i L_i / B is the batch's loss.

        Raises:
            DataError: the batch or the meta batch is empty.
        """
        if not len(inputs) or not len(meta_inputs):
            raise DataError(f"Expected pictures and meta pictures; got {len(inputs)} and {len(meta_inputs)}.")
        # detached: the gradient flows to V alone; cloned: batch norms write into their buffers
        weights = {key: item.detach().requires_grad_(item.requires_grad) for key, item in module.named_parameters()}
        buffers = {key: item.clone() for key, item in module.named_buffers()}

        def losses(at: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            lifted = x.to(next(iter(at.values())).dtype) if x.is_floating_point() else x
            return per_sample_loss(functional_call(module, {**at, **buffers}, (lifted.detach(),)), y)

        trained = {key: item for key, item in weights.items() if item.requires_grad}
        # differences of gradients are too small for half precision, so no autocast in here
        with torch.enable_grad(), torch.autocast(inputs.device.type, enabled=False):
            loss = losses(weights, inputs, target)
            virtual = (self._weights(loss) * loss).mean()
            slopes = torch.autograd.grad(virtual, list(trained.values()), create_graph=True, allow_unused=True)
            moved = {
                key: item if slope is None else item - lr * slope
                for (key, item), slope in zip(trained.items(), slopes, strict=True)
            }
            meta_loss = losses({**weights, **moved}, meta_inputs, meta_target).mean()
            own = list(self.net.parameters())
            for item, slope in zip(own, torch.autograd.grad(meta_loss, own), strict=True):
                item.grad = slope
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):
            return self._weights(loss)

    def _weights(self, loss: Tensor) -> Tensor:
        logits = self.net.logits(loss.detach().to(next(self.net.parameters()).dtype)).to(loss.dtype)
        if not self.normalise:
            return torch.sigmoid(logits)
        # v / Σv as a softmax of log v: no division by a sum that underflows, also not in the gradient
        return len(loss) * torch.softmax(functional.logsigmoid(logits), dim=0)

    def state_dict(self) -> dict[str, Any]:
        """Return V's and its optimiser's state, for `torch.load(weights_only=True)`."""
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])


def meta_set(labels: Tensor, per_class: int, generator: torch.Generator) -> Tensor:
    """Draw the small balanced meta set, from the train pictures.

    Never from validation, which only chooses among epochs and techniques. The drawn pictures also stay among those
    to train on: a data set as small as ours has none to spare. (The paper's are held out.)

    Args:
        labels: (N,) int64 classes of the train pictures, on the CPU.
        per_class: pictures of each class that is present; a class with fewer gives all of them.
        generator: a CPU generator.

    Returns:
        Sorted int64 indices into `labels`, each at most once.

    Raises:
        ConfigError: `per_class` is below 1.
    """
    if per_class < 1:
        raise ConfigError(f"Expected `per_class` to be at least 1; got {per_class!r}.")
    shuffled = torch.randperm(len(labels), generator=generator)
    drawn = [shuffled[labels[shuffled] == label][:per_class] for label in labels.unique()]
    return torch.cat(drawn).sort().values if drawn else shuffled
