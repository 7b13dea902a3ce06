"""Eyes: lids, lashes, iris and gaze, lid crease and bags. Full circle when startled, shut by AU43."""

from dataclasses import dataclass

import numpy as np

from fer_core.standin.action_units import Muscles
from fer_core.standin.canvas import Canvas, linear
from fer_core.standin.curves import bell, blob, sigmoid, smoothstep
from fer_core.standin.deform import Features
from fer_core.standin.head import Window, window
from fer_core.standin.identity import Identity

REGION = (-0.24, 0.20, 0.60)
_SCLERA = np.array([0.52, 0.49, 0.46], np.float32)


@dataclass(frozen=True)
class Eyes:
    """Both eyes on their window: `across` is -1 at the inner and 1 at the outer corner."""

    where: Window
    x: np.ndarray
    y: np.ndarray
    width: float
    across: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    inside: np.ndarray
    opening: np.ndarray


def shape_eyes(me: Identity, f: Features) -> Eyes:
    """Place the lids."""
    where = window(*REGION)
    x, y = where.both(f.eye_x), where.both(f.eye_y)
    across = (where.side - x) / me.eye_width
    t = np.clip(across, -1, 1)
    round_off = np.maximum(1 - t * t, 0)
    axis = y + me.eye_tilt * t
    upper = axis - where.both(f.upper_lid) * round_off**0.62 * (1 - 0.10 * t)
    lower = np.maximum(axis + where.both(f.lower_lid) * round_off**0.8 * (1 + 0.15 * t), upper + 0.002)
    inside = sigmoid((1 - np.abs(across)) / 0.03)
    opening = sigmoid((where.y - upper) / 0.010) * sigmoid((lower - where.y) / 0.010) * inside
    opening = opening * (1 - sigmoid((where.both(f.closed) - 0.9) / 0.02))
    return Eyes(where, x, y, me.eye_width, across, upper, lower, inside, opening)


def carve_eyes(canvas: Canvas, me: Identity, eyes: Eyes) -> None:
    """Model sockets, eyeballs and lids."""
    where = eyes.where
    wide = window(-0.45, 0.35, 0.9)
    centre_x, centre_y = float(eyes.x.mean()), float(eyes.y.mean())
    canvas.lift(wide, -me.socket * blob(wide.side, wide.y, centre_x - 0.02, centre_y - 0.03, 0.16, 0.085))
    canvas.lift(where, 0.055 * blob(where.side, where.y, eyes.x, eyes.y, 0.115, 0.075))
    canvas.lift(wide, -0.03 * blob(wide.side, wide.y, centre_x - 0.17, centre_y, 0.05, 0.06))
    canvas.lift(where, -0.02 * eyes.opening)


def paint_lids(canvas: Canvas, me: Identity, f: Features, a: Muscles, eyes: Eyes) -> None:
    """Shade the skin around the eyes: crease, bags, inner corner."""
    where, x, y = eyes.where, eyes.x, eyes.y
    canvas.shade(where, blob(where.side, where.y, x, y + 0.09, 0.13, 0.035), 0.10 + 0.12 * me.age)
    canvas.shade(where, blob(where.side, where.y, x, y - 0.06, 0.15, 0.05), 0.12)
    canvas.shade(where, blob(where.side, where.y, x - 0.15, y, 0.04, 0.05), 0.18)
    crease_y = eyes.upper - where.both(f.lid_crease) * (1 - 0.15 * np.clip(eyes.across, -1, 1)) - 0.01
    crease = bell(where.y - crease_y, 0.011) * sigmoid((1.05 - np.abs(eyes.across)) / 0.05)
    canvas.shade(where, crease * (1 - 0.5 * where.both(f.closed)), 0.45)
    strength = 0.15 + 0.7 * where.both(a[6]) + 0.7 * where.both(a[7]) + 0.5 * me.age
    bag = bell(where.y - (eyes.lower + 0.055), 0.014) * sigmoid((0.9 - np.abs(eyes.across)) / 0.1)
    canvas.shade(where, bag * strength, 0.32)


def paint_eyes(canvas: Canvas, me: Identity, eyes: Eyes, gaze: np.ndarray) -> None:
    """Paint eyeballs looking along `gaze` and the lashes over them."""
    where = eyes.where
    iris_x = eyes.x * np.where(where.x < 0, -1, 1) + 0.05 * float(gaze[0])
    iris_y = eyes.y - 0.012 + 0.03 * float(gaze[1])
    r = np.hypot(where.x - iris_x, where.y - iris_y) / me.iris_radius
    white = _SCLERA * (1 - 0.08 * me.tone / 5 * 2)
    ball = (
        white
        * ((1 - 0.30 * smoothstep(0.4, 1.0, np.abs(eyes.across))) * (1 - 0.45 * bell(where.y - eyes.upper, 0.03)))[
            ..., None
        ]
    )
    iris = (
        linear(me.iris) * ((0.75 + 0.7 * smoothstep(0.35, 0.85, r)) * (1 - 0.7 * smoothstep(0.82, 1.0, r)))[..., None]
    )
    ball += sigmoid((1 - r) / 0.06)[..., None] * (iris - ball)
    ball += sigmoid((0.42 - r) / 0.05)[..., None] * (0.006 - ball)
    ball += blob(where.x, where.y, iris_x + 0.020, iris_y - 0.022, 0.011, 0.011)[..., None] * (0.9 - ball)
    corner = 0.7 * blob(eyes.across, where.y, -1.0, eyes.y, 0.10, 0.03)
    ball += corner[..., None] * (np.array([0.5, 0.2, 0.18], np.float32) - ball)
    canvas.cover(where, eyes.opening, ball)
    canvas.polish(where, eyes.opening, 0.7)
    lash_width = 0.016 if me.female else 0.010
    canvas.shade(where, bell(where.y - eyes.upper, lash_width) * eyes.inside, 0.86)
    canvas.shade(where, bell(where.y - eyes.lower, 0.009) * eyes.inside, 0.20)
