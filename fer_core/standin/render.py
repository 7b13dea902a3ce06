"""From head to picture: a ray march against the radius map, then wrapped Lambert shading with two lights.

Only the square around the head is marched. Rays are parallel up to a weak perspective
`pixel = unit * xy * (1 + perspective * z)`.
"""

from itertools import pairwise

import cv2
import numpy as np

from fer_core.standin import head
from fer_core.standin.surface import Surface
from fer_core.standin.view import View

STEPS = 22
_NEAR, _FAR = 1.22, -0.75
_REACH = 1.50
"""Half-width of the shoulders, and a little more: what lies beyond is background."""

_WRAP = np.array([0.32, 0.20, 0.16], np.float32)
"""Light that bleeds past the terminator, most in red: skin is translucent."""

_MAP = 192
_ANGLES = (np.arange(_MAP) + 0.5) / _MAP * 2 * np.pi - np.pi
_HEIGHTS = head.TOP + (np.arange(_MAP) + 0.5) / _MAP * (head.BOTTOM - head.TOP)
_COLUMNS, _ROWS = (grid.astype(np.float32) for grid in np.meshgrid(head.column_of(_ANGLES), head.row_of(_HEIGHTS)))


def render(surface: Surface, view: View, background: np.ndarray) -> np.ndarray:
    """Return the picture `(height, width, 3)`, sRGB in 0..1.

    Args:
        surface: the head.
        view: pose, light and camera.
        background: `(height, width, 3)` sRGB in 0..1.
    """
    picture = np.clip(background, 0, 1) ** 2.2 * view.background_light
    x0 = max(0, int(view.centre[0] - _REACH * view.unit))
    x1 = min(view.width, int(view.centre[0] + _REACH * view.unit) + 1)
    y0 = max(0, int(view.centre[1] - 1.75 * view.unit))
    y1 = view.height
    rays = _Rays(surface, view, (np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5))
    depth, hit = rays.march()
    colour = _shade(surface, view, rays.texture_place(depth))
    cover = cv2.blur(hit.astype(np.float32), (3, 3))[..., None]
    part = picture[y0:y1, x0:x1]
    part += cover * (colour - part)
    picture = np.clip(picture * view.exposure, 0, 1.6)
    picture = picture / (1 + 0.12 * picture * picture)
    return np.clip(picture, 1e-5, 1).astype(np.float32) ** (1 / 2.2)


def project(surface: Surface, view: View) -> np.ndarray:
    """Return the five landmarks in the picture, `(5, 2)` pixels."""
    theta, y = surface.points[:, 0] / head.ARC, surface.points[:, 1]
    cols, rows = head.column_of(theta).astype(np.float32), head.row_of(y).astype(np.float32)
    radius = cv2.remap(surface.radius, cols[None], rows[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    place = np.stack([radius * np.sin(theta), y, radius * np.cos(theta)], axis=1) @ view.rotation.T
    return view.centre + view.unit * place[:, :2] * (1 + view.perspective * place[:, 2:])


class _Rays:
    """One ray per pixel of a rectangle; `z` is the camera depth along it."""

    def __init__(self, surface: Surface, view: View, pixels: tuple[np.ndarray, np.ndarray]) -> None:
        # march on a map linear in angle and height: its look-up needs no inverse hyperbolic sines
        self.radius = cv2.remap(surface.radius, _COLUMNS, _ROWS, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        x = ((pixels[0] - view.centre[0]) / view.unit).astype(np.float32)[None, :]
        y = ((pixels[1] - view.centre[1]) / view.unit).astype(np.float32)[:, None]
        self.perspective = view.perspective
        r = view.rotation
        self.base = [x * r[0, axis] + y * r[1, axis] for axis in range(3)]
        self.along = [float(r[2, axis]) for axis in range(3)]

    def place(self, z: np.ndarray | float) -> list[np.ndarray]:
        """Return the head coordinates x, y, z of the points at depth `z`."""
        shrink = 1 / (1 + self.perspective * z)
        return [base * shrink + along * z for base, along in zip(self.base, self.along, strict=True)]

    def outside(self, z: np.ndarray | float) -> np.ndarray:
        """Return the distance from the axis minus the radius there: negative inside the head."""
        x, y, depth = self.place(z)
        columns = cv2.phase(-depth, -x) * (_MAP / (2 * np.pi)) - 0.5
        rows = (y - head.TOP) * (_MAP / (head.BOTTOM - head.TOP)) - 0.5
        radius = cv2.remap(self.radius, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        distance = cv2.magnitude(x, depth) - radius
        # below the map the shoulders go on (borders replicate); above it there is nothing
        return np.where(y < head.TOP + 0.02, np.abs(distance) + 0.05, distance)

    def march(self) -> tuple[np.ndarray, np.ndarray]:
        """Return depth of the first hit and whether there was one, both of the rectangle's shape."""
        depth = np.full(self.base[0].shape, -1.0, np.float32)
        open_ = np.ones(depth.shape, bool)
        levels = np.linspace(_NEAR, _FAR, STEPS)
        before = self.outside(float(levels[0]))
        for start, end in pairwise(levels):
            now = self.outside(float(end))
            new = (now < 0) & (before >= 0) & open_
            if new.any():
                crossing = float(start) + (float(end) - float(start)) * (before / (before - now + 1e-9))
                np.copyto(depth, crossing, where=new)
                open_ &= ~new
            before = now
        depth = depth + 0.55 * self.outside(depth) * ~open_
        return depth, ~open_

    def texture_place(self, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return texture columns and rows of the points at `depth`."""
        x, y, z = self.place(depth)
        theta = cv2.phase(-z, -x) - np.float32(np.pi)
        return head.column_of(theta).astype(np.float32), head.row_of(y).astype(np.float32)


def _shade(surface: Surface, view: View, place: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    colour = cv2.remap(surface.colour, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    turned = cv2.remap(surface.normal, *place, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    albedo, gloss, occlusion = colour[..., :3], colour[..., 3:], turned[..., 3:]
    normal = turned[..., :3] @ view.rotation.T
    normal /= np.sqrt((normal**2).sum(-1, keepdims=True)) + 1e-6
    hemisphere = 0.75 - 0.25 * normal[..., 1:2]
    light = albedo * hemisphere * view.ambient
    for direction, tint in zip(view.lights, view.light_colours, strict=True):
        facing = (normal @ direction)[..., None]
        halfway = direction + np.array([0, 0, 1], np.float32)
        highlight = np.maximum(normal @ (halfway / np.linalg.norm(halfway)), 0)[..., None]
        h2 = highlight * highlight
        h14, h50 = h2**7, h2**25
        diffuse = np.maximum((facing + _WRAP) / (1 + _WRAP), 0)
        specular = gloss * (0.10 * h14 + 0.12 * h50) * view.shine * (facing > 0)
        light += tint * (albedo * diffuse + specular)
    rim = (1 - np.clip(normal[..., 2:], 0, 1)) ** 4
    return light * occlusion * (1 - 0.25 * rim)
