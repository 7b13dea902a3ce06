"""The plan of all pictures: who shows what where. Index order, person and file name say nothing about the class.

People are dealt to pictures so that every class shows the same mix of skin tones, ages, glasses and beards, and head
turns are drawn evenly within every class: what a table finds in one bin is then not the bin's classes.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from fer_core.errors import ConfigError
from fer_core.standin.config import StandinConfig
from fer_core.standin.published import COUNTS, SPLITS
from fer_core.standin.random import stream
from fer_core.standin.traits import pose_bin, traits

POOL_STREAM = 1_000_000
"""Random streams of pool pictures start here, so that the labelled set does not depend on the pool's size."""

LEAST = {"train": 2, "validation": 1, "test": 1}
YAW, LARGEST_YAW = 0.26, 0.75
"""Standard deviation of head turns at `pose` 1, and their limit, radians."""

_CANDIDATES = 12


@dataclass(frozen=True)
class Planned:
    """One picture to be drawn.

    Attributes:
        name: file name below its folder, such as `0001.jpg`.
        split: train, validation, test or pool.
        label: class index; for the pool only what the face shows, never written anywhere.
        person: number of the person shown.
        index: the picture's random stream.
        yaw: head turn, radians.
    """

    name: str
    split: str
    label: int
    person: int
    index: int
    yaw: float

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
    rows: list[tuple[str, int, int, float]] = []
    known = rng.permutation(sum(people[split] for split in SPLITS))
    taken = 0
    for split in SPLITS:
        who = known[taken : taken + people[split]]
        taken += people[split]
        cast = deal(rng, config.seed, labels[split], who)
        rows += _rows(split, labels[split], cast, head_turns(rng, labels[split], config.knobs.pose))
    order = rng.permutation(len(rows))
    digits = max(4, len(str(len(rows))))
    planned = [Planned(f"{place + 1:0{digits}d}.jpg", *_at(rows[row], place)) for place, row in enumerate(order)]
    if config.pool:
        cast = deal(pool_rng, config.seed, labels["pool"], len(known) + pool_rng.permutation(people["pool"]))
        turns = head_turns(pool_rng, labels["pool"], config.knobs.pose)
        for place, row in enumerate(_rows("pool", labels["pool"], cast, turns)):
            planned.append(Planned(f"{place + 1:05d}.jpg", *_at(row, POOL_STREAM + place)))
    return tuple(planned)


def _rows(split: str, labels: Iterable[int], people: Iterable[int], yaws: Iterable[float]) -> list:
    return [(split, int(a), int(b), float(c)) for a, b, c in zip(labels, people, yaws, strict=True)]


def _at(row: tuple[str, int, int, float], index: int) -> tuple[str, int, int, int, float]:
    return (*row[:3], index, row[3])


def attributes(config: StandinConfig, person: int, yaw: float) -> dict[str, str]:
    """Return a picture's bins, in the order of `traits.BINS`."""
    return {**traits(config.seed, person).bins(), "pose": pose_bin(yaw)}


def deal(rng: np.random.Generator, seed: int, labels: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Give every picture a person, `(N,)`: all about equally often, and no class leans towards one kind of people.

    Minimisation (Pocock & Simon, Biometrics 1975): of the next few people in the queue, the picture gets the one whose
    bins its class lacks most.
    """
    bins = {int(person): list(traits(seed, int(person)).bins().items()) for person in people}
    tally = Counter(pair for pairs in bins.values() for pair in pairs)
    share = {pair: count / len(people) for pair, count in tally.items()}
    seen: Counter = Counter()
    queue: list[int] = []
    who = np.empty(len(labels), int)
    for picture in rng.permutation(len(labels)):
        label = int(labels[picture])
        if len(queue) < _CANDIDATES:
            queue += [int(person) for person in rng.permutation(people)]
        seen[label] += 1
        next_ones = queue[:_CANDIDATES]
        surplus = [sum(seen[label, pair] - share[pair] * seen[label] for pair in bins[one]) for one in next_ones]
        best = int(np.argmin(surplus))
        who[picture] = queue.pop(best)
        seen.update((label, pair) for pair in bins[int(who[picture])])
    return who


def head_turns(rng: np.random.Generator, labels: np.ndarray, pose: float) -> np.ndarray:
    """Return every picture's yaw in radians, `(N,)`: normal, and spread evenly over its quantiles in every class."""
    quantile = np.empty(len(labels))
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        quantile[mine] = (rng.permutation(len(mine)) + rng.random(len(mine))) / len(mine)
    return np.clip(YAW * pose * ndtri(quantile), -LARGEST_YAW, LARGEST_YAW)


def subject_name(person: int) -> str:
    """Return the identity label of a person, such as `s0001`."""
    return f"s{person + 1:04d}"
