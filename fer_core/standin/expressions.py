"""From a compound class to votes, and from votes to true Action Unit intensities.

A face's votes are drawn around its class's published mean vote vector; the two most voted basic emotions are the
class. Intensities blend the prototypes of the voted basic emotions with what distinguishes the class in the
published AU frequencies. The picture follows these intensities exactly; labels are the coder's view of them.

Prototypes: Du, Tao & Martinez, "Compound facial expressions of emotion", PNAS 2014, table 1.
"""

from dataclasses import dataclass

import numpy as np

from fer_core.standin import knobs
from fer_core.standin.action_units import AUS, INDEX, LIPS, MIDLINE
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


@dataclass(frozen=True)
class Expression:
    """One face's truth.

    Attributes:
        votes: `(6,)` shares in `published.BASICS` order, sum 1.
        intensity: `(22, 2)` in [0, 1]: viewer's left and right (upper and lower lip for AU22-24).
    """

    votes: np.ndarray
    intensity: np.ndarray


def draw_expression(rng: np.random.Generator, label: int) -> Expression:
    """Draw votes and intensities for class `label`."""
    votes = draw_votes(rng, label)
    return Expression(votes, draw_intensity(rng, label, votes))


def draw_votes(rng: np.random.Generator, label: int) -> np.ndarray:
    """Draw the shares of 24 to 40 voters until the class's two emotions lead; `(6,)`, sums to 1."""
    voters = int(rng.integers(24, 41))
    for _ in range(MAX_VOTE_TRIES):
        counts = rng.multinomial(voters, rng.dirichlet(knobs.VOTE_CONCENTRATION * MEAN_VOTES[label]))
        others = np.delete(counts, PAIRS[label])
        if counts[PAIRS[label]].min() > others.max():
            break
    return counts / voters


def class_intensity(label: int, votes: np.ndarray) -> np.ndarray:
    """Return the mean intensities of a class for given votes, `(22,)`, before a face's own variation."""
    strength = np.minimum(1.0, 2.0 * votes) ** 0.8
    strength = np.where(strength > 0.35, strength, 0.0)  # a few stray votes do not move a face
    from_votes = 1 - np.prod(1 - strength[:, None] * _PROTOTYPES, axis=0)
    blend = PROTOTYPE_SHARE * from_votes + (1 - PROTOTYPE_SHARE) * _CLASS_PATTERN[label]
    return np.clip((blend - 0.08) / 0.80, 0, 1)


def draw_intensity(rng: np.random.Generator, label: int, votes: np.ndarray) -> np.ndarray:
    """Draw one face's intensities, `(22, 2)`."""
    count = len(AUS)
    level = class_intensity(label, votes)
    level[INDEX[43]] = 0.9 if rng.random() < AU_FREQUENCY[label, INDEX[43]] else 0.0  # lids are open or shut
    level = level * rng.uniform(*knobs.EXPRESSIVITY) * np.exp(knobs.UNIT_SPREAD * rng.standard_normal(count))
    level = np.where(rng.random(count) < knobs.UNIT_LOST, 0.2 * level, level)
    stray = np.where(rng.random(count) < knobs.STRAY_UNIT, rng.uniform(*knobs.STRAY_LEVEL, count), 0.0)
    stray[INDEX[43]] = 0.0
    level = limit(np.clip(np.maximum(level, stray), 0, 1))
    return _sides(rng, level)


def limit(level: np.ndarray) -> np.ndarray:
    """Apply what faces cannot do, `(22,)`: an open jaw parts the lips, pressed lips are closed, and so on."""
    at = INDEX
    level = level.copy()
    level[at[26]] = min(level[at[26]], max(0.0, 1.0 - 1.4 * level[at[27]]))
    level[at[25]] = max(level[at[25]], 0.8 * level[at[26]], 0.9 * level[at[27]])
    level[at[24]] *= 1 - min(1.0, 1.2 * level[at[25]])
    level[at[17]] *= 1 - 0.7 * level[at[27]]
    level[at[18]] *= 1 - max(level[at[12]], level[at[20]])
    level[at[5]] *= 1 - level[at[43]]
    return level


def _sides(rng: np.random.Generator, level: np.ndarray) -> np.ndarray:
    """Split each unit into two sides; some units act on one side (one lip) only."""
    tilt = knobs.SIDE_SPREAD * rng.standard_normal(len(AUS))
    one_sided, which = rng.random(len(AUS)), rng.integers(0, 2, len(AUS))
    pair = np.empty((len(AUS), 2), np.float32)
    for index, number in enumerate(AUS):
        if number in MIDLINE:
            pair[index] = level[index]
            continue
        share = np.array([1 - tilt[index], 1 + tilt[index]])
        probability = 0.40 if number in LIPS else knobs.UNILATERAL_MORE.get(number, knobs.UNILATERAL)
        if one_sided[index] < probability:
            share[which[index]] = 0.15
        pair[index] = np.clip(level[index] * share, 0, 1)
    return pair


def _class_pattern() -> np.ndarray:
    """Stretch published frequencies per unit: what is frequent for its unit counts, rare units stay weaker."""
    highest = AU_FREQUENCY.max(axis=0)
    return (AU_FREQUENCY / highest) ** 0.8 * np.minimum(1.0, highest**0.35)


_PROTOTYPES: np.ndarray = np.array([[PROTOTYPES[name].get(number, 0.0) for number in AUS] for name in BASICS])
_CLASS_PATTERN: np.ndarray = _class_pattern()
