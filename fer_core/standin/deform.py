"""Where lids, brows and lips stand: the effect of every Action Unit on the features of one person's face.

All values are per side, `(2,)`: viewer's left, right. Lengths in head units, y down. The coefficients are
full-scale effects (intensity 1), from the measured sketch; each unit's move follows its FACS description.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_core.standin.action_units import Muscles
from fer_core.standin.identity import Identity
from fer_core.standin.knobs import Knobs


@dataclass(frozen=True)
class Features:
    """The face's features after the muscles have pulled."""

    eye_x: np.ndarray
    eye_y: np.ndarray
    upper_lid: np.ndarray
    lower_lid: np.ndarray
    lid_crease: np.ndarray
    closed: np.ndarray
    brow_inner_x: np.ndarray
    brow_inner: np.ndarray
    brow_middle: np.ndarray
    brow_outer: np.ndarray
    mouth_half: np.ndarray
    corner: np.ndarray
    """Corner height relative to the middle of the mouth."""
    mouth_y: np.ndarray
    upper_gap: np.ndarray
    lower_gap: np.ndarray
    upper_lip: np.ndarray
    lower_lip: np.ndarray
    protrusion: float
    """How far pucker and funnel push the lips forward."""
    jaw: float
    chin_shift: float
    nose_lift: np.ndarray

    @property
    def open_height(self) -> float:
        """Largest distance between the lips."""
        return float((self.upper_gap + self.lower_gap).mean())


def deform(me: Identity, a: Muscles, knobs: Knobs) -> Features:
    """Apply the muscles `a` (already multiplied by the person's gain) to the person's features."""
    rest, uneven = me.rest * knobs.resting_bias, me.asymmetry
    jaw = min(0.36, 0.17 * a.mean(26) + 0.30 * a.mean(27))
    closed = np.clip(1.12 * a[43], 0, 1)
    open_upper = (
        1 + 0.55 * a[5] - 0.28 * a[7] - 0.12 * a[6] - 0.12 * a[4] - 0.20 * a[9] + 0.07 * rest[3] + 0.04 * uneven[2]
    )
    open_lower = 1 - 0.60 * a[7] - 0.42 * a[6] - 0.35 * a[9] - 0.20 * a[12] + 0.12 * a[5]
    crease = 1 + 0.5 * a[5] + 0.3 * a[1] + 0.3 * a[2] - 0.5 * a[4] - 0.3 * a[9]
    brow = me.brow_y + 0.010 * uneven[4]
    return Features(
        eye_x=me.eye_x + 0.006 * uneven[0],
        eye_y=me.eye_y + 0.006 * uneven[1],
        upper_lid=me.upper_lid * np.clip(open_upper, 0.2, 1.7) * (1 - closed) - 0.030 * closed,
        lower_lid=me.lower_lid * np.clip(open_lower, 0.15, 1.3) * (1 - 0.3 * closed),
        lid_crease=me.crease * np.clip(crease, 0.2, 2.0),
        closed=closed,
        brow_inner_x=me.brow_inner + 0.008 * uneven[3] - 0.045 * a[4] - 0.015 * a[9] + 0.006 * a[1],
        brow_inner=brow - 0.150 * a[1] + 0.105 * a[4] + 0.05 * a[9] - 0.01 * a[2] + 0.014 * rest[1] + me.brow_slope,
        brow_middle=brow + me.brow_arch - 0.050 * a[1] - 0.125 * a[2] + 0.060 * a[4] + 0.02 * a[9],
        brow_outer=brow + me.brow_tail - 0.135 * a[2] + 0.030 * a[4] + 0.022 * a[6] + 0.014 * rest[2],
        **_mouth(me, a, jaw, rest, uneven),
        jaw=jaw,
        chin_shift=me.chin + 0.75 * jaw,
        nose_lift=0.045 * a[9] + 0.012 * a[10],
    )


def _mouth(me: Identity, a: Muscles, jaw: float, rest: np.ndarray, uneven: np.ndarray) -> dict[str, Any]:
    tight_upper, tight_lower = a.upper(23), a.lower(23)
    press_upper, press_lower = a.upper(24), a.lower(24)
    funnel_upper, funnel_lower = a.upper(22), a.lower(22)
    pucker, parted, shrug, dropped = a.mean(18), a.mean(25), a.mean(17), a.mean(16)
    narrowing = 0.26 * a.peak(23) + 0.06 * a.mean(24) + 0.20 * a.mean(27) + 0.07 * a.mean(26) + 0.04 * shrug
    narrowing += 0.48 * pucker + 0.48 * a.peak(22)
    half = 1 + 0.25 * a[12] + 0.20 * a[20] + 0.15 * a[14] + 0.03 * a[15] - narrowing
    corner = -0.105 * a[12] + 0.085 * a[15] + 0.015 * a[20] - 0.045 * a[14] + 0.016 * rest[0] - me.mouth_curve
    upper_gap = 0.040 * a[10] * (parted + 0.25) + 0.018 * parted + 0.022 * a[12] * parted + 0.012 * a[9] * parted
    upper_gap = upper_gap + 0.03 * a.mean(27) + 0.012 * a.mean(26) + 0.045 * funnel_upper
    lower_gap = 0.040 * parted + 0.80 * jaw * (0.25 + 0.75 * min(1.0, parted)) + 0.02 * a[12] * parted
    lower_gap = lower_gap + 0.035 * a[20] * parted + dropped * (0.015 + 0.045 * min(1.0, parted)) + 0.050 * funnel_lower
    thin = -0.18 * a[12] - 0.16 * a[20] - 0.10 * a.mean(27)
    thin_upper = 1 + thin - 0.50 * tight_upper - 0.62 * press_upper + 1.00 * funnel_upper + 0.20 * pucker
    thin_lower = 1 + thin - 0.50 * tight_lower - 0.62 * press_lower + 1.20 * funnel_lower + 0.20 * pucker
    return {
        "mouth_half": np.maximum(me.mouth_width * half, 0.10) + 0.006 * uneven[5],
        "corner": corner + 0.008 * uneven[6] + 0.22 * jaw,
        "mouth_y": me.mouth_y - 0.028 * shrug - 0.006 * a[10],
        "upper_gap": upper_gap * (1 - 0.6 * press_upper),
        "lower_gap": lower_gap * max(0.0, 1 - 0.6 * shrug) * max(0.0, 1 - 0.75 * press_lower),
        "upper_lip": me.upper_lip * np.clip(thin_upper, 0.2, 1.9) * (1 - 0.22 * a[10] - 0.15 * a[9]),
        "lower_lip": me.lower_lip * np.clip(thin_lower, 0.2, 2.1) * (1 + 0.22 * shrug - 0.12 * dropped),
        "protrusion": 0.08 * pucker + 0.05 * (funnel_upper + funnel_lower),
    }
