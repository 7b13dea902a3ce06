"""The similarity transform (rotation, uniform scale, shift) that maps landmarks onto a template, for many faces.

Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE TPAMI 1991. In
two dimensions and without reflection his solution has a closed form, so no SVD per face is needed: with points
as complex numbers z and targets w, both minus their means, the best  w = a z  has  a = sum(conj(z) w) / sum(|z|^2).
"""

import numpy as np

# Five-point template of the 112 x 112 ArcFace crop (Deng et al., CVPR 2019): left eye, right eye, nose tip, left
# and right mouth corner, viewer's left first.
ARCFACE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
# Our own template of a tight crop, at the same 112 px: ArcFace's face, 46 px between the eyes instead of 35.2, the eyes
# at 0.2 of the height. In eye distances, an adult's raised brows reach 0.5 above the eyes and the chin 1.9 below them
# (about 120 of 63 mm, as anthropometric tables have it): y = 0 and 110, so that at zoom 1 nothing is left around.
TIGHT = np.array([[33.0, 23.0], [79.0, 23.0], [56.0, 49.3], [37.0, 76.2], [75.0, 76.2]])
TEMPLATES = {"arcface": ARCFACE, "tight": TIGHT}
_SIDE = 112.0
# What zoom < 1 shrinks towards: midway between the sides, at the brows. So the brows stay where they are and the
# room that is won goes to the chin, which ArcFace's crop cuts off when the jaw drops.
_CENTRE = np.array([56.0, 40.0])


def template(size: int, zoom: float = 1.0, crop: str = "arcface") -> np.ndarray:
    """Return the target points of a crop.

    Args:
        size: side of the square crop in pixels.
        zoom: 1 is the template's own crop; smaller shows more around the face.
        crop: a key of `TEMPLATES`.

    Returns:
        Float64 `(5, 2)`, x and y in pixels; the centre of the first pixel is (0, 0).

    Example:
        >>> template(112).tolist() == ARCFACE.tolist()
        True
    """
    zoomed = (TEMPLATES[crop] - _CENTRE) * zoom + _CENTRE
    return (zoomed + 0.5) * (size / _SIDE) - 0.5


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the least-squares similarity transforms from `source` to `target` points.

    Args:
        source: `(B, P, 2)`.
        target: `(P, 2)` or `(B, P, 2)`.

    Returns:
        Float64 `(B, 2, 3)`: [[c, -s, tx], [s, c, ty]]. NaN where all source points of a face coincide.

    Example:
        >>> square = np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]])
        >>> similarity(square, 2 * square[0] + 3).round(6).tolist()
        [[[2.0, -0.0, 3.0], [0.0, 2.0, 3.0]]]
    """
    source = np.asarray(source, np.float64)
    target = np.broadcast_to(np.asarray(target, np.float64), source.shape)
    z = source[..., 0] + 1j * source[..., 1]
    w = target[..., 0] + 1j * target[..., 1]
    z_mean, w_mean = z.mean(-1, keepdims=True), w.mean(-1, keepdims=True)
    z, w = z - z_mean, w - w_mean
    spread = (np.abs(z) ** 2).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        a = np.where(spread > 1e-12, (z.conj() * w).sum(-1) / spread, complex(np.nan, np.nan))
    b = w_mean[..., 0] - a * z_mean[..., 0]
    rows = [np.stack([a.real, -a.imag, b.real], -1), np.stack([a.imag, a.real, b.imag], -1)]
    return np.stack(rows, -2)


def apply(matrices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply affine transforms `(B, 2, 3)` to points `(B, P, 2)`."""
    return points @ np.swapaxes(matrices[..., :2], -1, -2) + matrices[..., None, :, 2]
