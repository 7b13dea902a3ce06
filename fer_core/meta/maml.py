"""Model-agnostic meta-learning, first order (Finn, Abbeel & Levine, "MAML", ICML 2017, section 5.2).

    w_0 = w,   w_(k+1) = w_k − α · ∇L_support(w_k),   k = 0 .. K − 1
    meta-gradient  ≈  ∇L_query at w_K,   applied to w

Variant: the first-order one, which drops the derivative of w_K by w, a product of (I − α · Hessian); Nichol et al.,
"On First-Order Meta-Learning Algorithms", 2018, call it FOMAML. Inner steps are plain SGD without momentum or decay.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fer_core.errors import ConfigError
from fer_core.losses.common import check_range


def first_order_gradient(
    model: nn.Module,
    loss_of: Callable[[nn.Module, Tensor], Tensor],
    support: Tensor,
    query: Tensor,
    *,
    inner_lr: float,
    inner_steps: int,
) -> list[Tensor | None]:
    """Return the gradient of the query loss at the weights adapted to the support batch.

    Parameters, buffers and training modes are afterwards exactly what they were, also when `loss_of` raises; the
    parameters' `grad` is not touched. The parameters are changed in place meanwhile: no graph through the model may
    be waiting for its `backward`.

    Args:
        model: any module.
        loss_of: the model and a batch to a scalar loss. Called `inner_steps` + 1 times.
        support: the batch to adapt to; handed to `loss_of`, so indices will do.
        query: the batch whose gradient is wanted.
        inner_lr: α >= 0.
        inner_steps: K >= 0; with 0 it is the plain gradient.

    Returns:
        One gradient per parameter, in the order of `model.parameters()`; None for a frozen or unused one.

    Raises:
        ConfigError: `inner_lr` or `inner_steps` is negative.
    """
    check_range("inner_lr", inner_lr, 0, float("inf"))
    if inner_steps < 0:
        raise ConfigError(f"Expected `inner_steps` to be at least 0; got {inner_steps!r}.")
    trained = [item for item in model.parameters() if item.requires_grad]
    with _restored(model), torch.enable_grad():
        for _ in range(inner_steps):
            slopes = torch.autograd.grad(loss_of(model, support), trained, allow_unused=True)
            with torch.no_grad():
                for item, slope in zip(trained, slopes, strict=True):
                    if slope is not None:
                        item.sub_(slope, alpha=inner_lr)
        found = iter(torch.autograd.grad(loss_of(model, query), trained, allow_unused=True))
        return [next(found) if item.requires_grad else None for item in model.parameters()]


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    weights = [(item, item.detach().clone()) for item in model.parameters()]
    buffers = [
        (module, key, item, item.clone())
        for module in model.modules()
        for key, item in module._buffers.items()
        if item is not None
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in weights:
                weight.copy_(value)
            for module, key, item, value in buffers:
                item.copy_(value)
                module._buffers[key] = item  # some modules put a new tensor there
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def add_gradients(parameters: Iterable[nn.Parameter], gradients: Sequence[Tensor | None], weight: float = 1.0) -> None:
    """Add `weight` times each gradient to its parameter's `grad`; None adds nothing.

    Raises:
        ValueError: there are not as many gradients as parameters.
    """
    for item, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            continue
        if item.grad is None:
            item.grad = weight * gradient
        else:
            item.grad.add_(gradient, alpha=weight)
