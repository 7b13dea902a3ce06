"""Optimisers and their learning rates.

Optimisers, as torch and timm have them:
    adamw: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019; torch's fused one.
    adam:  Kingma & Ba, "Adam", ICLR 2015; its weight decay is an L2 penalty on the loss, not decoupled.
    sgd:   with Nesterov momentum 0.9 (Sutskever et al., ICML 2013); the decay is an L2 penalty too.
    lamb:  You et al., "Large Batch Optimization for Deep Learning", ICLR 2020; timm's clips gradients to norm 1.
    lion:  Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023; wants a 3-10 times smaller rate.

Layer-wise decay of the learning rate (Clark et al., "ELECTRA", ICLR 2020; Bao et al., "BEiT", ICLR 2022):
    rate of layer group i = rate · d^(L − i),   i = 0 (stem) .. L − 1 (the backbone's last),   heads and attention: rate
The groups are the ones that timm numbers; `d` is `layer_decay`. With our heads in the place of timm's, a network's
factors are those that timm gives it with its own classifier.

Schedules: the factor on the learning rate at step t of T, after a linear warm-up of W steps (t + 1) / W,
with s = (t − W) / (T − W):
    cosine:    (1 + cos(π·s)) / 2                        Loshchilov & Hutter, "SGDR", ICLR 2017, without restarts
    linear:    1 − s
    step:      1, from s = 0.6 on 1/10, from 0.8 on 1/100     tenths as He et al., "Deep Residual Learning", CVPR 2016
    constant:  1
    one_cycle: Smith & Topin, "Super-Convergence", 2019, as torch's OneCycleLR does it: a cosine from 1/25 to 1 in the
               first 30 % of all steps, a cosine to 1/250000 in the others. It is its own warm-up, so W does nothing;
               momentum stays as it is.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from timm.optim import create_optimizer_v2, param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from fer_core.errors import ConfigError, unknown_name

OPTIMIZERS = ("adamw", "adam", "sgd", "lamb", "lion")


def adamw(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW with no decay on biases and norms, as timm groups them."""
    groups = param_groups_weight_decay(model, weight_decay)
    return torch.optim.AdamW(groups, lr=lr, fused=True)


def build_optimizer(
    name: str,
    groups_or_model: nn.Module | Iterable[dict[str, Any]],
    lr: float,
    weight_decay: float,
    *,
    layer_decay: float = 1.0,
) -> torch.optim.Optimizer:
    """Return the optimiser called `name`.

    Args:
        name: one of `OPTIMIZERS`.
        groups_or_model: a model, whose biases and norms do not decay; or ready parameter groups, in which a
            group may carry a `weight_decay` and an `lr_scale` of its own.
        lr: the learning rate; every group gets it times its `lr_scale`.
        weight_decay: >= 0.
        layer_decay: factor in (0, 1] on the learning rate from one layer group of `model.backbone` to the
            next deeper one; 1 switches it off.

    Raises:
        ConfigError: the name is unknown; `layer_decay` is out of its range, or the network has no layer groups.
    """
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)
    if not 0 < layer_decay <= 1:
        raise ConfigError(f"Expected `layer_decay` to be above 0 and at most 1; got {layer_decay!r}.")
    groups: list[dict[str, Any]]
    if layer_decay < 1:
        groups = layer_groups(groups_or_model, weight_decay, layer_decay)
    elif isinstance(groups_or_model, nn.Module):
        groups = param_groups_weight_decay(groups_or_model, weight_decay)
    else:
        groups = list(groups_or_model)
    optimizer: torch.optim.Optimizer
    if name == "adamw":
        optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay, fused=True)
    else:
        optimizer = create_optimizer_v2(groups, name, lr=lr, weight_decay=weight_decay, momentum=0.9)
    for group in optimizer.param_groups:
        group.setdefault("lr_scale", 1.0)
    set_lr(optimizer, lr)
    return optimizer


def layer_groups(model: object, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    """Return parameter groups with `lr_scale`: layer_decay ** (L − i) in `model.backbone`, 1 elsewhere.

    A transformer that pools its patches (attention on its map) has a norm behind the pooling, which timm counts with
    the classifier and which is the last group here: all its layers are one power of `layer_decay` lower than timm's.

    Raises:
        ConfigError: `model.backbone` is not a timm network with a `group_matcher`.
    """
    backbone = getattr(model, "backbone", None)
    if not (isinstance(model, nn.Module) and isinstance(backbone, nn.Module) and hasattr(backbone, "group_matcher")):
        raise ConfigError(
            f"Expected, for `layer_decay`, a model whose backbone is a timm network with a `group_matcher`; got "
            f"{type(model if backbone is None else backbone).__name__}: set `layer_decay` to 1."
        )
    inside = param_groups_layer_decay(backbone, weight_decay, layer_decay=layer_decay)
    for group in inside:  # timm gives its last group factor 1, which is the classifier's place: ours stands outside
        group["lr_scale"] *= layer_decay
    known = {id(item) for item in backbone.parameters()}
    outside = []
    for group in param_groups_weight_decay(model, weight_decay):
        if left := [item for item in group["params"] if id(item) not in known]:
            outside.append({**group, "params": left, "lr_scale": 1.0})
    return inside + outside


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group the learning rate `lr`, times its `lr_scale` where it has one."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)


def warmup_cosine(step: int, steps: int, warmup: int) -> float:
    """Return the factor on the learning rate at `step` of `steps`: 0..1 linearly, then a cosine to 0.

    Example:
        >>> [round(warmup_cosine(step, 9, 4), 2) for step in (0, 3, 4, 8)]
        [0.25, 1.0, 1.0, 0.1]
    """
    return schedule_factor("cosine", step, steps, warmup)


def schedule_factor(name: str, step: int, steps: int, warmup: int) -> float:
    """Return the factor in [0, 1] on the learning rate.

    Args:
        name: a key of `SCHEDULES`.
        step: 0 .. steps − 1; from `steps` on the schedule's end.
        steps: all steps of the run, those of the warm-up included.
        warmup: steps of the linear warm-up; `one_cycle` ignores it.

    Raises:
        ConfigError: the name is unknown.

    Example:
        >>> [round(schedule_factor("linear", step, 6, 2), 2) for step in range(6)]
        [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    if name not in SCHEDULES:
        raise unknown_name("schedule", name, SCHEDULES)
    if name == "one_cycle":
        return _one_cycle(step, steps)
    if step < warmup:
        return (step + 1) / warmup
    rest = max(steps - warmup, 1)
    return SCHEDULES[name](min(step - warmup, rest), rest)


def _cosine(step: int, steps: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def _linear(step: int, steps: int) -> float:
    return 1 - step / steps


def _step(step: int, steps: int) -> float:
    return 0.1 ** ((10 * step >= 6 * steps) + (10 * step >= 8 * steps))  # in whole numbers: 0.6 is none in binary


def _constant(step: int, steps: int) -> float:
    return 1.0


def _one_cycle(step: int, steps: int) -> float:
    top, last = 0.3 * steps - 1, steps - 1  # where the rate is highest and where it ends, as torch counts
    if step <= top:
        low, share = 1 / 25, 1 - step / top
    else:  # a run of one to three steps has no rise; torch starts its fall before step 0, and so do we
        low, share = 1 / 250_000, min((step - top) / (last - top), 1.0)
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * share))


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "cosine": _cosine,
    "linear": _linear,
    "step": _step,
    "constant": _constant,
    "one_cycle": _one_cycle,
}
