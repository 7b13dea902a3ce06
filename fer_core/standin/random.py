"""Randomness that belongs to one picture or one person: independent of batch, subset, order and workers."""

import numpy as np

_STREAMS = (
    "person",
    "traits",
    "expression",
    "coder",
    "scene",
    "degrade",
    "grain",
    "annotate",
    "layout",
    "clip",
    "ceiling",
)


def stream(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """Return the generator of (`seed`, `purpose`, `index`); one purpose never shifts another's draws."""
    return np.random.default_rng([seed, _STREAMS.index(purpose), index])
