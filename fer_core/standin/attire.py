"""What frames the face: hair, clothes, glasses."""

from dataclasses import dataclass

import numpy as np

from fer_core.standin.canvas import Canvas, linear
from fer_core.standin.curves import bell, blob, sigmoid, smoothstep
from fer_core.standin.deform import Features
from fer_core.standin.head import window
from fer_core.standin.identity import BALD, LONG, Identity


@dataclass(frozen=True)
class Attire:
    """What a person wears in one picture: colours `(3,)` in sRGB."""

    clothes: np.ndarray
    rim: np.ndarray
    sunglasses: bool


def hair_mask(me: Identity, margin: float = 0.0) -> np.ndarray:
    """Return where hair covers the head, `(SIZE, SIZE)`, grown over the skin by `margin`."""
    w = window()
    if me.hair_style == BALD:
        return np.zeros((w.y.shape[0], w.x.shape[1]), np.float32)
    lock = me.textures.hair_lock
    fringe = me.fringe * sigmoid((0.55 - w.side) / 0.06) * (1 + 0.25 * lock) * (1 + 0.4 * np.abs(w.x - me.hair_part))
    line = me.hair_line + 0.44 * smoothstep(0.35, 0.78, w.side) + 0.03 * lock + fringe
    top = sigmoid((line + margin - w.y) / 0.020) * smoothstep(0.0, 0.1, w.y + 1.6)
    is_long = me.hair_style == LONG
    reach = me.hair_length if is_long else 0.05
    side = sigmoid((w.side + margin - (0.88 if is_long else 0.86) + (0.05 * lock if is_long else 0)) / 0.02)
    side = side * sigmoid((reach - w.y + 0.1 * lock) / 0.04)
    if not is_long:
        side = side * (1 - blob(w.side, w.y, 1.2, 0.06, 0.07, 0.2))
    return np.maximum(top, side)


def carve_hair(canvas: Canvas, me: Identity, hair: np.ndarray, radius: np.ndarray) -> None:
    """Give the hair its volume."""
    if me.hair_style == BALD:
        return
    w, texture = window(), me.textures
    volume = me.hair_volume * (1 + 0.25 * texture.hair_lock) + 0.010 * texture.hair_strand
    volume = volume + 0.03 * me.hair_curl * texture.hair_curl
    if me.hair_style == LONG:
        volume = volume + 0.13 * smoothstep(0.2, 0.8, w.y) * smoothstep(1.6, 0.9, w.y)
    canvas.lift(w, hair * volume * np.clip(radius / 0.55, 0, 1) ** 2)


def paint_hair(canvas: Canvas, me: Identity, hair: np.ndarray) -> None:
    """Paint strands."""
    if me.hair_style == BALD:
        return
    w, texture = window(), me.textures
    strands = np.clip(1 + 0.35 * texture.hair_strand + 0.2 * me.hair_curl * texture.hair_curl, 0.3, 1.9)
    canvas.cover(w, hair, linear(me.hair) * strands[..., None])
    canvas.polish(w, hair, 0.35)


def paint_clothes(canvas: Canvas, me: Identity, attire: Attire) -> None:
    """Paint a collar and what is below it."""
    w = window(1.15, 9.0)
    cloth = sigmoid((w.y - 1.50 - 0.25 * bell(w.x, 0.5)) / 0.02)
    canvas.cover(w, cloth, linear(attire.clothes) * (1 + 0.1 * me.textures.skin[w.at])[..., None])
    canvas.polish(w, cloth, 0.0)


def paint_glasses(canvas: Canvas, me: Identity, f: Features, attire: Attire) -> None:
    """Paint rims, bridge, temples and lenses."""
    if not me.glasses:
        return
    w = window(-0.35, 0.40, 1.35)
    x, y = w.both(f.eye_x) + 0.005, w.both(f.eye_y) + 0.02
    width, height, rim = me.glasses_size, 0.72 * me.glasses_size, me.glasses_rim
    distance = (np.abs((w.side - x) / width) ** 2.6 + np.abs((w.y - y) / height) ** 2.6 + 1e-9) ** (1 / 2.6)
    distance = (distance - 1) * height
    bridge = sigmoid((rim - np.abs(w.y - y + 0.05)) / 0.006) * sigmoid((x - width - w.side) / 0.01)
    temple = (
        sigmoid((rim - np.abs(w.y - y + 0.03)) / 0.006)
        * sigmoid((w.side - x - width) / 0.01)
        * sigmoid((1.25 - w.side) / 0.05)
    )
    frame = np.maximum(sigmoid((rim - np.abs(distance)) / 0.006), np.maximum(bridge, temple))
    lens = sigmoid(-distance / 0.006)
    canvas.cover(w, frame, linear(attire.rim))
    if attire.sunglasses:
        canvas.cover(w, 0.93 * lens, np.array([0.02, 0.02, 0.03], np.float32))
    canvas.albedo[w.at] += 0.03 * lens[..., None]
    canvas.lift(w, 0.02 * frame)
