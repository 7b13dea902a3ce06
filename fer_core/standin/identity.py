"""A person: shape, colours, hair, age, and how the face rests and moves. The same in every picture."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from fer_core.standin import head
from fer_core.standin.action_units import AUS
from fer_core.standin.random import stream
from fer_core.standin.traits import traits

SKIN = np.array(
    [
        [0.95, 0.80, 0.72],
        [0.90, 0.72, 0.60],
        [0.83, 0.64, 0.50],
        [0.70, 0.50, 0.37],
        [0.52, 0.35, 0.25],
        [0.36, 0.24, 0.175],
    ]
)
HAIR = np.array(
    [
        [0.05, 0.04, 0.04],
        [0.12, 0.08, 0.06],
        [0.25, 0.15, 0.09],
        [0.42, 0.27, 0.14],
        [0.72, 0.55, 0.32],
        [0.55, 0.24, 0.12],
        [0.60, 0.58, 0.56],
        [0.85, 0.84, 0.82],
    ]
)
IRIS = np.array([[0.18, 0.10, 0.06], [0.30, 0.19, 0.09], [0.38, 0.42, 0.26], [0.35, 0.47, 0.60], [0.45, 0.50, 0.52]])
BALD, SHORT, LONG = 0, 1, 2


@dataclass(frozen=True)
class Textures:
    """Noise that belongs to the person, each `(SIZE, SIZE)`, unit variance: skin, pores, freckles, hair."""

    skin: np.ndarray
    pores: np.ndarray
    freckles: np.ndarray
    hair_lock: np.ndarray
    hair_strand: np.ndarray
    hair_curl: np.ndarray
    brow: np.ndarray
    chin: np.ndarray


@dataclass(frozen=True)
class Identity:
    """Lengths in head units (eye to chin is 1); colours are sRGB in 0..1 unless the name says linear."""

    width: np.ndarray
    depth: np.ndarray
    chin: float
    age: float
    female: bool
    child: bool
    tone: float
    """0 lightest to 5 darkest skin."""
    eye_x: float
    eye_y: float
    eye_width: float
    upper_lid: float
    lower_lid: float
    eye_tilt: float
    crease: float
    iris_radius: float
    iris: np.ndarray
    brow_inner: float
    brow_outer: float
    brow_y: float
    brow_arch: float
    brow_tail: float
    brow_slope: float
    brow_thickness: float
    brow_density: float
    nose_width: float
    nose_height: float
    nose_bridge: float
    nose_y: float
    mouth_width: float
    mouth_y: float
    upper_lip: float
    lower_lip: float
    mouth_curve: float
    cupid_bow: float
    cheek: float
    socket: float
    brow_ridge: float
    nasolabial: float
    wrinkles: float
    skin: np.ndarray
    hair: np.ndarray
    lip_tint: np.ndarray
    lip_mix: float
    hair_style: int
    hair_line: float
    hair_part: float
    hair_volume: float
    hair_length: float
    hair_curl: float
    fringe: float
    beard: float
    moustache: float
    glasses: bool
    glasses_size: float
    glasses_rim: float
    freckles: float
    asymmetry: np.ndarray
    """(8, 2) unit-variance differences between the sides, used with small gains."""
    rest: np.ndarray
    """(6,) unit-variance resting-face bias: mouth corner, inner brow, outer brow, lids, ..."""
    gain: np.ndarray
    """(22,) unit-variance log of how visibly each Action Unit shows on this face."""
    textures: Textures


@lru_cache(maxsize=32)
def person(seed: int, number: int) -> Identity:
    """Return person `number` of the set drawn from `seed`."""
    rng = stream(seed, "person", number)

    def normal(spread: float) -> float:
        return float(np.clip(rng.standard_normal(), -2.2, 2.2) * spread)

    def uniform(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def chance(probability: float) -> bool:
        return bool(rng.random() < probability)

    coarse = traits(seed, number)
    child, female, age, tone = coarse.child, coarse.female, coarse.age, coarse.tone
    man = not female and not child
    dark = tone > 3.0
    skin = _between(SKIN, tone) * (1 + normal(0.05) + 0.02 * rng.standard_normal(3))
    hair = HAIR[_hair_colour(rng, dark, age)] * (1 + normal(0.12) + 0.025 * rng.standard_normal(3))
    width, depth = _profiles(rng)
    style = int(rng.choice(3, p=[0.02, 0.23, 0.75] if female else [0.10, 0.80, 0.10]))
    eye_y, hair_volume = normal(0.02), uniform(0.06, 0.16)
    return Identity(
        width=width,
        depth=depth,
        chin=normal(0.045),
        age=age,
        female=female,
        child=child,
        tone=tone,
        eye_x=0.325 + normal(0.018),
        eye_y=eye_y,
        eye_width=(0.148 + normal(0.010)) * (1.08 if child else 1.0),
        upper_lid=0.074 + normal(0.011),
        lower_lid=0.050 + normal(0.006),
        eye_tilt=normal(0.018) - 0.008,
        crease=0.035 + normal(0.012),
        iris_radius=0.074 + normal(0.003),
        iris=(IRIS[0] if dark else IRIS[rng.choice(5, p=[0.35, 0.25, 0.12, 0.18, 0.10])]) * (1 + 0.1 * normal(1)),
        brow_inner=0.125 + normal(0.02),
        brow_outer=0.52 + normal(0.03),
        brow_y=eye_y - 0.205 + normal(0.025),
        brow_arch=-0.075 + normal(0.022),
        brow_tail=0.02 + normal(0.025),
        brow_slope=normal(0.018),
        brow_thickness=0.034 * (1 + normal(0.25)) * (0.75 if female else 1.0) * (0.7 if child else 1.0),
        brow_density=uniform(0.55, 1.0),
        nose_width=0.115 + normal(0.014),
        nose_height=(0.215 + normal(0.030)) * (0.82 if child else 1.0),
        nose_bridge=0.075 + normal(0.018),
        nose_y=0.31 + normal(0.025),
        mouth_width=0.255 + normal(0.022),
        mouth_y=0.575 + normal(0.022),
        upper_lip=0.050 * (1 + normal(0.25)),
        lower_lip=0.068 * (1 + normal(0.22)),
        mouth_curve=normal(0.014),
        cupid_bow=0.25 + normal(0.08),
        cheek=0.04 + normal(0.02),
        socket=0.075 + normal(0.02),
        brow_ridge=0.03 + normal(0.015) + (0.0 if female else 0.015),
        nasolabial=0.2 + 0.8 * age * uniform(0.5, 1),
        wrinkles=max(0.15, 0.25 + 0.75 * age + normal(0.08)),
        skin=skin,
        hair=hair,
        lip_tint=np.array([uniform(0.72, 0.92), uniform(0.40, 0.58), uniform(0.42, 0.60)]),
        lip_mix=min(1.0, uniform(0.45, 0.9) + (0.2 * uniform(0, 1) if female else 0.0)),
        hair_style=style,
        hair_line=-0.66 + normal(0.05) - (0.12 * age if man else 0.0),
        hair_part=normal(0.25),
        hair_volume=0.0 if style == BALD else hair_volume,
        hair_length=uniform(0.5, 1.9),
        hair_curl=uniform(0.4, 1) if dark else uniform(0, 0.8),
        fringe=uniform(0.1, 0.28) if chance(0.25) else 0.0,
        beard=coarse.beard,
        moustache=coarse.moustache,
        glasses=coarse.glasses,
        glasses_size=uniform(0.16, 0.22),
        glasses_rim=uniform(0.008, 0.018),
        freckles=uniform(0.3, 1) if chance(0.2) else 0.0,
        asymmetry=np.clip(rng.standard_normal((8, 2)), -2.2, 2.2).astype(np.float32),
        rest=np.clip(rng.standard_normal(6), -2.2, 2.2).astype(np.float32),
        gain=np.clip(rng.standard_normal(len(AUS)), -2.2, 2.2).astype(np.float32),
        textures=_textures(rng),
    )


def _between(palette: np.ndarray, position: float) -> np.ndarray:
    low = int(position)
    return palette[low] + (palette[low + 1] - palette[low]) * (position - low)


def _hair_colour(rng: np.random.Generator, dark: bool, age: float) -> int:
    if age > 0.75 and rng.random() > 0.4:
        return int(rng.integers(6, 8))
    if dark and rng.random() > 0.1:
        return int(rng.integers(0, 2))
    return int(rng.choice(8, p=[0.25, 0.25, 0.20, 0.10, 0.08, 0.04, 0.05, 0.03]))


def _profiles(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Vary overall width and depth, jaw, forehead and chin."""
    width, depth, jaw, forehead, chin, brow = np.clip(rng.standard_normal(6), -2.2, 2.2)
    k = head.KNOTS
    is_jaw = 1 / (1 + np.exp(-(k - 0.5) / 0.15)) / (1 + np.exp(-(1.12 - k) / 0.03))
    is_forehead = np.exp(-(((k + 0.7) / 0.25) ** 2))
    is_chin = np.exp(-(((k - 0.9) / 0.12) ** 2))
    widths = head.WIDTH * (1 + 0.045 * width) * (1 + 0.07 * jaw * is_jaw) * (1 + 0.04 * forehead * is_forehead)
    depths = head.DEPTH * (1 + 0.03 * depth) + 0.025 * chin * is_chin + 0.02 * brow * is_forehead
    return head.smooth_profile(widths), head.smooth_profile(depths)


def _textures(rng: np.random.Generator) -> Textures:
    def noise(rows: int, cols: int) -> np.ndarray:
        grid = rng.standard_normal((rows, cols)).astype(np.float32)
        return cv2.resize(grid, (head.SIZE, head.SIZE), interpolation=cv2.INTER_CUBIC)

    return Textures(
        skin=noise(10, 10),
        pores=noise(40, 40),
        freckles=noise(44, 44),
        hair_lock=noise(5, 14),
        hair_strand=noise(5, 60),
        hair_curl=noise(14, 14),
        brow=noise(20, 60),
        chin=noise(28, 28),
    )
