"""Mean squared error of Action-Unit intensities over the known ones: L = Σ m·(ŷ − y/5)² / Σ m, m = 1 if known.

FACS (Ekman, Friesen and Hager 2002) grades a present AU from A (trace) to E (maximum), here 1 to 5, with 0 for absent.
"""

from torch import Tensor
from torch.nn import functional

from fer_core.losses.common import annotated_mean, at_least_float32

MAX_INTENSITY = 5.0


def masked_intensity_loss(predicted: Tensor, intensity: Tensor) -> Tensor:
    """Return the mean squared error of the known intensities, in units in which FACS grade E is 1.

    Args:
        predicted: (B, A), 0 for absent to 1 for grade E; these are intensities, not logits.
        intensity: (B, A), 0 for absent, 1 to 5 for FACS A to E, NaN where unknown; fractions are allowed.

    Returns:
        A scalar; 0 with zero gradients when nothing is known.

    Example:
        >>> import torch
        >>> nan = float("nan")
        >>> masked_intensity_loss(torch.tensor([[0.5, 0.9]]), torch.tensor([[5.0, nan]]))  # (0.5 - 5 / 5)²
        tensor(0.2500)
    """
    predicted = at_least_float32(predicted)
    known = (intensity.nan_to_num(0.0) / MAX_INTENSITY).to(predicted)
    return annotated_mean(functional.mse_loss(predicted, known, reduction="none"), intensity)
