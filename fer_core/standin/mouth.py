"""Mouth: lips, opening, teeth and tongue."""

from dataclasses import dataclass

import numpy as np

from fer_core.standin.action_units import Muscles
from fer_core.standin.canvas import Canvas, linear
from fer_core.standin.curves import bell, blob, sigmoid, smoothstep
from fer_core.standin.deform import Features
from fer_core.standin.head import Window, window
from fer_core.standin.identity import Identity

REGION = (0.36, 1.22, 0.48)
_DARK = np.array([0.055, 0.015, 0.015], np.float32)
_TONGUE = np.array([0.38, 0.10, 0.10], np.float32)
_TEETH = np.array([0.70, 0.66, 0.58], np.float32)


@dataclass(frozen=True)
class Mouth:
    """The mouth on its window: outer and inner edge of both lips as rows, and the masks between them."""

    where: Window
    across: np.ndarray
    """|x| over the half-width: 1 at the corners."""
    upper_outer: np.ndarray
    upper_inner: np.ndarray
    lower_inner: np.ndarray
    lower_outer: np.ndarray
    inside: np.ndarray
    upper_lip: np.ndarray
    lower_lip: np.ndarray
    opening: np.ndarray
    gap: np.ndarray


def shape_mouth(me: Identity, f: Features, a: Muscles) -> Mouth:
    """Place the lips."""
    where = window(*REGION)
    across = where.side / where.both(f.mouth_half)
    t = np.minimum(across, 1)
    middle = where.both(f.mouth_y) + where.both(f.corner) * t**1.7
    upper_gap, lower_gap = where.both(f.upper_gap), where.both(f.lower_gap)
    upper_inner = middle - upper_gap * (1 - t**2)
    lower_inner = middle + lower_gap * (1 - t**2.6)
    cupid = 1 - me.cupid_bow * bell(where.x / where.both(f.mouth_half), 0.16)
    raised = 0.05 * where.both(a[10]) * bell(across - 0.45, 0.35) * (1 - t**2)
    upper_outer = upper_inner - where.both(f.upper_lip) * (1 - t**1.6) * cupid - raised
    lower_outer = lower_inner + where.both(f.lower_lip) * (1 - t**2.2)
    inside = sigmoid((1 - across) / 0.025)
    y = where.y
    edge = 0.010
    gap = upper_gap + lower_gap
    opening = (
        sigmoid((y - upper_inner) / 0.008)
        * sigmoid((lower_inner - y) / 0.008)
        * inside
        * sigmoid((gap - 0.012) / 0.004)
    )
    return Mouth(
        where=where,
        across=across,
        upper_outer=upper_outer,
        upper_inner=upper_inner,
        lower_inner=lower_inner,
        lower_outer=lower_outer,
        inside=inside,
        upper_lip=sigmoid((y - upper_outer) / edge) * sigmoid((upper_inner - y) / edge) * inside,
        lower_lip=sigmoid((y - lower_inner) / edge) * sigmoid((lower_outer - y) / edge) * inside,
        opening=opening,
        gap=gap,
    )


def carve_mouth(canvas: Canvas, me: Identity, f: Features, mouth: Mouth) -> None:
    """Model the lips, their protrusion and the hollow between them."""
    where, y = mouth.where, mouth.where.y
    fullness = float(f.upper_lip.mean() / me.upper_lip)
    upper = 0.045 * sigmoid((y - mouth.upper_outer) / 0.02) * sigmoid((mouth.upper_inner - y + 0.01) / 0.018)
    lower = 0.055 * sigmoid((y - mouth.lower_inner) / 0.018) * sigmoid((mouth.lower_outer - y) / 0.025)
    canvas.lift(where, (upper + lower) * mouth.inside * fullness)
    canvas.lift(where, -0.065 * mouth.opening)
    if f.protrusion > 0:
        height = float(f.mouth_y.mean())
        canvas.lift(where, f.protrusion * blob(where.x, y, 0, height, 0.8 * float(f.mouth_half.mean()), 0.11))


def paint_mouth(canvas: Canvas, me: Identity, f: Features, a: Muscles, mouth: Mouth) -> None:
    """Paint lips, the dark inside, tongue, teeth and the seam of a closed mouth."""
    where, y, across, opening = mouth.where, mouth.where.y, mouth.across, mouth.opening
    lips = mouth.upper_lip * 0.95 + mouth.lower_lip * 0.85
    tint = np.clip(linear(me.lip_tint) * np.maximum(canvas.albedo[where.at], 0.02) * 1.75, 0, 0.9)
    canvas.cover(where, lips * me.lip_mix, tint)
    canvas.polish(where, np.clip(lips, 0, 1), 1.3)
    canvas.shade(where, mouth.upper_lip, 0.15)
    canvas.cover(where, opening, _DARK)
    tongue = opening * blob(where.x, y, 0, mouth.lower_inner - 0.005, 0.13, 0.045)
    canvas.cover(where, 0.8 * tongue * smoothstep(0.06, 0.14, mouth.gap), _TONGUE)
    teeth = opening * sigmoid((mouth.upper_inner + 0.060 + 0.01 * a.mean(12) - y) / 0.008)
    teeth = teeth * sigmoid((0.86 - across) / 0.06) * smoothstep(0.0, 0.012, y - mouth.upper_inner)
    shown = min(0.85, 0.5 * a.mean(26) + 0.8 * a.mean(20) + 0.4 * a.mean(10) + 0.9 * a.mean(16))
    lower = (
        opening
        * sigmoid((y - (mouth.lower_inner - 0.028 - 0.012 * a.mean(16))) / 0.008)
        * sigmoid((0.65 - across) / 0.06)
    )
    teeth = np.maximum(teeth, lower * shown * smoothstep(0.05, 0.09, mouth.gap))
    between = 0.25 * bell(np.remainder(where.side / 0.042, 1) - 0.5, 0.09)
    canvas.cover(where, 0.95 * teeth, _TEETH * ((1 - between) * (1 - 0.35 * smoothstep(0.4, 0.9, across)))[..., None])
    seam = (
        bell(y - 0.5 * (mouth.upper_inner + mouth.lower_inner), 0.010) * sigmoid((1.03 - across) / 0.03) * (1 - opening)
    )
    canvas.shade(where, seam, 0.72)
    canvas.polish(where, opening, 0.0)
