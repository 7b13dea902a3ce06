"""Eyebrows: a quadratic curve through inner end, middle and tail, with hairs."""

from dataclasses import dataclass

import numpy as np

from fer_core.standin.action_units import Muscles
from fer_core.standin.canvas import Canvas, linear
from fer_core.standin.curves import bell, blob, sigmoid, smoothstep
from fer_core.standin.deform import Features
from fer_core.standin.head import Window, window
from fer_core.standin.identity import Identity

REGION = (-0.62, 0.08, 0.72)


@dataclass(frozen=True)
class Brows:
    """Both brows on their window: height `y` of the curve and coverage `hairs`."""

    where: Window
    y: np.ndarray
    hairs: np.ndarray


def shape_brows(me: Identity, f: Features, a: Muscles) -> Brows:
    """Place the brows."""
    where = window(*REGION)
    inner = where.both(f.brow_inner_x)
    along = (where.side - inner) / (me.brow_outer - inner)
    t = np.clip(along, 0, 1)
    y = (
        where.both(f.brow_inner) * (1 - t) ** 2
        + where.both(f.brow_middle) * 2 * t * (1 - t)
        + where.both(f.brow_outer) * t**2
    )
    thickness = (
        me.brow_thickness * (1 - 0.65 * t**1.5) * (0.75 + 0.5 * smoothstep(0, 0.15, t)) * (1 + 0.15 * where.both(a[4]))
    )
    noise = me.textures.brow[where.at]
    hairs = sigmoid((thickness - np.abs(where.y - y)) / 0.010) * sigmoid(along / 0.04) * sigmoid((1 - along) / 0.04)
    hairs = hairs * np.clip(me.brow_density * (0.95 + 0.16 * noise), 0, 1)
    return Brows(where, y, hairs)


def carve_brows(canvas: Canvas, me: Identity, a: Muscles, brows: Brows) -> None:
    """Model the brow ridge and the corrugator's bulge."""
    where = brows.where
    ridge = bell(where.y - brows.y, 0.085) * smoothstep(0.62, 0.45, where.side)
    canvas.lift(where, me.brow_ridge * ridge * (1 + 0.9 * where.both(a[4])))
    canvas.lift(where, 0.02 * a.mean(4) * blob(where.x, where.y, 0, -0.17, 0.07, 0.06))


def paint_brows(canvas: Canvas, me: Identity, brows: Brows) -> None:
    """Paint the hairs."""
    canvas.cover(brows.where, brows.hairs, linear(me.hair * 0.75 + 0.02))
    canvas.polish(brows.where, brows.hairs, 0.0)
