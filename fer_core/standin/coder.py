"""Action Unit labels as a human coder would write them: RAF-CE's notation, misses, false alarms, `null`.

The coder sees a unit's intensity with noise and codes it above the unit's own threshold. Thresholds and noise do
not depend on the class, so a label says nothing that the picture does not show. A coded unit's FACS intensity is what
the coder saw, by equal steps: a reading r in (0, 0.2] is A or 1, in (0.2, 0.4] B or 2 ... from 0.8 on E or 5; a unit
written without being seen (a false alarm, or AU25 because of AU26) has at least A.

Thresholds and noise were fitted once, at the standard difficulty, by least squares to the published frequencies per
class; `python -m benchmarks.standin.frequencies` does it again, and docs/standin.md says what difference is left.
"""

from dataclasses import dataclass

import numpy as np

from fer_core.standin.action_units import AUS, INDEX, LIPS, MIDLINE
from fer_core.standin.published import NULL_SHARE

FALSE_ALARM = 0.005
LEVELS = 5  # FACS' A to E
LATERAL_GAP = 0.45
"""Relative difference between the sides above which a coder writes L or R (T or B for lips)."""

THRESHOLDS: dict[int, tuple[float, float]] = {
    1: (0.77, 0.35),
    2: (0.80, 0.35),
    4: (0.57, 0.35),
    5: (0.65, 0.26),
    6: (0.75, 0.35),
    7: (0.88, 0.35),
    9: (0.67, 0.35),
    10: (0.48, 0.35),
    12: (0.45, 0.35),
    14: (0.42, 0.18),
    15: (0.97, 0.35),
    16: (0.37, 0.22),
    17: (0.73, 0.35),
    18: (0.42, 0.17),
    20: (0.90, 0.35),
    22: (0.42, 0.21),
    23: (0.78, 0.35),
    24: (0.74, 0.35),
    25: (0.32, 0.35),
    26: (0.57, 0.35),
    27: (0.31, 0.16),
    43: (0.27, 0.08),
}
"""For each unit the intensity that half of the codings call present, and the coder's noise."""


@dataclass(frozen=True)
class Codings:
    """What a coder wrote about N faces.

    Attributes:
        units: `(N, 22)` bool.
        null: `(N,)` faces that were not coded.
        levels: `(N, 22)` FACS intensity of the units, 1 to 5 for A to E, 0 where a unit was not written; int8.
    """

    units: np.ndarray
    null: np.ndarray
    levels: np.ndarray


def code(rng: np.random.Generator, labels: np.ndarray, intensity: np.ndarray) -> Codings:
    """Code faces as a human would.

    Args:
        rng: the generator.
        labels: `(N,)` class indices, for the published share of faces nobody coded.
        intensity: `(N, 22, 2)` true intensities.
    """
    null = rng.random(len(labels)) < NULL_SHARE[labels]
    noise = rng.standard_normal(intensity.shape[:2])
    alarm = rng.random(noise.shape) < FALSE_ALARM
    reading = intensity.max(axis=2) + _NOISE * noise
    units = settle(reading - _THRESHOLD, alarm)
    return Codings(units, null | ~units.any(axis=1), np.where(units, grade(reading), 0).astype(np.int8))


def grade(reading: np.ndarray) -> np.ndarray:
    """Return the FACS intensity, 1 to 5 for A to E, of readings of any shape; below 0 and above 1 are clipped.

    Example:
        >>> grade(np.array([-0.1, 0.2, 0.21, 1.3]))
        array([1., 1., 2., 5.])
    """
    return np.clip(np.ceil(LEVELS * reading), 1, LEVELS)


def settle(margin: np.ndarray, alarm: np.ndarray) -> np.ndarray:
    """Return which units are written, `(N, 22)`, without contradictions.

    The manual allows one of AU26 and AU27 and wants AU25 beside either; pressed lips (AU24) are not parted.

    Args:
        margin: `(N, 22)` how far each unit is seen above its threshold.
        alarm: `(N, 22)` units written by mistake.
    """
    seen = (margin > 0) | alarm
    far = {number: margin[:, index] for number, index in INDEX.items()}
    unit = {number: seen[:, index] for number, index in INDEX.items()}  # views: what is set here is set in `seen`
    both = unit[26] & unit[27]
    unit[26][both & (far[26] < far[27])] = False
    unit[27][both & (far[26] >= far[27])] = False
    unit[25][unit[26] | unit[27]] = True
    both = unit[24] & unit[25]
    parted = unit[26] | unit[27] | (far[25] >= far[24])
    unit[24][both & parted] = False
    unit[25][both & ~parted] = False
    return np.asarray(seen)


def notation(units: np.ndarray, null: bool, intensity: np.ndarray) -> str:
    """Return the label of one face, such as `1+4+L10+25` or `null`.

    Args:
        units: `(22,)` what the coder wrote.
        null: whether nobody coded the face.
        intensity: `(22, 2)` true intensities, for the sides.
    """
    tokens = [] if null else [_token(number, intensity[INDEX[number]]) for number in AUS if units[INDEX[number]]]
    return "+".join(tokens) or "null"


def write_label(rng: np.random.Generator, label: int, intensity: np.ndarray) -> str:
    """Code one face, `(22, 2)` true intensities, and return its label."""
    coded = code(rng, np.array([label]), intensity[None])
    return notation(coded.units[0], bool(coded.null[0]), intensity)


def _token(number: int, pair: np.ndarray) -> str:
    """Write one unit; the person's left is the viewer's right."""
    first, second = float(pair[0]), float(pair[1])
    strongest = max(first, second)
    if number in MIDLINE or strongest < 0.05 or abs(first - second) < LATERAL_GAP * strongest:
        return str(number)
    sides = ("T", "B") if number in LIPS else ("R", "L")
    return f"{sides[0] if first > second else sides[1]}{number}"


_THRESHOLD, _NOISE = (np.array([THRESHOLDS[number][k] for number in AUS]) for k in range(2))
