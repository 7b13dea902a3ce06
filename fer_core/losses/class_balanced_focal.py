"""Class-balanced focal loss (Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019).

    L_i = Σ_k  y_ik · w_k · (1 − p_ik)^γ · (−log p_ik),   w of `effective_number_weights`, mean 1

Variant: p = softmax(z), as in `focal`; the authors' code sums the sigmoid focal loss of all K classes, each with the
weight of the true class. Mean over the batch, as theirs. That the weights' mean is 1 matters: UNnormalised,
(1 − β) / (1 − β^n) is near 1 / n, the focal factor makes the loss smaller still, and such a loss once collapsed a
model to 8 % accuracy.
"""

from typing import Any

from torch import Tensor

from fer_core.losses.focal import Focal


def build(*, focal_gamma: float, class_weights: Tensor | None, label_smoothing: float, **_: Any) -> Focal:
    """Build from the full set of loss settings; `class_weights` are the effective-number weights."""
    return Focal(focal_gamma, class_weights, label_smoothing)
