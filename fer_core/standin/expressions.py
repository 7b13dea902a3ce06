"""From a compound class to votes, and from votes to true Action Unit intensities.

A face's votes are drawn around its class's published mean vote vector; the two most voted basic emotions are the
class. Intensities blend the prototypes of the voted basic emotions with what distinguishes the class in the
published AU frequencies. The picture follows these intensities exactly; labels are the coder's view of them.

Prototypes: Du, Tao & Martinez, "Compound facial expressions of emotion", PNAS 2014, table 1.
"""

from dataclasses import dataclass

import numpy as np

from fer_core.standin.action_units import AUS, INDEX, LIPS, MIDLINE
from fer_core.standin.knobs import Knobs
from fer_core.standin.published import AU_FREQUENCY, BASICS, MEAN_VOTES, PAIRS

PROTOTYPES: dict[str, dict[int, float]] = {
    "surprise": {1: 0.90, 2: 0.90, 5: 0.70, 25: 0.80, 26: 0.75, 27: 0.20},
    "fear": {1: 0.80, 2: 0.35, 4: 0.55, 5: 0.75, 20: 0.85, 25: 0.80, 26: 0.35, 16: 0.25},
    "disgust": {9: 0.90, 10: 0.85, 17: 0.50, 4: 0.30, 7: 0.30},
    "happiness": {12: 0.95, 6: 0.75, 25: 0.50},
    "sadness": {1: 0.65, 4: 0.50, 15: 0.90, 17: 0.50, 43: 0.12},
    "anger": {4: 0.95, 7: 0.80, 24: 0.60, 23: 0.55, 17: 0.20, 5: 0.25},
}
"""Intensity of each Action Unit in a basic emotion at full strength."""

PROTOTYPE_SHARE = 0.45
"""The rest of an intensity comes from the class's published AU frequencies."""

MAX_VOTE_TRIES = 60
VOTERS = (24, 40)

STRAY_LEVEL = (0.20, 0.55)
UNILATERAL_MORE: dict[int, float] = {10: 0.05, 12: 0.04, 14: 0.21, 2: 0.08}
"""Units that work on one side more often than the others, by how much."""
ONE_LIP = 0.40
"""Probability that a lip unit works on one lip only."""


@dataclass(frozen=True)
class Expressions:
    """The truth of N faces.

    Attributes:
        votes: `(N, 6)` shares in `published.BASICS` order, sum 1.
        intensity: `(N, 22, 2)` in [0, 1]: viewer's left and right (upper and lower lip for AU22-24).
    """

    votes: np.ndarray
    intensity: np.ndarray


def draw_expressions(rng: np.random.Generator, labels: np.ndarray, knobs: Knobs) -> Expressions:
    """Draw votes and intensities for faces of the classes `labels`, `(N,)`."""
    votes = draw_votes(rng, labels, knobs)
    return Expressions(votes, draw_intensity(rng, labels, votes, knobs))


def draw_votes(rng: np.random.Generator, labels: np.ndarray, knobs: Knobs) -> np.ndarray:
    """Draw the shares of 24 to 40 voters until the class's two emotions lead; `(N, 6)`, rows sum to 1."""
    voters = rng.integers(VOTERS[0], VOTERS[1] + 1, len(labels))
    counts = np.zeros((len(labels), len(BASICS)), int)
    waiting = np.arange(len(labels))
    for _ in range(MAX_VOTE_TRIES):
        share = rng.standard_gamma(knobs.vote_concentration * MEAN_VOTES[labels[waiting]]) + 1e-12
        counts[waiting] = rng.multinomial(voters[waiting], share / share.sum(axis=1, keepdims=True))
        waiting = waiting[~_pair_leads(counts[waiting], labels[waiting])]
        if not len(waiting):
            break
    return counts / voters[:, None]


def _pair_leads(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether both emotions of the class have more votes than every other, `(N,)`."""
    rows = np.arange(len(labels))[:, None]
    pair = counts[rows, PAIRS[labels]]
    others = counts.copy()
    others[rows, PAIRS[labels]] = -1
    return np.asarray(pair.min(axis=1) > others.max(axis=1))


def class_intensity(labels: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Return the mean intensities of classes for given votes, `(N, 22)`, before a face's own variation."""
    strength = np.minimum(1.0, 2.0 * votes) ** 0.8
    strength = np.where(strength > 0.35, strength, 0.0)  # a few stray votes do not move a face
    from_votes = 1 - np.prod(1 - strength[:, :, None] * _PROTOTYPES, axis=1)
    blend = PROTOTYPE_SHARE * from_votes + (1 - PROTOTYPE_SHARE) * _CLASS_PATTERN[labels]
    return np.clip((blend - 0.08) / 0.80, 0, 1)


def draw_intensity(rng: np.random.Generator, labels: np.ndarray, votes: np.ndarray, knobs: Knobs) -> np.ndarray:
    """Draw the faces' intensities, `(N, 22, 2)`."""
    size = len(labels), len(AUS)
    level = class_intensity(labels, votes)
    shut = rng.random(len(labels)) < AU_FREQUENCY[labels, INDEX[43]]
    level[:, INDEX[43]] = np.where(shut, 0.9, 0.0)  # lids are open or shut
    level *= rng.uniform(knobs.weakest, 1.0, (len(labels), 1))
    level *= np.exp(knobs.unit_spread * rng.standard_normal(size))
    level = np.where(rng.random(size) < knobs.unit_lost, 0.2 * level, level)
    stray = np.where(rng.random(size) < knobs.stray_unit, rng.uniform(*STRAY_LEVEL, size), 0.0)
    stray[:, INDEX[43]] = 0.0
    return _sides(rng, limit(np.clip(np.maximum(level, stray), 0, 1)), knobs)


def limit(level: np.ndarray) -> np.ndarray:
    """Apply what faces cannot do, `(N, 22)`: an open jaw parts the lips, pressed lips are closed, and so on."""
    level = level.copy()
    unit = {number: level[:, index] for number, index in INDEX.items()}  # views: what is set here is set in `level`
    unit[26][:] = np.minimum(unit[26], np.maximum(0.0, 1.0 - 1.4 * unit[27]))
    unit[25][:] = np.maximum.reduce([unit[25], 0.8 * unit[26], 0.9 * unit[27]])
    unit[24][:] *= 1 - np.minimum(1.0, 1.2 * unit[25])
    unit[17][:] *= 1 - 0.7 * unit[27]
    for rounded in (18, 22):  # pucker and funnel do not go with a mouth that is pulled wide
        unit[rounded][:] *= 1 - np.maximum(unit[12], unit[20])
    unit[5][:] *= 1 - unit[43]
    return level


def _sides(rng: np.random.Generator, level: np.ndarray, knobs: Knobs) -> np.ndarray:
    """Split each unit into two sides; some units act on one side (one lip) only."""
    tilt = knobs.side_spread * rng.standard_normal(level.shape)
    share = np.stack([1 - tilt, 1 + tilt], axis=-1)
    one_sided = rng.random(level.shape) < _ONE_SIDED + knobs.unilateral * _TWO_SIDED
    weaker = rng.integers(0, 2, level.shape)
    for side in (0, 1):
        share[..., side] = np.where(one_sided & (weaker == side), 0.15, share[..., side])
    share[:, _MIDLINE] = 1.0
    return np.clip(level[..., None] * share, 0, 1).astype(np.float32)


def _class_pattern() -> np.ndarray:
    """Stretch published frequencies per unit: what is frequent for its unit counts, rare units stay weaker."""
    highest = AU_FREQUENCY.max(axis=0)
    return (AU_FREQUENCY / highest) ** 0.8 * np.minimum(1.0, highest**0.35)


_PROTOTYPES: np.ndarray = np.array([[PROTOTYPES[name].get(number, 0.0) for number in AUS] for name in BASICS])
_CLASS_PATTERN: np.ndarray = _class_pattern()
_MIDLINE = np.array([number in MIDLINE for number in AUS])
_TWO_SIDED = np.array([number not in LIPS and number not in MIDLINE for number in AUS])
_ONE_SIDED = np.array([ONE_LIP if number in LIPS else UNILATERAL_MORE.get(number, 0.0) for number in AUS])
