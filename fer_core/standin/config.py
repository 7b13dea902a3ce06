"""What can be chosen about the generated set, and the version of what is drawn."""

from dataclasses import dataclass

from fer_core.errors import ConfigError

VERSION = "1"
"""Raised whenever any picture or label changes for the same seed."""


@dataclass(frozen=True)
class StandinConfig:
    """Size and seed of the generated set.

    Attributes:
        seed: every picture is drawn from (seed, its index) alone.
        scale: 1.0 gives RAF-CE's 2,709 / 931 / 909 faces; every class keeps at least 2 / 1 / 1.
        pool: number of unlabelled pictures.
        scene: longest side of the largest picture, pixels.
        pictures_per_person: how many pictures show the same person, on average.
    """

    seed: int = 1
    scale: float = 1.0
    pool: int = 4000
    scene: int = 144
    pictures_per_person: int = 4

    def __post_init__(self) -> None:
        _expect("seed", self.seed, _whole(self.seed) and self.seed >= 0, "a whole number of 0 or more")
        numeric = isinstance(self.scale, int | float) and not isinstance(self.scale, bool)
        _expect("scale", self.scale, numeric and 0 < self.scale <= 20, "a number above 0, at most 20")
        _expect(
            "pool",
            self.pool,
            _whole(self.pool) and 0 <= self.pool <= 99_999,
            "a whole number from 0 to 99999",
        )
        _expect(
            "scene",
            self.scene,
            _whole(self.scene) and 96 <= self.scene <= 320,
            "a whole number from 96 to 320 (pixels)",
        )
        people = self.pictures_per_person
        _expect("pictures_per_person", people, _whole(people) and people >= 1, "a whole number of 1 or more")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _expect(key: str, value: object, valid: bool, what: str) -> None:
    if not valid:
        raise ConfigError(f"Expected `standin.{key}` to be {what}; got {value!r}.")
