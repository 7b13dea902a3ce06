"""Action Unit labels as a human coder would write them: RAF-CE's notation, misses, false alarms, `null`.

The coder sees a unit's intensity with noise and codes it above the unit's own threshold. Thresholds and noise do
not depend on the class, so a label says nothing that the picture does not show. They were fitted once, by least
squares on 500 drawn faces per class, to the published frequencies per class (mean absolute difference left: 0.042).
"""

import numpy as np

from fer_core.standin.action_units import AUS, INDEX, LIPS, MIDLINE
from fer_core.standin.published import NULL_SHARE

FALSE_ALARM = 0.005
LATERAL_GAP = 0.45
"""Relative difference between the sides above which a coder writes L or R (T or B for lips)."""

THRESHOLDS: dict[int, tuple[float, float]] = {
    1: (0.72, 0.30),
    2: (0.74, 0.30),
    4: (0.54, 0.30),
    5: (0.60, 0.25),
    6: (0.70, 0.30),
    7: (0.84, 0.30),
    9: (0.64, 0.30),
    10: (0.50, 0.30),
    12: (0.42, 0.30),
    14: (0.46, 0.20),
    15: (0.90, 0.30),
    16: (0.34, 0.20),
    17: (0.70, 0.30),
    18: (0.48, 0.20),
    20: (0.84, 0.30),
    22: (0.50, 0.25),
    23: (0.76, 0.30),
    24: (0.58, 0.30),
    25: (0.46, 0.30),
    26: (0.50, 0.30),
    27: (0.26, 0.16),
    43: (0.36, 0.08),
}
"""For each unit the intensity that half of the codings call present, and the coder's noise."""


def write_label(rng: np.random.Generator, label: int, intensity: np.ndarray) -> str:
    """Return the AU label of one face, such as `1+4+L10+25` or `null`.

    Args:
        rng: the picture's own generator.
        label: class index, for the published share of faces nobody coded.
        intensity: `(22, 2)` true intensities.
    """
    uncoded = rng.random() < NULL_SHARE[label]
    noise, alarm = rng.standard_normal(len(AUS)), rng.random(len(AUS)) < FALSE_ALARM
    seen = settle(intensity.max(axis=1) + _NOISE * noise - _THRESHOLD, alarm)
    tokens = [_token(number, intensity[INDEX[number]]) for number in AUS if seen[INDEX[number]]]
    return "null" if uncoded or not tokens else "+".join(tokens)


def settle(margin: np.ndarray, alarm: np.ndarray) -> np.ndarray:
    """Return which units are written, `(22,)`, without contradictions.

    The manual allows one of AU26 and AU27 and wants AU25 beside either; pressed lips (AU24) are not parted.

    Args:
        margin: how far each unit is seen above its threshold.
        alarm: units written by mistake.
    """
    seen = (margin > 0) | alarm
    if seen[INDEX[26]] and seen[INDEX[27]]:
        seen[INDEX[26] if margin[INDEX[26]] < margin[INDEX[27]] else INDEX[27]] = False
    if seen[INDEX[26]] or seen[INDEX[27]]:
        seen[INDEX[25]] = True
    if seen[INDEX[24]] and seen[INDEX[25]]:
        parted = seen[INDEX[26]] or seen[INDEX[27]] or margin[INDEX[25]] >= margin[INDEX[24]]
        seen[INDEX[24] if parted else INDEX[25]] = False
    return seen


def _token(number: int, pair: np.ndarray) -> str:
    """Write one unit; the person's left is the viewer's right."""
    first, second = float(pair[0]), float(pair[1])
    strongest = max(first, second)
    if number in MIDLINE or strongest < 0.05 or abs(first - second) < LATERAL_GAP * strongest:
        return str(number)
    sides = ("T", "B") if number in LIPS else ("R", "L")
    return f"{sides[0] if first > second else sides[1]}{number}"


_THRESHOLD, _NOISE = (np.array([THRESHOLDS[number][k] for number in AUS]) for k in range(2))
