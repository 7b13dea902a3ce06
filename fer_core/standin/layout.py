"""The plan of all pictures: who shows what where. Index order, person and file name say nothing about the class."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from fer_core.errors import ConfigError
from fer_core.standin.config import StandinConfig
from fer_core.standin.published import COUNTS, SPLITS
from fer_core.standin.random import stream

POOL_STREAM = 1_000_000
"""Random streams of pool pictures start here, so that the labelled set does not depend on the pool's size."""

LEAST = {"train": 2, "validation": 1, "test": 1}


@dataclass(frozen=True)
class Planned:
    """One picture to be drawn.

    Attributes:
        name: file name below its folder, such as `0001.jpg`.
        split: train, validation, test or pool.
        label: class index; for the pool only what the face shows, never written anywhere.
        person: number of the person shown.
        index: the picture's random stream.
    """

    name: str
    split: str
    label: int
    person: int
    index: int

    @property
    def path(self) -> Path:
        """Where the picture stands below the set's folder."""
        return Path("pool" if self.split == "pool" else "original") / self.name


def counts(config: StandinConfig) -> dict[str, list[int]]:
    """Return pictures per class for each labelled split; scale 1 gives RAF-CE's own."""
    if config.scale == 1:
        return {split: list(COUNTS[split]) for split in SPLITS}
    return {split: [max(LEAST[split], round(config.scale * n)) for n in COUNTS[split]] for split in SPLITS}


@lru_cache(maxsize=4)
def plan(config: StandinConfig) -> tuple[Planned, ...]:
    """Return all pictures, labelled ones first, each part in file order.

    Raises:
        ConfigError: a split would have fewer than two people.
    """
    rng = stream(config.seed, "layout")
    labels = {split: np.repeat(np.arange(len(n)), n) for split, n in counts(config).items()}
    if config.pool:
        prior = np.array(COUNTS["train"], float)
        pool_rng = stream(config.seed, "layout", POOL_STREAM)
        labels["pool"] = pool_rng.choice(len(prior), size=config.pool, p=prior / prior.sum())
    people = {split: round(len(values) / config.pictures_per_person) for split, values in labels.items()}
    for split, number in people.items():
        if number < 2:
            raise ConfigError(
                f"Expected at least 2 people in the stand-in's {split} split; {len(labels[split])} pictures at "
                f"`standin.pictures_per_person` {config.pictures_per_person} leave {number}."
            )
    rows = []
    known = rng.permutation(sum(people[split] for split in SPLITS))
    taken = 0
    for split in SPLITS:
        who = known[taken : taken + people[split]]
        taken += people[split]
        rows += [(split, int(label), int(person)) for label, person in _cast(rng, labels[split], who)]
    order = rng.permutation(len(rows))
    digits = max(4, len(str(len(rows))))
    planned = []
    for place, row in enumerate(order):
        split, label, person = rows[row]
        planned.append(Planned(f"{place + 1:0{digits}d}.jpg", split, label, person, index=place))
    if config.pool:
        who = len(known) + pool_rng.permutation(people["pool"])
        planned += [
            Planned(f"{place + 1:05d}.jpg", "pool", int(label), int(person), index=POOL_STREAM + place)
            for place, (label, person) in enumerate(_cast(pool_rng, labels["pool"], who))
        ]
    return tuple(planned)


def _cast(rng: np.random.Generator, labels: np.ndarray, people: np.ndarray) -> list[tuple[int, int]]:
    """Give every picture a person, all about equally often, whatever the class."""
    turns = rng.permutation(np.resize(people, len(labels)))
    return list(zip(labels, turns, strict=True))


def subject_name(person: int) -> str:
    """Return the identity label of a person, such as `s0001`."""
    return f"s{person + 1:04d}"
