"""Mixing of samples: pictures, emotion targets and AU labels together. A new mix is one file and one entry here.

mixup (Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018):
    x' = λ x_i + (1 − λ) x_j,  y' = λ y_i + (1 − λ) y_j,  λ ~ Beta(α, α),  j a random permutation of i.
Variant: λ is drawn per sample (the paper's code draws one per batch), which averages the strength within a step.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fer_core.augment import cutmix, face_cutmix
from fer_core.augment.batch import Batch, numpy_draws, partners, take
from fer_core.errors import ConfigError, DataError, unknown_name

Mixed = tuple[Tensor, Tensor, Tensor]


def mixup(batch: Batch, targets: Tensor, alpha: float, generator: torch.Generator) -> Mixed:
    """Blend every sample with a partner; see the module's formula."""
    count, device = len(batch.images), batch.images.device
    share = numpy_draws(generator).beta(alpha, alpha, count)
    lam = torch.from_numpy(share).to(batch.images.dtype).to(device, non_blocking=True)
    # a sample that is all its own is its own partner: what is unknown (NaN) of another has no part in it
    partner = torch.where(lam == 1, torch.arange(count, device=device), partners(count, generator, device))

    def blend(values: Tensor) -> Tensor:
        weight = lam.to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
        return take(values, partner).lerp_(values, weight)  # NaN where either is NaN

    return blend(batch.images), blend(targets), blend(batch.aus)


def _unchanged(batch: Batch, targets: Tensor, alpha: float, generator: torch.Generator) -> Mixed:
    return batch.images, targets, batch.aus


MIXES: dict[str, Callable[[Batch, Tensor, float, torch.Generator], Mixed]] = {
    "none": _unchanged,
    "mixup": mixup,
    "cutmix": cutmix.mix,
    "face_cutmix": face_cutmix.mix,
}
USE_ALPHA = ("mixup", "cutmix")


def mix(
    name: str,
    images: Tensor,
    targets: Tensor,
    aus: Tensor,
    *,
    alpha: float,
    generator: torch.Generator,
    landmarks: Tensor | None = None,
    au_names: tuple[str, ...] = (),
) -> Mixed:
    """Return mixed (images, targets, aus), pictures channels-last in memory; the given tensors are not changed.

    Where nothing is to be mixed they are returned as they are.

    Args:
        name: a key of `MIXES`.
        images: (B, C, H, W).
        targets: (B, K) probabilities; several distributions may stand side by side.
        aus: (B, A) in 0..1, or intensities, with NaN where not annotated; NaN too where a needed partner is.
        alpha: >= 0; the larger, the stronger the mixing; 0 is no mixing. face_cutmix does not use it.
        generator: the only source of randomness.
        landmarks: (B, 5, 2), for face_cutmix; where unknown (NaN or None) a template's stand in.
        au_names: the A columns of `aus`, for face_cutmix.

    Raises:
        ConfigError: the name is unknown or alpha negative.
        DataError: face_cutmix without a name for every AU column.
    """
    if name not in MIXES:
        raise unknown_name("mix", name, MIXES)
    if alpha < 0:
        raise ConfigError(f"Expected `mix_alpha` to be at least 0; got {alpha!r}.")
    if name == "none" or len(images) == 0 or (alpha == 0 and name in USE_ALPHA):
        return images, targets, aus
    if name == "face_cutmix" and len(au_names) != aus.shape[1]:
        raise DataError(f"Expected `au_names` to name {aus.shape[1]} AU columns; got {len(au_names)} names.")
    if landmarks is None:
        landmarks = torch.full((len(images), 5, 2), torch.nan, device=images.device)
    mixed, own, units = MIXES[name](Batch(images, landmarks, aus, au_names), targets, alpha, generator)
    return mixed.contiguous(memory_format=torch.channels_last), own, units
