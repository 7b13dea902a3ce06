"""Short clips: one person's face from neutral to its apex and back, with heads that drift and lids that follow.

Their people appear in no picture, and their split is their own.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from fer_core.errors import ConfigError
from fer_core.standin.config import StandinConfig
from fer_core.standin.curves import smoothstep
from fer_core.standin.degrade import degrade
from fer_core.standin.identity import person
from fer_core.standin.layout import deal, head_turns
from fer_core.standin.picture import annotate, truth
from fer_core.standin.published import CLASSES, COUNTS, SPLITS
from fer_core.standin.random import stream
from fer_core.standin.render import project, render
from fer_core.standin.surface import build_surface
from fer_core.standin.view import draw_background, draw_view, rotation

FRAMES = 8
SIZE = 64
SHARES = {"validation": 0.2, "test": 0.2}
"""Of the clips; the others are for training."""

CLIPS_PER_PERSON = 2
FIRST_PERSON = 1_000_000
STREAM = 2_000_000
"""Random streams and people of clips start here, apart from those of pictures."""


@dataclass(frozen=True)
class PlannedClip:
    """One clip to be drawn: `name` such as `0001`, split, class, person, yaw in radians, random stream `index`."""

    name: str
    split: str
    label: int
    person: int
    index: int
    yaw: float


@dataclass(frozen=True)
class Clip:
    """What was drawn: JPEG files of the frames, annotated landmarks `(FRAMES, 5, 2)`."""

    frames: list[bytes]
    landmarks: np.ndarray


def clip_counts(number: int) -> dict[str, list[int]]:
    """Return clips per class for each split, `number` in all: one a class, the rest in RAF-CE's shares.

    Raises:
        ConfigError: too few clips for one in every class and split.
    """
    total = {split: round(number * SHARES[split]) for split in ("validation", "test")}
    total["train"] = number - sum(total.values())
    if number > 0 and min(total.values()) < len(CLASSES):
        least = next(n for n in range(number, 1000) if round(n * min(SHARES.values())) >= len(CLASSES))
        raise ConfigError(
            f"Expected `standin.clips` to be 0 or at least {least}, so that every split has every class; got {number}."
        )
    return {split: _apportion(total[split]) for split in SPLITS}


def _apportion(total: int) -> list[int]:
    """Give every class one, and the rest by largest remainder."""
    if not total:
        return [0] * len(CLASSES)
    exact = np.array(COUNTS["train"]) / sum(COUNTS["train"]) * (total - len(CLASSES))
    counts = 1 + np.floor(exact).astype(int)
    counts[np.argsort(np.floor(exact) - exact, kind="stable")[: total - counts.sum()]] += 1
    return [int(count) for count in counts]


@lru_cache(maxsize=4)
def plan_clips(config: StandinConfig) -> tuple[PlannedClip, ...]:
    """Return all clips in file order; names say nothing about class or split."""
    rng = stream(config.seed, "clip")
    rows: list[tuple[str, int, int, float]] = []
    taken = FIRST_PERSON
    for split, counts in clip_counts(config.clips).items():
        labels = np.repeat(np.arange(len(counts)), counts)
        people = taken + np.arange(len(labels) // CLIPS_PER_PERSON)
        taken += len(people)
        cast = deal(rng, config.seed, labels, people)
        yaws = head_turns(rng, labels, 0.7 * config.knobs.pose)
        rows += [(split, int(a), int(b), float(c)) for a, b, c in zip(labels, cast, yaws, strict=True)]
    clips = []
    for place, row in enumerate(rng.permutation(len(rows))):
        split, label, who, yaw = rows[row]
        clips.append(PlannedClip(f"{place + 1:04d}", split, label, who, STREAM + place, yaw))
    return tuple(clips)


def envelope(config: StandinConfig, clip: PlannedClip) -> np.ndarray:
    """Return how far every unit has moved in every frame, `(FRAMES, 22)` in [0, 1]: 0 in the first frame."""
    rng = stream(config.seed, "clip", clip.index)
    start, apex = rng.uniform(0.02, 0.14), rng.uniform(0.35, 0.55)
    end = rng.uniform(0.65, 0.8)
    lag = 0.04 * rng.standard_normal(22)
    time = np.linspace(0, 1, FRAMES)[:, None]
    return smoothstep(start, apex + lag, time) * (1 - smoothstep(end, 1.0, time))


def apex_frame(config: StandinConfig, clip: PlannedClip) -> int:
    """Return the frame in which the expression is strongest, 0 first."""
    return int(envelope(config, clip).mean(axis=1).argmax())


def draw_clip(config: StandinConfig, clip: PlannedClip) -> Clip:
    """Draw all frames of a clip."""
    me = person(config.seed, clip.person)
    rng = stream(config.seed, "scene", clip.index)
    knobs = config.knobs
    view = draw_view(rng, SIZE, me.tone, clip.yaw, knobs)
    unit = SIZE * rng.uniform(0.38, 0.43)
    centre = np.array([0.50, 0.36]) * SIZE + rng.normal(0, 1.2, 2)
    background = draw_background(rng, SIZE, SIZE)
    drift = np.cumsum(rng.normal(0, 0.015, (FRAMES, 3)), axis=0)
    _, apex = truth(config, clip.label, clip.index)
    frames, landmarks = [], []
    for frame, share in enumerate(envelope(config, clip)):
        yaw, pitch, roll = drift[frame] * np.array([1.0, 1.0, 0.5])
        moved = replace(
            view,
            width=SIZE,
            height=SIZE,
            unit=unit,
            centre=centre + 12 * drift[frame, :2],
            rotation=rotation(yaw, pitch, roll) @ view.rotation,
            gaze=view.gaze + 4 * drift[frame, 1:],
        )
        surface = build_surface(me, apex * share[:, None], view.attire, moved.gaze, knobs)
        number = (clip.index - STREAM) * FRAMES + frame
        damage = stream(config.seed, "degrade", clip.index)  # the same in every frame: one camera
        grain = stream(config.seed, "grain", STREAM + number)
        clean = render(surface, moved, background)
        frames.append(degrade(clean, damage, grain, moved.centre, unit, knobs))
        landmarks.append(annotate(project(surface, moved), stream(config.seed, "annotate", STREAM + number)))
    return Clip(frames, np.stack(landmarks))
