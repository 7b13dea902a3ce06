"""How good a picture of a face is: size, pose and sharpness, cheap enough for every picture.

The pose is a rough one. Five points are compared with those of one generic head, seen from far away (scaled
orthographic projection; DeMenthon and Davis, "Model-based object pose in 25 lines of code", IJCV 1995, their POS
without the iterations). Another skull, an open mouth or a near camera move it by some degrees, and points far off the
front are guesses of whoever marked them. It is good for sorting and counting pictures, not for measuring heads.

The generic head is, from the front, ArcFace's template made symmetric: so pose 0 is what that template shows. Its
depths are our own rounding of what generic head models have: in eye distances, the tip of the nose 0.44 before the
plane of the eyes, the corners of the mouth 0.03.
"""

import cv2
import numpy as np

# in eye distances: right and down as the viewer sees it, and towards the viewer
HEAD = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.571, 0.44], [-0.414, 1.156, 0.03], [0.414, 1.156, 0.03]])
_CENTRED = HEAD - HEAD.mean(axis=0)
_FIT = np.linalg.pinv(_CENTRED)  # (3, 5)


def inter_ocular(points: np.ndarray) -> np.ndarray:
    """Return the distance between the eyes of five points `(N, 5, 2)`, in their pixels; NaN where unknown."""
    return np.linalg.norm(points[:, 1] - points[:, 0], axis=1)


def pose(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate the pose of heads, roughly: see the module.

    Args:
        points: `(N, 5, 2)`, x and y in pixels: left eye, right eye, nose tip, left and right mouth corner.

    Returns:
        Roll, yaw and pitch, each `(N,)` in degrees. Roll above 0: turned clockwise in the picture. Yaw above 0: the
        nose points to the viewer's right. Pitch above 0: chin up. A head that is pitched about its own ears' axis,
        then yawed about the vertical, then rolled in the picture has these. NaN where a point is not known or all lie
        in one place.

    Example:
        >>> roll, yaw, pitch = pose(100 * HEAD[None, :, :2])
        >>> [bool(abs(angle[0]) < 1e-6) for angle in (roll, yaw, pitch)]
        [True, True, True]
    """
    points = np.asarray(points, np.float64)
    roll, yaw, pitch = np.full((3, len(points)), np.nan)
    centred = points - points.mean(axis=1, keepdims=True)
    known = np.isfinite(centred).all(axis=(1, 2))
    known[known] = np.abs(centred[known]).max(axis=(1, 2), initial=0) > 1e-6
    if known.any():
        fitted = (_FIT @ centred[known]).swapaxes(1, 2)  # (K, 2, 3): scale times the rotation's first two rows
        left, _, right = np.linalg.svd(fitted, full_matrices=False)
        first, second = (left @ right).swapaxes(0, 1)  # the nearest rows that are orthonormal
        third = np.cross(first, second)
        roll[known] = np.degrees(np.arctan2(second[:, 0], first[:, 0]))
        yaw[known] = np.degrees(np.arcsin(np.clip(-third[:, 0], -1, 1)))
        pitch[known] = np.degrees(np.arctan2(third[:, 1], third[:, 2]))
    return roll, yaw, pitch


def sharpness(crop: np.ndarray) -> float:
    """Return the variance of the Laplacian of a crop's grey values, in grey values squared.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000. It is that of the crop: a small
    face that was enlarged is not sharp, whatever the camera did.

    Args:
        crop: uint8 `(H, W, C)`, C = 1 grey or 3 RGB.
    """
    grey = crop if crop.shape[2] == 1 else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(deviation[0, 0] ** 2)
