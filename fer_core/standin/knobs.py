"""How hard the generated set is: every number that makes expressions weaker or pictures worse, in one place.

The column `standard` was set once, by the roadmap's baseline alone, and is frozen: docs/standin.md says how it was
chosen. `easy` and `hard` shift all of them together, for other sets to test on.
"""

from dataclasses import dataclass

from fer_core.errors import unknown_name

DIFFICULTIES = ("easy", "standard", "hard")


@dataclass(frozen=True)
class Knobs:
    """Attributes, by what they act on.

    Attributes:
        vote_concentration: Dirichlet concentration of a face's votes around its class's mean.
        weakest: strength of the weakest expressions; the strongest have 1.
        unit_spread: log-normal spread of each Action Unit's strength.
        unit_lost: share of a class's units that a face hardly shows.
        stray_unit: probability of each unit to appear without reason.
        side_spread: ordinary difference between left and right, as a share.
        unilateral: probability that a two-sided unit works on one side only.
        person_gain: log-normal spread, from person to person, of each unit's visible effect.
        resting_bias: how much a face at rest may look like an expression; 1 is the sketch's measured setting.
        pose: spread of head turns; 1 is 15 degrees of yaw.
        degradation: strength of low resolution, blur, noise, contrast and JPEG; 1 is the sketch's measured setting.
        occluded: share of pictures with something in front.
        grey: share of grey pictures.
        sunglasses: share of a glasses wearer's pictures.
    """

    vote_concentration: float
    weakest: float
    unit_spread: float
    unit_lost: float
    stray_unit: float
    side_spread: float
    unilateral: float
    person_gain: float
    resting_bias: float
    pose: float
    degradation: float
    occluded: float
    grey: float
    sunglasses: float


# fmt: off
_TABLE = {  # easy, standard, hard
    "vote_concentration": (20.0, 13.0, 10.0),
    "weakest":            (0.75, 0.66, 0.55),
    "unit_spread":        (0.20, 0.27, 0.34),
    "unit_lost":          (0.06, 0.10, 0.16),
    "stray_unit":         (0.02, 0.04, 0.07),
    "side_spread":        (0.06, 0.08, 0.10),
    "unilateral":         (0.02, 0.04, 0.06),
    "person_gain":        (0.12, 0.15, 0.18),
    "resting_bias":       (0.70, 0.85, 1.00),
    "pose":               (0.70, 0.80, 1.00),
    "degradation":        (0.50, 0.60, 0.85),
    "occluded":           (0.08, 0.10, 0.18),
    "grey":               (0.03, 0.05, 0.10),
    "sunglasses":         (0.04, 0.08, 0.12),
}
# fmt: on


def knobs_of(difficulty: str) -> Knobs:
    """Return the knobs of easy, standard or hard; raises ConfigError for another name."""
    if difficulty not in DIFFICULTIES:
        raise unknown_name("standin.difficulty", str(difficulty), DIFFICULTIES)
    column = DIFFICULTIES.index(difficulty)
    return Knobs(**{name: values[column] for name, values in _TABLE.items()})


LANDMARK_ERROR = 0.04
"""Mean distance of an annotated landmark from the true point, in eye distances. The same at every difficulty."""
