"""What a backbone learns before it sees an emotion. A new self-supervised method is one file and one entry here.

Methods share one shape: `Method(backbone, features, ...)`, `.views(images, generator)` (what it makes of a batch),
`.loss(*views)`, `.update_target(step, steps)` after every step. Which keys of `ssl` a method has stands in
`fer_core.choices.SSL_KEYS`.
Identity pretraining is `fer_core.pretraining.arcface`, weight files are `fer_core.pretraining.weights`.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from fer_core.errors import unknown_name
from fer_core.pretraining.byol import Byol
from fer_core.pretraining.mae import Mae
from fer_core.pretraining.moco import MoCo
from fer_core.pretraining.simclr import SimClr

SELF_SUPERVISED: dict[str, Callable[..., nn.Module]] = {"simclr": SimClr, "moco": MoCo, "byol": Byol, "mae": Mae}


def build_self_supervised(name: str, backbone: nn.Module, features: int, **settings: Any) -> nn.Module:
    """Build the method called `name` around a backbone that gives pooled features (B, `features`).

    Raises:
        ConfigError: the name is unknown.
    """
    if name not in SELF_SUPERVISED:
        raise unknown_name("ssl.method", name, SELF_SUPERVISED)
    return SELF_SUPERVISED[name](backbone, features, **settings)
