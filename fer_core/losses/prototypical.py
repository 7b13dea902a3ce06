"""Prototypical loss (Snell et al., "Prototypical Networks for Few-shot Learning", NeurIPS 2017).

    c_k = Σ_i y_ik f_i / Σ_i y_ik                                   over the support
    L = mean_j  −log softmax_k(−‖f_j − c_k‖²)_{k = class of j}      over the queries

The paper's squared Euclidean distance. The shares y may be soft, as after Mixup; with hard labels c_k is the mean
of the class. It is computed in float32 where the features are in half precision, autocast or not.
"""

import torch
from torch import Tensor
from torch.nn import functional

from fer_core.errors import ConfigError
from fer_core.losses.common import at_least_float32


def prototypes(features: Tensor, shares: Tensor, least: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the mean feature of each class and which classes have one.

    Args:
        features: (S, D) of the support.
        shares: (S, K) >= 0, how much each picture belongs to each class; one-hot for hard labels.
        least: a class has a prototype if its shares sum to more than this.

    Returns:
        (K, D) prototypes, 0 where a class has none, and (K,) bool: whether it has one.
    """
    features = at_least_float32(features)
    shares = shares.to(features)
    with torch.autocast(features.device.type, enabled=False):  # it would multiply in half precision
        totals = shares.T @ features
    weights = shares.sum(dim=0)
    known = weights > least
    means = totals / torch.where(known, weights, 1)[:, None]  # never 0 / 0, whose gradient is NaN even if unused
    return torch.where(known[:, None], means, 0), known


def squared_distances(features: Tensor, centres: Tensor) -> Tensor:
    """Return ‖f_i − c_k‖² of features (B, D) and centres (K, D), as (B, K).

    The differences are formed one by one: the expanded product is quicker, but cancels where f is near c.
    """
    features = at_least_float32(features)
    return (features[:, None] - centres.to(features)).square().sum(dim=-1)


def prototypical_loss(
    support_features: Tensor, support_class: Tensor, query_features: Tensor, query_class: Tensor
) -> Tensor:
    """Return the cross-entropy over an episode's classes, a scalar mean over the queries.

    Args:
        support_features: (S, D).
        support_class: (S,) int64; any numbers, the classes of the episode are those found here.
        query_features: (Q, D), Q >= 1.
        query_class: (Q,) int64, each of them among `support_class`.

    Raises:
        ConfigError: there is no query, or one whose class has no support.

    Example:
        >>> f = torch.tensor([[0.0], [1.0]])
        >>> round(prototypical_loss(f, torch.tensor([3, 5]), f[:1], torch.tensor([3])).item(), 4)
        0.3133
    """
    classes, support_index = support_class.unique(return_inverse=True)
    matches = query_class[:, None] == classes
    if len(query_class) == 0 or not bool(matches.any(dim=1).all()):
        raise ConfigError(
            f"Expected queries of the classes {classes.tolist()} of the support; got {query_class.unique().tolist()}."
        )
    centres, _ = prototypes(support_features, functional.one_hot(support_index, len(classes)))
    return functional.cross_entropy(-squared_distances(query_features, centres), matches.int().argmax(dim=1))
