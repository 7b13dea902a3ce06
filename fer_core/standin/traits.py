"""What can be said of a person or a picture in one word, and how these words become the bins of fairness tables.

Drawn apart from the rest of a person, because the plan balances them across classes before anything is drawn.
Skin tones are named as Unicode names them (emoji modifiers, after the Fitzpatrick scale).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fer_core.standin.random import stream

SKIN_TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
AGES = ("child", "adult", "older")
YES_NO = ("no", "yes")
POSES = ("frontal", "turned", "half-profile")
BINS: dict[str, tuple[str, ...]] = {
    "skin": SKIN_TONES,
    "age": AGES,
    "glasses": YES_NO,
    "beard": YES_NO,
    "pose": POSES,
}
"""Every attribute of the manifest (`attr_<name>`) with its values."""

OLDER = 0.45
TURNED, HALF_PROFILE = np.radians(12.0), np.radians(25.0)


@dataclass(frozen=True)
class Traits:
    """A person's coarse traits; `tone` 0 lightest to 5 darkest, `age` 0..1 among adults, hair on the face 0..1."""

    female: bool
    child: bool
    age: float
    tone: float
    glasses: bool
    beard: float
    moustache: float

    def bins(self) -> dict[str, str]:
        """Return the words for this person: skin, age, glasses, beard."""
        return {
            "skin": SKIN_TONES[min(int(self.tone), len(SKIN_TONES) - 1)],
            "age": "child" if self.child else "older" if self.age >= OLDER else "adult",
            "glasses": YES_NO[self.glasses],
            "beard": YES_NO[self.beard > 0 or self.moustache > 0],
        }


@lru_cache(maxsize=8192)
def traits(seed: int, number: int) -> Traits:
    """Return the traits of person `number` of the set drawn from `seed`."""
    rng = stream(seed, "traits", number)
    female, child = bool(rng.random() < 0.5), bool(rng.random() < 0.12)
    age, tone, glasses = rng.random() ** 1.5, rng.uniform(0, 4.999), bool(rng.random() < 0.16)
    beard, moustache = rng.random() < 0.4, rng.random() < 0.3
    length, thickness = rng.uniform(0.15, 1.0), rng.uniform(0.2, 1.0)
    man = not female and not child
    return Traits(
        female=female,
        child=child,
        age=0.0 if child else float(age),
        tone=float(tone),
        glasses=glasses,
        beard=float(length) if man and beard else 0.0,
        moustache=float(thickness) if man and moustache else 0.0,
    )


def pose_bin(yaw: float) -> str:
    """Return the word for a head turn of `yaw` radians to either side."""
    return POSES[int(abs(yaw) >= TURNED) + int(abs(yaw) >= HALF_PROFILE)]
