"""The 22 Action Units of RAF-CE, and access to their intensities by FACS number.

Ekman, Friesen & Hager, "Facial Action Coding System", 2002.
"""

import numpy as np

AUS: tuple[int, ...] = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27, 43)
NAMES: tuple[str, ...] = tuple(f"AU{number}" for number in AUS)
INDEX: dict[int, int] = {number: index for index, number in enumerate(AUS)}

MIDLINE: frozenset[int] = frozenset({16, 17, 18, 25, 26, 27})
"""Units that move chin, jaw or both lips: no left and right."""

LIPS: frozenset[int] = frozenset({22, 23, 24})
"""Units coded per lip ("T24", "B22"): their two intensities are upper and lower lip instead of sides."""


SUBTLE: dict[int, float] = {14: 0.6, 18: 0.6, 22: 0.5, 23: 0.6}
"""Units whose first traces already move the lips: exponent from intensity to movement. With 1, a model could not read
them off 64 px (area under the curve 0.61 to 0.83)."""


class Muscles:
    """How far each unit moves the face, on the viewer's left and right side (upper and lower lip for `LIPS`).

    Made from intensities `(22, 2)` in [0, 1.4].

    Example:
        >>> muscles = Muscles(np.full((22, 2), 0.5, np.float32))
        >>> muscles.mean(12)
        0.5
    """

    def __init__(self, intensity: np.ndarray) -> None:
        self.intensity = (intensity ** _EXPONENT[:, None]).astype(np.float32)

    def __getitem__(self, number: int) -> np.ndarray:
        """Return `(2,)`: the unit on the viewer's left and right; lip units act on both sides alike."""
        pair = self.intensity[INDEX[number]]
        return np.full(2, pair.mean(), np.float32) if number in LIPS else pair

    def mean(self, number: int) -> float:
        """Return the mean of both sides (or lips)."""
        return float(self.intensity[INDEX[number]].mean())

    def peak(self, number: int) -> float:
        """Return the larger of both sides (or lips)."""
        return float(self.intensity[INDEX[number]].max())

    def upper(self, number: int) -> float:
        """Return the upper lip's share of a lip unit."""
        return float(self.intensity[INDEX[number], 0])

    def lower(self, number: int) -> float:
        """Return the lower lip's share of a lip unit."""
        return float(self.intensity[INDEX[number], 1])


_EXPONENT = np.array([SUBTLE.get(number, 1.0) for number in AUS], np.float32)
