"""Mixing of samples: pictures, emotion targets and AU labels together. A new mix is one entry here.

mixup (Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018):
    x' = λ x_i + (1 − λ) x_j,  y' = λ y_i + (1 − λ) y_j,  λ ~ Beta(α, α),  j a random permutation of i.
Variant: λ is drawn per sample (the paper's code draws one per batch), which averages the strength within a step.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fer_core.errors import ConfigError, unknown_name

Mixed = tuple[Tensor, Tensor, Tensor]


def mixup(images: Tensor, targets: Tensor, aus: Tensor, alpha: float, generator: torch.Generator) -> Mixed:
    """Blend every sample with a partner; see the module's formula."""
    count, device = len(images), images.device
    # torch draws Beta only from its global state, so NumPy does, seeded by our generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    share = np.random.default_rng(int(seed)).beta(alpha, alpha, count)
    lam = torch.from_numpy(share).to(device, images.dtype)
    partner = torch.randperm(count, generator=generator, device=generator.device).to(device)

    def blend(values: Tensor) -> Tensor:
        weight = lam.to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
        return torch.lerp(values[partner], values, weight)  # NaN where either is NaN

    return blend(images), blend(targets), blend(aus)


def _unchanged(images: Tensor, targets: Tensor, aus: Tensor, alpha: float, generator: torch.Generator) -> Mixed:
    return images, targets, aus


MIXES: dict[str, Callable[[Tensor, Tensor, Tensor, float, torch.Generator], Mixed]] = {
    "none": _unchanged,
    "mixup": mixup,
}


def mix(name: str, images: Tensor, targets: Tensor, aus: Tensor, *, alpha: float, generator: torch.Generator) -> Mixed:
    """Return mixed (images, targets, aus); the given tensors are not changed.

    Args:
        name: a key of `MIXES`.
        images: (B, C, H, W).
        targets: (B, K) probabilities.
        aus: (B, A) in 0..1 with NaN where not annotated; NaN too where either partner is.
        alpha: >= 0; the larger, the stronger the mixing; 0 is no mixing.
        generator: the only source of randomness.

    Raises:
        ConfigError: the name is unknown or alpha negative.
    """
    if name not in MIXES:
        raise unknown_name("mix", name, MIXES)
    if alpha < 0:
        raise ConfigError(f"Expected `mix_alpha` to be at least 0; got {alpha!r}.")
    if alpha == 0 or len(images) == 0:
        return images, targets, aus
    return MIXES[name](images, targets, aus, alpha, generator)
