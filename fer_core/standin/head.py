"""The head's shape and its texture map.

The head is a cylindrical radius map rho(theta, y): theta is the angle around the vertical axis (0 faces the
viewer), y points down (eyes 0, mouth 0.575, chin 1.0, crown -1.13). Its cross-sections are superellipses whose
half-width and front depth come from smoothed knots. Both texture axes are asinh-warped, so that most texels lie
on the front of the face. `x = ARC * theta` measures arc length on the front, in the same unit as y.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fer_core.standin.curves import sigmoid, smoothstep

SIZE = 128
"""Texels per side: about the resolution at which a face ends up in a 64 px crop."""

ARC = 0.80
TOP, BOTTOM = -1.32, 1.95
_HALF_TURN = np.radians(125.0)
_MIDDLE, _WARP_U, _WARP_V = 0.15, 1.3, 1.2
_U_END = np.arcsinh(_WARP_U * _HALF_TURN)
_V_START, _V_END = (np.arcsinh(_WARP_V * (y - _MIDDLE)) for y in (TOP, BOTTOM))

# fmt: off
KNOTS = np.array([
    -1.32, -1.13, -1.05, -0.90, -0.65, -0.35, -0.10, 0.12, 0.35, 0.55,
    0.75, 0.90, 0.99, 1.05, 1.12, 1.30, 1.50, 1.70, 1.95,
])
DEPTH = np.array([
    -0.30, -0.02, 0.36, 0.60, 0.755, 0.80, 0.775, 0.79, 0.795, 0.80,
    0.775, 0.76, 0.66, 0.42, 0.28, 0.22, 0.22, 0.25, 0.30,
])
WIDTH = np.array([
    -0.30, -0.02, 0.38, 0.61, 0.735, 0.775, 0.775, 0.765, 0.725, 0.665,
    0.575, 0.475, 0.42, 0.41, 0.41, 0.42, 0.50, 0.95, 1.35,
])
# fmt: on
_DENSE = 400
_DENSE_Y = np.linspace(TOP, BOTTOM, _DENSE)


def smooth_profile(knots: np.ndarray) -> np.ndarray:
    """Turn values at KNOTS into 400 smoothed values from TOP to BOTTOM."""
    dense = np.interp(_DENSE_Y, KNOTS, knots)
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / 5.0) ** 2)
    return np.convolve(np.pad(dense, 12, mode="edge"), kernel / kernel.sum(), mode="valid").astype(np.float32)


def profile_at(profile: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Read a smoothed profile at heights `y`."""
    return np.interp(y, _DENSE_Y, profile).astype(np.float32)


def column_of(theta: np.ndarray) -> np.ndarray:
    """Return the (fractional) texture column of an angle."""
    return (np.arcsinh(_WARP_U * theta) / _U_END + 1) * (SIZE / 2) - 0.5


def row_of(y: np.ndarray) -> np.ndarray:
    """Return the (fractional) texture row of a height."""
    return (np.arcsinh(_WARP_V * (y - _MIDDLE)) - _V_START) / (_V_END - _V_START) * SIZE - 0.5


_CENTRES = (np.arange(SIZE) + 0.5) / SIZE
THETA: np.ndarray = (np.sinh((2 * _CENTRES - 1) * _U_END) / _WARP_U).astype(np.float32)
Y: np.ndarray = (np.sinh(_CENTRES * (_V_END - _V_START) + _V_START) / _WARP_V + _MIDDLE).astype(np.float32)


@dataclass(frozen=True)
class Window:
    """A rectangle of the texture, symmetric about the nose: `x` is a row `(1, w)`, `y` a column `(h, 1)`."""

    rows: slice
    cols: slice
    x: np.ndarray
    y: np.ndarray
    side: np.ndarray
    """|x|."""
    right: np.ndarray
    """Soft step from the viewer's left (0) to right (1)."""

    def both(self, pair: np.ndarray) -> np.ndarray:
        """Blend a value per side, `(2,)`, into a row `(1, w)`."""
        return pair[0] + (pair[1] - pair[0]) * self.right

    @property
    def at(self) -> tuple[slice, slice]:
        """Index of the window in a full map."""
        return self.rows, self.cols


@lru_cache(maxsize=64)
def window(top: float = TOP, bottom: float = BOTTOM, half: float = 9.0) -> Window:
    """Return the window with y from `top` to `bottom` and |x| up to `half`."""
    rows = np.flatnonzero((top <= Y) & (bottom >= Y))
    cols = np.flatnonzero(np.abs(ARC * THETA) <= half)
    row_slice, col_slice = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
    x = (ARC * THETA[col_slice])[None, :]
    return Window(row_slice, col_slice, x, Y[row_slice, None], np.abs(x), sigmoid(x / 0.05))


def without_jaw(y: np.ndarray, shift: float) -> np.ndarray:
    """Return the heights at which points of the lower face would stand with an average, closed jaw.

    Args:
        y: heights on the face.
        shift: how far chin length and jaw drop have moved the chin; neck and shoulders stay.
    """
    return y - shift * smoothstep(0.35, 0.95, y) * smoothstep(1.75, 1.30, y)


def base_radius(width: np.ndarray, depth: np.ndarray, chin_shift: float, hair_volume: float) -> np.ndarray:
    """Return rho `(SIZE, SIZE)` without features; not positive where there is no head (above the crown).

    Args:
        width: smoothed half-width profile.
        depth: smoothed front-depth profile.
        chin_shift: how far the chin stands below its average place.
        hair_volume: how much the hair raises the crown.
    """
    y = without_jaw(Y, chin_shift)
    y = np.where(y < -0.45, -0.45 + (y + 0.45) / (1 + 1.3 * hair_volume), y)
    raw_width = profile_at(width, y)[:, None]
    w = np.maximum(raw_width, 1e-3)
    d = np.maximum(profile_at(depth, y)[:, None], 1e-3)
    sine, cosine = np.abs(np.sin(THETA))[None, :], np.cos(THETA)[None, :]
    d = np.where(cosine > 0, d, np.maximum(d, 1.05 * w))
    exponent = 2.25
    radius = ((sine / w) ** exponent + (np.abs(cosine) / d) ** exponent + 1e-9) ** (-1 / exponent)
    return np.where(raw_width < 0.02, np.minimum(raw_width, 0) - 0.02, radius).astype(np.float32)
