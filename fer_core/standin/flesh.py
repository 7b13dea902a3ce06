"""Nose, cheeks, chin, ears and the skin itself with beard and moustache."""

import numpy as np

from fer_core.standin.action_units import Muscles
from fer_core.standin.canvas import Canvas, linear
from fer_core.standin.curves import blob, sigmoid, smoothstep
from fer_core.standin.deform import Features
from fer_core.standin.furrows import chin_pad
from fer_core.standin.head import Window, window, without_jaw
from fer_core.standin.identity import Identity
from fer_core.standin.mouth import Mouth

_BLOOD = np.array([1.06, 0.80, 0.80], np.float32)


def carve_flesh(canvas: Canvas, me: Identity, f: Features, a: Muscles) -> None:
    """Model nose, cheeks (raised by AU6 and AU12), philtrum, chin (pushed by AU17) and ears."""
    w = window(-0.40, 0.55, 0.42)
    y = w.y + w.both(f.nose_lift)
    ridge = smoothstep(-0.22, me.nose_y - 0.03, y)
    height = (
        me.nose_bridge * (0.25 + 0.75 * smoothstep(-0.30, -0.02, y)) + (me.nose_height - me.nose_bridge) * ridge**1.4
    )
    drop = sigmoid((me.nose_y + 0.005 - y) / 0.020) * smoothstep(-0.32, -0.10, y)
    half = 0.052 + 0.045 * smoothstep(-0.1, me.nose_y, y)
    canvas.lift(w, height * drop * np.exp(-0.5 * (w.x / half) ** 2))
    wing_x = me.nose_width - 0.022 + 0.012 * w.both(a[9]) + 0.008 * w.both(a[10])
    canvas.lift(w, 0.095 * blob(w.side, y, wing_x, me.nose_y - 0.045, 0.042, 0.045))

    w = window(-0.15, 0.65, 1.0)
    smile, squint = w.both(a[12]), w.both(a[6])
    cheek = blob(w.side, w.y, 0.44 - 0.02 * smile, 0.24 - 0.06 * squint - 0.035 * smile, 0.15, 0.115)
    canvas.lift(w, (me.cheek + 0.050 * squint + 0.040 * smile) * cheek)

    w = window(0.25, 1.40, 0.70)
    canvas.lift(w, 0.02 * blob(w.x, w.y, 0, me.mouth_y - 0.02, 0.22, 0.16))
    canvas.lift(w, -0.010 * blob(w.x, w.y, 0, me.mouth_y - 0.13, 0.022, 0.05))
    lower = without_jaw(w.y, f.chin_shift)
    shrug = a.mean(17)
    canvas.lift(w, 0.055 * (1 + 0.5 * shrug) * blob(w.x, lower, 0, 0.87 - 0.03 * shrug, 0.13, 0.085))
    canvas.lift(w, -0.030 * (1 + 0.6 * a.mean(16)) * blob(w.x, lower, 0, 0.735, 0.16, 0.03))

    w = window(-0.55, 0.65, 9.0)
    ear = blob(w.side, w.y, 1.20, 0.06, 0.045, 0.15) * (1 - 0.5 * blob(w.side, w.y, 1.18, 0.06, 0.02, 0.09))
    canvas.lift(w, 0.085 * ear)


def paint_skin(canvas: Canvas, me: Identity, f: Features) -> None:
    """Fill the canvas with the person's skin: blotches, pores, flush of cheeks and nose, freckles."""
    everywhere = window()
    texture = me.textures
    tone = 1 + 0.05 * texture.skin + 0.03 * texture.pores * (0.5 + me.age)
    canvas.albedo[:] = linear(me.skin) * tone[..., None]
    w = window(-0.2, 1.35, 1.5)
    flush = 0.5 * blob(w.side, w.y, 0.42, 0.26, 0.14, 0.12) + 0.6 * blob(w.x, w.y, 0, 0.28, 0.08, 0.08)
    flush = flush + 0.3 * blob(w.side, w.y, 1.2, 0.05, 0.15, 0.2) + 0.25 * chin_pad(w.x, w.y, f)
    canvas.albedo[w.at] *= 1 + (_BLOOD - 1) * flush[..., None]
    if me.freckles:
        spots = np.clip(texture.freckles - 1.1, 0, 1) * blob(everywhere.side, everywhere.y, 0.3, 0.18, 0.3, 0.13)
        canvas.albedo *= 1 - 0.5 * me.freckles * spots[..., None]


def paint_nose(canvas: Canvas, me: Identity, f: Features, a: Muscles) -> None:
    """Shade nostrils and the sides of the nose."""
    w = window(0.05, 0.60, 0.36)
    y = w.y + w.both(f.nose_lift)
    canvas.shade(w, blob(w.side, y, 0.052 + 0.006 * w.both(a[9]), me.nose_y + 0.008, 0.026, 0.013), 0.85)
    canvas.shade(w, blob(w.x, y, 0, me.nose_y + 0.03, 0.10, 0.018), 0.25)
    distance = (w.side - me.nose_width - 0.028) ** 2 + (y - me.nose_y + 0.035) ** 2
    canvas.shade(w, np.exp(-distance / 0.0006), 0.18)


def paint_beard(canvas: Canvas, me: Identity, f: Features, mouth: Mouth) -> None:
    """Paint beard and moustache."""
    colour = linear(me.hair) * 1.1
    if me.beard:
        w = window(-0.15, 1.60, 1.15)
        lower = without_jaw(w.y, f.chin_shift)
        area = sigmoid((lower - 0.52 - 0.55 * np.clip(w.side - 0.35, -0.1, 0.35)) / 0.06) * smoothstep(
            1.12, 0.98, lower
        )
        area = area * smoothstep(1.05, 0.85, w.side)
        sideburn = smoothstep(0.80, 0.86, w.side) * smoothstep(-0.05, 0.1, w.y) * smoothstep(1.1, 0.95, lower)
        area = np.maximum(area, sideburn * smoothstep(1.05, 0.98, w.side)) * (
            1 - 0.5 * blob(w.x, lower, 0, 0.66, 0.10, 0.04)
        )
        hairs = np.clip(area * me.beard, 0, 1) * _tufts(me, w)
        canvas.cover(w, 0.85 * hairs, colour)
        canvas.polish(w, hairs, 0.1)
    if me.moustache:
        w = mouth.where
        area = sigmoid((w.y - (me.nose_y + 0.055)) / 0.02) * sigmoid((mouth.upper_outer + 0.005 - w.y) / 0.012)
        area = area * sigmoid((1.05 - mouth.across) / 0.1)
        canvas.cover(w, 0.85 * area * me.moustache * _tufts(me, w), colour)


def _tufts(me: Identity, w: Window) -> np.ndarray:
    return np.clip(0.75 + 0.35 * me.textures.brow[w.at], 0.2, 1.0)
