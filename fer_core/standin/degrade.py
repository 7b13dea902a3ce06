"""What cameras and the web do to a picture: things in front, low resolution, blur, noise, contrast, JPEG, grey."""

import cv2
import numpy as np

from fer_core.standin.knobs import Knobs


def degrade(
    picture: np.ndarray,
    rng: np.random.Generator,
    grain: np.random.Generator,
    centre: np.ndarray,
    unit: float,
    knobs: Knobs,
) -> bytes:
    """Return the spoilt picture as a JPEG file.

    Args:
        picture: `(height, width, 3)` sRGB in 0..1.
        rng: draws what spoils it; the frames of a clip share it.
        grain: draws the sensor's noise.
        centre: the face's place, pixels.
        unit: eye-to-chin distance, pixels.
        knobs: how much is spoilt.
    """
    k = knobs.degradation
    pixels: np.ndarray = picture * 255.0
    height, width = pixels.shape[:2]
    occluded, kind = rng.random() < knobs.occluded, int(rng.integers(3))
    if occluded:
        pixels = _occlude(pixels, rng, grain, kind, centre, unit)
    if rng.random() < 0.6 * k:
        factor = rng.uniform(1, 1 + 1.1 * k)
        small = cv2.resize(
            pixels, (max(8, round(width / factor)), max(8, round(height / factor))), interpolation=cv2.INTER_AREA
        )
        pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5 * k:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, max(0.35, 0.9 * k)) * unit / 40)
    noise = grain.standard_normal(pixels.shape, dtype=np.float32)
    pixels = pixels + noise * np.float32(rng.uniform(1, 9) * k)
    if rng.random() < knobs.grey:
        pixels = np.repeat(pixels.mean(2, keepdims=True), 3, axis=2)
    contrast, brightness = rng.uniform(1 - 0.25 * k, 1 + 0.2 * k), 10 * k * rng.standard_normal()
    pixels = np.clip((pixels - 128) * contrast + 128 + brightness, 0, 255).astype(np.uint8)
    quality = int(rng.uniform(60 - 20 * k, 95))
    return encode(pixels, quality)


def encode(pixels: np.ndarray, quality: int) -> bytes:
    """Return RGB pixels as a JPEG file."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def _occlude(
    pixels: np.ndarray,
    rng: np.random.Generator,
    grain: np.random.Generator,
    kind: int,
    centre: np.ndarray,
    unit: float,
) -> np.ndarray:
    """Put a hand, a strand or a box in front; the box never hides the middle of the face."""
    height, width = pixels.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    colour = rng.random(3) * 255
    if kind == 0:
        x, y = centre + (rng.random(2) - 0.5) * np.array([1.6, 2.2]) * unit + np.array([0, 0.25 * unit])
        axes = int(unit * rng.uniform(0.10, 0.26)), int(unit * rng.uniform(0.22, 0.5))
        cv2.ellipse(mask, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 1, -1)
        colour = np.array([0.8, 0.6, 0.5]) * rng.uniform(80, 250)
    elif kind == 1:
        x0, x1, y0, y1 = rng.random(4) * np.array([width, width, height, height])
        cv2.line(mask, (int(x0), int(y0)), (int(x1), int(y1)), 1, int(max(1, unit * rng.uniform(0.02, 0.10))))
    else:
        x, y = (rng.random(2) * 1.3 - 0.15) * np.array([width, height])
        half = unit * rng.uniform(0.2, 0.5, 2)
        if abs(x - centre[0]) > 0.9 * unit or abs(y - centre[1]) > 1.2 * unit:
            cv2.rectangle(mask, (int(x - half[0]), int(y - half[1])), (int(x + half[0]), int(y + half[1])), 1, -1)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(0.5, unit / 60))[..., None]
    speckle = grain.standard_normal((height, width, 1), dtype=np.float32) * 8
    return (pixels * (1 - soft) + soft * (colour.astype(np.float32) + speckle)).astype(np.float32)
