"""What the contrastive methods share: a projection head and directions on the unit sphere.

The head is SimCLR's (Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020,
section 2.1), g(h) = W2 · ReLU(W1 · h), which MoCo v2 took over. It is thrown away after pretraining.
"""

from torch import Tensor, nn
from torch.nn import functional

from fer_core.errors import ConfigError
from fer_core.losses.common import at_least_float32

SHORTEST = 1e-3  # a shorter projection counts as this long, or a dead one's gradient would explode


def projection_head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Build linear, ReLU, linear: (B, `inputs`) to (B, `outputs`)."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs))


def directions(projections: Tensor) -> Tensor:
    """Return projections (B, D) at unit length, in float32 at least."""
    return functional.normalize(at_least_float32(projections), dim=-1, eps=SHORTEST)


def check_temperature(temperature: float) -> float:
    """Return τ if it is above 0 and finite, else raise ConfigError."""
    if not 0 < temperature < float("inf"):
        raise ConfigError(f"Expected `ssl.temperature` to be above 0 and finite; got {temperature!r}.")
    return temperature
