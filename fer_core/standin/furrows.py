"""Furrows: the grooves that Action Units fold into the skin, deeper on older faces."""

import numpy as np

from fer_core.standin.action_units import Muscles
from fer_core.standin.canvas import Canvas
from fer_core.standin.curves import bell, blob, sigmoid, smoothstep
from fer_core.standin.deform import Features
from fer_core.standin.head import window, without_jaw
from fer_core.standin.identity import Identity


def fold_upper(canvas: Canvas, me: Identity, f: Features, a: Muscles) -> None:
    """Forehead (AU1, AU2), glabella (AU4), nose root (AU9), crow's feet (AU6)."""
    w = window(-0.72, -0.22, 0.64)
    inner, outer = w.both(a[1]), w.both(a[2])
    lines = np.zeros((w.y.shape[0], w.x.shape[1]), np.float32)
    for height, phase in ((-0.36, 0.0), (-0.45, 1.0), (-0.54, 2.0)):
        curve = height + 0.03 * np.cos(3 * w.x + phase) - 0.02 * inner - 0.03 * outer + 0.05 * w.side**2
        lines += bell(w.y - curve, 0.012)
    pulled = np.maximum(inner * bell(w.side, 0.28), outer * (1 - 0.6 * bell(w.side, 0.22)))
    canvas.groove(w, lines * sigmoid((0.52 - w.side) / 0.06) * me.wrinkles * (0.10 * me.age + 0.85 * pulled))

    w = window(-0.40, -0.02, 0.20)
    frown = w.both(a[4])
    vertical = (
        bell(w.side - (0.065 - 0.02 * frown), 0.012) * smoothstep(-0.36, -0.26, w.y) * smoothstep(-0.06, -0.16, w.y)
    )
    canvas.groove(w, vertical * me.wrinkles * (0.08 + frown))
    middle = bell(w.x, 0.012) * smoothstep(-0.33, -0.25, w.y) * smoothstep(-0.08, -0.15, w.y)
    canvas.groove(w, middle * me.wrinkles * 0.4 * a.mean(4))

    w = window(-0.16, 0.16, 0.22)
    root = bell(w.y - (-0.10 + 0.55 * w.side), 0.010) + bell(w.y - (-0.055 + 0.55 * w.side), 0.010)
    root = root + bell(w.y - (-0.01 + 0.55 * w.side), 0.010)
    strength = (0.05 + 0.95 * w.both(a[9])) * (0.4 + 0.6 * me.wrinkles)
    canvas.groove(w, root * sigmoid((0.13 - w.side) / 0.02) * strength)

    w = window(-0.16, 0.20, 0.72)
    beyond = w.side - (w.both(f.eye_x) + me.eye_width)
    along = (
        smoothstep(0.01, 0.05, beyond)
        * smoothstep(0.20, 0.10, beyond)
        * me.wrinkles
        * (0.15 * me.age + 0.75 * w.both(a[6]))
    )
    for slope in (-0.35, 0.05, 0.42):
        canvas.groove(w, bell(w.y - w.both(f.eye_y) - 0.01 - slope * beyond, 0.011) * along)


def fold_lower(canvas: Canvas, me: Identity, f: Features, a: Muscles) -> None:
    """Nasolabial (AU9, 10, 12), marionette (AU15), dimple (AU14), chin (AU17), lip rims and pleats (AU18, 23, 24)."""
    w = window(0.15, 1.0, 0.70)
    half = w.both(f.mouth_half)
    smile, dimple = w.both(a[12]), w.both(a[14])
    raise_, sneer, depress = w.both(a[10]), w.both(a[9]), w.both(a[15])
    start_x, start_y = me.nose_width + 0.035, me.nose_y - 0.05 - 0.04 * sneer - 0.03 * raise_
    end_x, end_y = half + 0.07 - 0.01 * smile, me.mouth_y + w.both(f.corner) - 0.01
    along = (w.y - start_y) / (end_y - start_y + 0.02)
    t = np.clip(along, 0, 1.15)
    line = start_x + (end_x - start_x) * t**0.85
    line = line + (0.012 + 0.040 * smile + 0.015 * raise_) * np.sin(np.pi * np.minimum(t, 1))
    offset = w.side - line
    fold = (
        (0.45 * bell(offset, 0.016) + 0.55 * bell(offset, 0.045))
        * smoothstep(-0.15, 0.15, along)
        * smoothstep(1.25, 0.6, along)
    )
    depth = (
        0.16 * me.nasolabial + 0.55 * smile + 0.65 * raise_ + 0.55 * sneer + 0.2 * w.both(a[6]) + 0.15 * w.both(a[20])
    )
    canvas.groove(w, fold * np.minimum(depth, 1.2) * (0.55 + 0.45 * me.wrinkles))
    canvas.lift(w, 0.03 * smile * blob(w.side, w.y, line + 0.075, end_y - 0.16, 0.06, 0.10))

    below = w.y - end_y
    marionette = bell(w.side - (half + 0.025 + 0.25 * np.maximum(below, 0)), 0.024)
    marionette = marionette * smoothstep(-0.02, 0.05, below) * smoothstep(0.17, 0.03, below)
    canvas.groove(w, 0.8 * marionette * (0.12 * me.age + 0.7 * depress))
    pit = blob(w.side, w.y, half + 0.045, end_y, 0.018, 0.042)
    canvas.groove(w, pit * (2.3 * dimple + 0.25 * smile + 0.25 * depress))
    bulge = bell(w.side - (half + 0.095), 0.03) * bell(below, 0.07)
    canvas.groove(w, 1.1 * bulge * dimple)

    w = window(0.55, 1.35, 0.42)
    shrug = a.mean(17)
    below_lip = bell(w.y - (0.745 + 0.8 * f.chin_shift) + 0.03 * shrug - 0.25 * w.x**2, 0.022) * sigmoid(
        (0.22 - w.side) / 0.05
    )
    canvas.groove(w, below_lip * (0.35 + 0.5 * shrug))
    chin = chin_pad(w.x, w.y, f)
    canvas.groove(w, chin * shrug * (0.55 * np.clip(me.textures.chin[w.at], -1, 1.5) + 0.25))

    w = window(0.38, 0.95, 0.40)
    tight = 0.5 * (a.peak(23) + a.mean(24))
    middle = float(f.mouth_y.mean())
    rim = bell(np.abs(w.y - middle) - 0.075, 0.022) * smoothstep(0.30, 0.16, w.side)
    canvas.groove(w, 0.75 * tight * rim)
    pleats = (
        bell(np.remainder(w.side / 0.05, 1) - 0.5, 0.22)
        * bell(np.abs(w.y - middle) - 0.085, 0.035)
        * smoothstep(0.22, 0.12, w.side)
    )
    canvas.groove(w, pleats * (0.60 * a.peak(23) + 0.75 * a.mean(18)))


def chin_pad(x: np.ndarray, y: np.ndarray, f: Features) -> np.ndarray:
    """Return the chin's pad, moving with the jaw."""
    return blob(x, without_jaw(y, f.chin_shift), 0, 0.87, 0.13, 0.075)
