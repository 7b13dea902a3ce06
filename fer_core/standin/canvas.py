"""The texture maps that the parts of the face paint on."""

from dataclasses import dataclass

import numpy as np

from fer_core.standin.head import SIZE, Window

_SHADOW = np.array([0.80, 1.00, 1.05], np.float32)
"""Shadows on skin lose green and blue before red: light scatters below the surface."""


def linear(colour: np.ndarray) -> np.ndarray:
    """Turn an sRGB colour into linear light (gamma 2.2)."""
    return (np.clip(colour, 0, 1) ** 2.2).astype(np.float32)


@dataclass
class Canvas:
    """Maps `(SIZE, SIZE)`: relief and grooves in head units, linear albedo `(SIZE, SIZE, 3)`, gloss."""

    relief: np.ndarray
    grooves: np.ndarray
    albedo: np.ndarray
    gloss: np.ndarray

    @classmethod
    def blank(cls) -> "Canvas":
        """Return a flat, black, moderately glossy canvas."""
        zeros = np.zeros((SIZE, SIZE), np.float32)
        return cls(zeros, zeros.copy(), np.zeros((SIZE, SIZE, 3), np.float32), np.full((SIZE, SIZE), 0.6, np.float32))

    def lift(self, where: Window, height: np.ndarray) -> None:
        """Raise the surface."""
        self.relief[where.at] += height

    def groove(self, where: Window, depth: np.ndarray) -> None:
        """Deepen a furrow."""
        self.grooves[where.at] += depth

    def shade(self, where: Window, mask: np.ndarray, amount: float | np.ndarray) -> None:
        """Darken by `amount` where `mask` is 1."""
        self.albedo[where.at] *= 1 - np.clip(amount * mask, 0, 0.95)[..., None] * _SHADOW

    def cover(self, where: Window, mask: np.ndarray, colour: np.ndarray) -> None:
        """Blend `colour`, `(3,)` or `(h, w, 3)`, over where `mask` is 1."""
        under = self.albedo[where.at]
        under += mask[..., None] * (colour - under)

    def polish(self, where: Window, mask: np.ndarray, gloss: float) -> None:
        """Blend gloss towards `gloss` where `mask` is 1."""
        under = self.gloss[where.at]
        under += mask * (gloss - under)
