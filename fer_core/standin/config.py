"""What can be chosen about the generated set, and the version of what is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer_core.errors import ConfigError, unknown_name
from fer_core.standin.knobs import Knobs, knobs_of

VERSION = "2"
"""Raised whenever any picture or label changes for the same seed."""


@dataclass(frozen=True)
class StandinConfig:
    """Size, difficulty and seed of the generated set.

    Attributes:
        seed: every picture is drawn from (seed, its index) and its line in the plan.
        difficulty: easy, standard or hard; see `fer_core.standin.knobs`.
        scale: 1.0 gives RAF-CE's 2,709 / 931 / 909 faces; every class keeps at least 2 / 1 / 1.
        pool: number of unlabelled pictures.
        clips: number of short clips.
        scene: longest side of the largest picture, pixels.
        pictures_per_person: how many pictures show the same person, on average.
        ceiling_draws: faces that the ceiling's classifier learns from; 0 measures no ceiling.
    """

    seed: int = 1
    difficulty: str = "standard"
    scale: float = 1.0
    pool: int = 4000
    clips: int = 300
    scene: int = 128
    pictures_per_person: int = 4
    ceiling_draws: int = 100_000

    def __post_init__(self) -> None:
        knobs_of(self.difficulty)
        numeric = isinstance(self.scale, int | float) and not isinstance(self.scale, bool)
        _expect("scale", self.scale, numeric and 0 < self.scale <= 20, "a number above 0, at most 20")
        _expect_whole("seed", self.seed, 0, 2**31)
        _expect_whole("pool", self.pool, 0, 99_999)
        _expect_whole("clips", self.clips, 0, 9_999)
        _expect_whole("scene", self.scene, 96, 320)
        _expect_whole("pictures_per_person", self.pictures_per_person, 1, 1000)
        _expect_whole("ceiling_draws", self.ceiling_draws, 0, 10**7)

    @property
    def knobs(self) -> Knobs:
        """The numbers that the difficulty stands for."""
        return knobs_of(self.difficulty)


_FROM_STANDIN = ("difficulty", "seed")
"""What `standin` in params.yaml says; the rest are sizes, which the profile says."""


def read_config(params: Mapping[str, Any]) -> StandinConfig:
    """Build the configuration from `standin` and `profiles.<profile>.standin` of params.yaml.

    Raises:
        ConfigError: a section is missing, a key unknown or a value out of range.
    """
    where = f"profiles.{params.get('profile')}.standin"
    profiles = params.get("profiles")
    profile = profiles.get(params.get("profile")) if isinstance(profiles, Mapping) else None
    sizes = profile.get("standin") if isinstance(profile, Mapping) else None
    sized = tuple(key for key in StandinConfig.__dataclass_fields__ if key not in _FROM_STANDIN)
    values: dict[str, Any] = {}
    for section, given, known in (("standin", params.get("standin", {}), _FROM_STANDIN), (where, sizes, sized)):
        if not isinstance(given, Mapping):
            raise ConfigError(f"Expected `{section}` in params.yaml to hold keys; got {given!r}.")
        for key in given:
            if key not in known:
                raise unknown_name(f"key of {section}", key, known)
        values |= given
    return StandinConfig(**values)


def _expect_whole(key: str, value: object, low: int, high: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    _expect(key, value, whole, f"a whole number from {low} to {high}")


def _expect(key: str, value: object, valid: bool, what: str) -> None:
    if not valid:
        raise ConfigError(f"Expected `standin.{key}` to be {what}; got {value!r}.")
