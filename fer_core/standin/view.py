"""What differs between two pictures of one person: pose, light, camera, clothes, background."""

from dataclasses import dataclass

import cv2
import numpy as np

from fer_core.standin.attire import Attire
from fer_core.standin.curves import sigmoid
from fer_core.standin.knobs import Knobs


@dataclass(frozen=True)
class View:
    """One picture's circumstances. Camera: x right, y down, z towards the viewer; one head unit is `unit` pixels."""

    width: int
    height: int
    unit: float
    centre: np.ndarray
    """(2,) where the head's origin (between the eyes) stands, pixels."""
    rotation: np.ndarray
    """(3, 3) from head to camera."""
    perspective: float
    lights: np.ndarray
    """(2, 3) unit directions towards the key and fill light."""
    light_colours: np.ndarray
    ambient: float
    shine: float
    exposure: float
    background_light: float
    gaze: np.ndarray
    attire: Attire


def draw_view(rng: np.random.Generator, scene: int, tone: float, yaw: float, knobs: Knobs) -> View:
    """Draw a picture's circumstances.

    Args:
        rng: the picture's own generator.
        scene: longest side of the largest picture, pixels.
        tone: the person's skin tone, 0 lightest to 5 darkest: photographers expose for the face.
        yaw: head turn, radians.
        knobs: how far heads nod and tilt, how often there are sunglasses.
    """
    longest, aspect = scene * rng.uniform(0.72, 1.0), rng.uniform(0.74, 1.0)
    sides = [round(longest), round(longest * aspect)]
    width, height = sides if rng.random() < 0.4 else sides[::-1]
    unit = min(width, height) * rng.uniform(0.30, 0.40)
    centre = np.array([_place(rng, 0.72 * unit, width, 0.72 * unit), _place(rng, 0.90 * unit, height, 1.10 * unit)])
    pitch = np.clip(0.13 * knobs.pose * rng.standard_normal() + 0.02, -0.4, 0.4)
    roll = 0.11 * knobs.pose * rng.standard_normal()
    key = np.array([0.65 * rng.standard_normal(), -0.35 + 0.35 * rng.standard_normal(), 1.0])
    fill = np.array([rng.standard_normal(), 0.5 * rng.standard_normal(), 0.6])
    lights = np.stack([key / np.linalg.norm(key), fill / np.linalg.norm(fill)])
    warm = 1 + 0.07 * rng.standard_normal() * np.array([1.0, 0.0, -1.0]) + 0.03 * rng.standard_normal(3)
    colours = np.stack([warm * rng.uniform(0.70, 1.15), (1 + 0.08 * rng.standard_normal(3)) * rng.uniform(0.05, 0.35)])
    dark = max(0.0, tone - 2.0) / 3.0
    return View(
        width=width,
        height=height,
        unit=unit,
        centre=centre,
        rotation=rotation(yaw, pitch, roll),
        perspective=rng.uniform(0.02, 0.16),
        lights=lights.astype(np.float32),
        light_colours=colours.astype(np.float32),
        ambient=rng.uniform(0.15, 0.42) * (1 + 0.5 * dark),
        shine=rng.uniform(0.2, 1.3),
        exposure=float(np.exp(0.16 * rng.standard_normal())) * (1 + 0.75 * dark),
        background_light=rng.uniform(0.4, 1.1) / (1 + 0.75 * dark),
        gaze=0.5 * rng.standard_normal(2),
        attire=Attire(
            clothes=rng.random(3),
            rim=0.3 * rng.random(3) * (rng.random() > 0.6),
            sunglasses=bool(rng.random() < knobs.sunglasses),
        ),
    )


def _place(rng: np.random.Generator, before: float, length: int, after: float) -> float:
    """Draw a coordinate that leaves `before` and `after` inside [0, length], or the middle where both do not fit."""
    low, high = before, length - after
    share = rng.random()
    return low + share * (high - low) if high > low else (low + high) / 2


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return roll . pitch . yaw as a matrix `(3, 3)`; angles in radians."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (about_z @ about_x @ about_y).astype(np.float32)


def draw_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Draw clutter, `(height, width, 3)` sRGB in 0..1: a mottled wall with tilted boxes."""
    cells = int(rng.integers(2, 6))
    wall = rng.random(3) * 0.7 + 0.1 + 0.18 * rng.random() * rng.standard_normal((cells, cells, 3))
    picture = cv2.resize(wall.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    x, y = np.linspace(-1, 1, width, dtype=np.float32)[None], np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    for _ in range(5):
        cx, cy, half_x, half_y, angle = (float(value) for value in rng.uniform(-1, 1, 5))
        shown, colour = rng.random() > 0.35, rng.random(3).astype(np.float32)
        if not shown:
            continue
        cosine, sine = np.cos(np.float32(3.14 * angle)), np.sin(np.float32(3.14 * angle))
        along, across = (x - cx) * cosine + (y - cy) * sine, (y - cy) * cosine - (x - cx) * sine
        mask = sigmoid((abs(half_x) * 0.8 + 0.03 - np.abs(along)) / 0.02)
        mask = mask * sigmoid((abs(half_y) * 0.8 + 0.03 - np.abs(across)) / 0.02)
        picture += mask[..., None] * (colour - picture)
    colourful = rng.random() ** 2
    grey = picture.mean(-1, keepdims=True)
    picture = grey + colourful * (picture - grey)
    speckle = rng.standard_normal((height // 3, width // 3)).astype(np.float32) * 0.06 * rng.random()
    picture += cv2.resize(speckle, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    return np.clip(picture, 0, 1)
