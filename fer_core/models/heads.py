"""Heads on the pooled features: emotions (B, D) -> (B, K), Action Units (B, D) -> (B, A). A new head is one entry here.

linear      z = W f + b
cosine      z_k = s · cos(f, w_k)
prototype   z_k = −‖f − c_k‖²,   c_k the mean feature of class k
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_core.errors import ConfigError, unknown_name
from fer_core.losses.common import at_least_float32
from fer_core.losses.prototypical import prototypes, squared_distances

# how far below the other logits a class without a prototype stands: e^-20 is a probability of 2e-9 at most
_GAP = 20.0
# a shorter feature vector counts as this long in the cosine, or a dead one's gradient would explode (as in ArcFace)
_SHORTEST = 1e-2


class Cosine(nn.Module):
    """Cosine classifier, z_k = s · cos(f, w_k), without bias.

    Gidaris and Komodakis, "Dynamic Few-Shot Visual Learning without Forgetting", CVPR 2018; Chen et al., "A Closer
    Look at Few-shot Classification", ICLR 2019. The length of a class's weights, which grows with its pictures,
    no longer matters. The first paper learns s, the second fixes it; here it is fixed.

    Attributes:
        weight: (K, D), one direction a class, at first uniform over the sphere.
        scale: s.
    """

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__()
        if not 0 < scale < float("inf"):
            raise ConfigError(f"Expected `scale` of the cosine head to be above 0 and finite; got {scale!r}.")
        self.weight = nn.Parameter(torch.randn(classes, features) / features**0.5)
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (B, K) in -s..s for features (B, D), in float32 or better.

        Zero features give 0; those shorter than 0.01 give less than their cosine, in proportion to their length.
        """
        features = at_least_float32(features)
        with torch.autocast(features.device.type, enabled=False):  # it would multiply in half precision
            directions = functional.normalize(features, dim=-1, eps=_SHORTEST)
            return self.scale * functional.linear(directions, functional.normalize(self.weight.to(features), dim=-1))


class Prototype(nn.Module):
    """Nearest class mean, z_k = −‖f − c_k‖², without weights.

    Snell et al., "Prototypical Networks for Few-shot Learning", NeurIPS 2017. There is nothing to train but the
    features. The paper trains in episodes: the classes' means over a support set classify a query set.
    `training_logits` splits the batch into two such sets, each the other's support; unlike the paper's, its classes
    come as the sampler draws them, and a class that the support half lacks is represented by its stored mean. For
    evaluation the whole train set is the support: `refresh` stores its means, and `forward` compares with them.

    A class without any picture has no mean. Its logit lies 20 below the lowest other one of the same row, as a
    constant without gradient: it is never predicted, yet log-probabilities and losses stay finite.

    Attributes:
        prototypes: (K, D), the stored class means.
        known: (K,) bool, which of them were found; none before the first `refresh`.
    """

    prototypes: Tensor
    known: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("prototypes", torch.zeros(classes, features))
        self.register_buffer("known", torch.zeros(classes, dtype=torch.bool))

    @torch.no_grad()
    def refresh(self, features: Tensor, target: Tensor) -> None:
        """Store the class means of the whole train set.

        To be called at the start of each epoch and before validation, as the features move with every step.

        Args:
            features: (N, D), computed in evaluation mode.
            target: (N, K) probabilities; one-hot for hard labels.
        """
        means, known = prototypes(features, target)
        self.prototypes.copy_(means)
        self.known.copy_(known)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (B, K) for features (B, D), in float32 or better, from the stored prototypes."""
        return _distance_logits(features, self.prototypes, self.known)

    def training_logits(self, features: Tensor, target: Tensor) -> Tensor:
        """Return logits (B, K) for a batch, each half of which (every second row) is the support of the other.

        A class's prototype is its mean over the other half, with gradient, if the shares there sum to more than
        0.5, else the stored one. With hard labels that is any picture of the class; with mixed ones it leaves
        out a class that is only the lesser part of one mixture, whose mean would be a picture of another class.
        A batch of one is compared with the stored prototypes.

        Args:
            features: (B, D).
            target: (B, K) probabilities, hard or mixed.
        """
        if len(features) < 2:
            return self(features)
        halves = [slice(0, None, 2), slice(1, None, 2)]
        logits = at_least_float32(features).new_empty(target.shape)
        for query, support in (halves, halves[::-1]):
            means, held = prototypes(features[support], target[support], least=0.5)
            centres = torch.where(held[:, None], means, self.prototypes.to(means))
            logits[query] = _distance_logits(features[query], centres, held | self.known)
        return logits


def _distance_logits(features: Tensor, centres: Tensor, known: Tensor) -> Tensor:
    logits = -squared_distances(features, centres)
    lowest = torch.where(known, logits.detach(), torch.inf).min(dim=1, keepdim=True).values
    lowest = torch.where(known.any(), lowest, 0)  # no class is known yet: all logits are equal
    return torch.where(known, logits, lowest - _GAP)


# (D, K, scale) -> module (B, D) -> (B, K)
HEADS: dict[str, Callable[[int, int, float], nn.Module]] = {
    "linear": lambda features, classes, _: nn.Linear(features, classes),
    "cosine": Cosine,
    "prototype": lambda features, classes, _: Prototype(features, classes),
}


def _mlp(features: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(features, features), nn.GELU(), nn.Linear(features, outputs))


# (D, A) -> module (B, D) -> (B, A)
AU_HEADS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": nn.Linear,
    "mlp": _mlp,
}


def build_head(name: str, features: int, classes: int, *, scale: float) -> nn.Module:
    """Build the emotion head called `name`.

    Args:
        name: a key of `HEADS`.
        features: D.
        classes: K.
        scale: s > 0 of the cosine head; the others do without.

    Returns:
        A module `(B, D) -> logits (B, K)`; "prototype" has further methods, see `Prototype`.

    Raises:
        ConfigError: the name is unknown or the scale out of its range.

    Example:
        >>> build_head("cosine", 8, 3, scale=16.0)(torch.zeros(1, 8)).tolist()
        [[0.0, 0.0, 0.0]]
    """
    if name not in HEADS:
        raise unknown_name("head", name, HEADS)
    return HEADS[name](features, classes, scale)


def build_au_head(name: str, features: int, outputs: int) -> nn.Module:
    """Build the Action Unit head called `name`, `(B, D) -> logits (B, A)`.

    "linear" reads the AUs off the features that the emotions use. "mlp" has a hidden layer of width D (GELU) of
    its own, the private layer on a shared representation of Caruana, "Multitask Learning", Machine Learning 1997:
    the AUs may bend the features to their task without the emotion head having to follow.

    Args:
        name: a key of `AU_HEADS`.
        features: D.
        outputs: A.

    Raises:
        ConfigError: the name is unknown.
    """
    if name not in AU_HEADS:
        raise unknown_name("au_head", name, AU_HEADS)
    return AU_HEADS[name](features, outputs)
