"""The whole head of one person with one expression: radius, colour, gloss, normals, occlusion, landmarks."""

from dataclasses import dataclass

import cv2
import numpy as np

from fer_core.standin import attire, brows, eyes, flesh, furrows, head, mouth
from fer_core.standin.action_units import Muscles
from fer_core.standin.attire import Attire
from fer_core.standin.canvas import Canvas
from fer_core.standin.curves import smoothstep
from fer_core.standin.deform import Features, deform
from fer_core.standin.identity import Identity
from fer_core.standin.knobs import Knobs


@dataclass(frozen=True)
class Surface:
    """Maps on the texture grid, `T = head.SIZE`.

    Attributes:
        radius: rho, `(T, T)`; not positive where there is no head.
        colour: linear albedo and gloss, `(T, T, 4)`.
        normal: outward normals and ambient occlusion, `(T, T, 4)`.
        points: five landmarks as (x, y) on the map, `(5, 2)`: eyes, nose tip, mouth corners, viewer's left first.
    """

    radius: np.ndarray
    colour: np.ndarray
    normal: np.ndarray
    points: np.ndarray


def build_surface(me: Identity, intensity: np.ndarray, wears: Attire, gaze: np.ndarray, knobs: Knobs) -> Surface:
    """Model and paint the head.

    Args:
        me: the person.
        intensity: `(22, 2)` true intensities; the person's gain is applied here.
        wears: clothes and glasses.
        gaze: `(2,)` where the eyes look, in standard deviations.
        knobs: how much people differ.
    """
    a = Muscles(np.clip(intensity * np.exp(knobs.person_gain * me.gain)[:, None], 0, 1.4))
    f = deform(me, a, knobs)
    canvas = Canvas.blank()
    eye_shape, brow_shape, mouth_shape = (
        eyes.shape_eyes(me, f),
        brows.shape_brows(me, f, a),
        mouth.shape_mouth(me, f, a),
    )
    hair = attire.hair_mask(me)
    radius = head.base_radius(me.width, me.depth, f.chin_shift, me.hair_volume)

    furrows.fold_upper(canvas, me, f, a)
    furrows.fold_lower(canvas, me, f, a)
    flesh.carve_flesh(canvas, me, f, a)
    eyes.carve_eyes(canvas, me, eye_shape)
    brows.carve_brows(canvas, me, a, brow_shape)
    mouth.carve_mouth(canvas, me, f, mouth_shape)
    canvas.relief -= 0.022 * canvas.grooves
    attire.carve_hair(canvas, me, hair, radius)

    everywhere = head.window()
    flesh.paint_skin(canvas, me, f)
    eyes.paint_lids(canvas, me, f, a, eye_shape)
    canvas.shade(everywhere, np.clip(canvas.grooves, 0, 1.3), 0.40)
    flesh.paint_beard(canvas, me, f, mouth_shape)
    mouth.paint_mouth(canvas, me, f, a, mouth_shape)
    flesh.paint_nose(canvas, me, f, a)
    eyes.paint_eyes(canvas, me, eye_shape, gaze)
    brows.paint_brows(canvas, me, brow_shape)
    # colour reaches beyond the raised hair: else the step between them would show as a rim of skin
    attire.paint_hair(canvas, me, attire.hair_mask(me, margin=0.045))
    attire.paint_clothes(canvas, me, wears)
    attire.paint_glasses(canvas, me, f, wears)

    relief = canvas.relief * smoothstep(0.0, 0.3, radius)
    radius = np.where(radius > 0, np.maximum(radius + relief, 0.005), radius).astype(np.float32)
    return Surface(
        radius=radius,
        colour=np.dstack([np.clip(canvas.albedo, 0, 1), canvas.gloss]).astype(np.float32),
        normal=np.dstack([_normals(radius), _occlusion(radius)]).astype(np.float32),
        points=_points(me, f),
    )


def _normals(radius: np.ndarray) -> np.ndarray:
    """Cross product of the central differences along both texture axes, `(T, T, 3)`, unit length."""
    y = np.broadcast_to(head.Y[:, None], radius.shape)
    place = np.dstack([radius * np.sin(head.THETA), y, radius * np.cos(head.THETA)])
    padded = cv2.copyMakeBorder(place, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    along, down = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    ax, ay, az = along[..., 0], along[..., 1], along[..., 2]
    dx, dy, dz = down[..., 0], down[..., 1], down[..., 2]
    normal = np.dstack([ay * dz - az * dy, az * dx - ax * dz, ax * dy - ay * dx])
    return normal / (np.sqrt((normal**2).sum(-1, keepdims=True)) + 1e-9)


def _occlusion(radius: np.ndarray) -> np.ndarray:
    """Ambient occlusion from how far a texel lies below its surroundings."""
    blurred = cv2.blur(cv2.blur(radius, (9, 9)), (9, 9))
    return np.clip(1 - 5.0 * np.clip(blurred - radius, -0.01, 0.12), 0.45, 1.06)


def _points(me: Identity, f: Features) -> np.ndarray:
    corner = me.mouth_y + f.corner
    return np.array(
        [
            [-f.eye_x[0], f.eye_y[0]],
            [f.eye_x[1], f.eye_y[1]],
            [0.0, me.nose_y - 0.02],
            [-f.mouth_half[0], corner[0]],
            [f.mouth_half[1], corner[1]],
        ],
        np.float32,
    )
