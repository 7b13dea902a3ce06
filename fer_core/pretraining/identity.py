"""Losses that tell people apart, for `init: identity`. A new one is one file, one entry here and one in choices.py.

They share one shape: `Loss(features, identities, s, m)`, called as `loss(embeddings, labels)` for identity logits.
"""

from collections.abc import Callable

from torch import nn

from fer_core.errors import unknown_name
from fer_core.pretraining.arcface import ArcFace
from fer_core.pretraining.cosface import CosFace

IDENTITY_LOSSES: dict[str, Callable[..., nn.Module]] = {"arcface": ArcFace, "cosface": CosFace}


def build_identity_loss(name: str, features: int, identities: int, scale: float, margin: float) -> nn.Module:
    """Build the loss called `name` for embeddings (B, `features`) of `identities` people.

    Raises:
        ConfigError: the name is unknown.
    """
    if name not in IDENTITY_LOSSES:
        raise unknown_name("identity.loss", name, IDENTITY_LOSSES)
    return IDENTITY_LOSSES[name](features, identities, scale, margin)
