"""Where on a face each Action Unit shows, as boxes relative to the five landmarks.

A box stands in face coordinates: the origin between the eyes, x along the eye line in units of the distance
between the eyes, y towards the mouth's middle in units of that distance. So the eyes are at (∓0.5, 0), the
mouth's middle at (0, 1) and, in a frontal face, the nose tip near (0, 0.5). The regions follow the muscles of
FACS (Ekman & Friesen 1978); the boxes are generous, because what they leave out may be painted over.
"""

from functools import lru_cache

import torch
from torch import Tensor

from fer_core.augment.batch import constant
from fer_core.aus.vocabulary import both_sides

# left eye, right eye, nose tip, left and right mouth corner of an aligned crop, as shares of its side
# (the widely used 112-pixel template of ArcFace's alignment)
TEMPLATE = ((0.3419, 0.4616), (0.6565, 0.4598), (0.5003, 0.6405), (0.3710, 0.8247), (0.6315, 0.8232))

# x from, x to, y from, y to
REGIONS: dict[str, tuple[float, float, float, float]] = {
    "brows": (-1.05, 1.05, -0.80, -0.10),
    "eyes": (-1.00, 1.00, -0.35, 0.30),
    "nose": (-0.50, 0.50, -0.20, 0.75),
    "cheeks": (-1.15, 1.15, 0.10, 0.95),
    "mouth": (-0.85, 0.85, 0.65, 1.45),
    "chin": (-0.75, 0.75, 1.15, 2.00),
}

_LIVES_IN: dict[tuple[str, ...], tuple[int, ...]] = {
    ("brows",): (1, 2, 4),
    ("eyes",): (5, 7, 41, 42, 43, 44, 45, 46),
    ("eyes", "cheeks"): (6,),
    ("nose", "cheeks"): (9,),
    ("nose", "cheeks", "mouth"): (10, 11),
    ("nose",): (38, 39),
    ("cheeks", "mouth"): (12, 13, 14),
    ("cheeks",): (33, 34, 35),
    ("mouth",): (8, 18, 19, 22, 23, 24, 25, 32),
    ("mouth", "chin"): (15, 16, 17, 20, 26, 27, 28, 29, 30),
}
AU_REGIONS: dict[str, tuple[str, ...]] = {
    f"AU{number}": regions for regions, numbers in _LIVES_IN.items() for number in numbers
}


def regions_of(name: str) -> tuple[str, ...]:
    """Return where an AU's column shows, with or without a side; the whole face for an AU of unknown place."""
    return AU_REGIONS.get(both_sides(name), tuple(REGIONS))


def protected_regions(aus: Tensor, au_names: tuple[str, ...]) -> Tensor:
    """Return which regions must stay as they are, (B, R) bool in the order of `REGIONS`.

    A region is free only if AUs of the vocabulary live there and every one of them is annotated and absent:
    an AU that nobody annotated may be active. An AU of unknown place protects the whole face.

    Args:
        aus: (B, A), above 0 where active, NaN where not annotated.
        au_names: the A names.
    """
    lives = constant(_homes(au_names), torch.float32, aus.device).reshape(len(au_names), len(REGIONS))
    active = (aus <= 0).logical_not_().float()  # NaN is active
    return ((active @ lives) > 0) | (lives.sum(dim=0) == 0)


@lru_cache(maxsize=64)
def _homes(au_names: tuple[str, ...]) -> tuple[tuple[bool, ...], ...]:
    return tuple(tuple(region in regions_of(name) for region in REGIONS) for name in au_names)


def known_landmarks(landmarks: Tensor, size: tuple[int, int]) -> Tensor:
    """Put the template of an aligned crop of `size` (H, W) where a face's five points are not all known."""
    template = constant(TEMPLATE, landmarks.dtype, landmarks.device)
    template = template * constant((size[1], size[0]), landmarks.dtype, landmarks.device) - 0.5
    unknown = landmarks.isnan().any(dim=-1).any(dim=-1)
    return torch.where(unknown[:, None, None], template, landmarks)


def face_frame(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the origin (B, 2) of the face coordinates and their two axes (B, 2 axes, 2), in pixels.

    Args:
        landmarks: (B, 5, 2), all known.
    """
    eyes, mouth = landmarks[:, :2].mean(dim=1), landmarks[:, 3:].mean(dim=1)
    down = mouth - eyes
    across = landmarks[:, 1] - landmarks[:, 0]
    # a turned head's eyes come close to each other, its face does not get narrower: use the height then
    length = across.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    across = across * (0.7 * down.norm(dim=-1, keepdim=True) / length).clamp(min=1)
    return eyes, torch.stack([across, down], dim=1)


def region_boxes(landmarks: Tensor) -> Tensor:
    """Return the upright box around each region, (B, R, 4) pixels as x from, x to, y from, y to.

    Args:
        landmarks: (B, 5, 2), all known.
    """
    eyes, frame = face_frame(landmarks)
    x0, x1, y0, y1 = constant(tuple(REGIONS.values()), landmarks.dtype, landmarks.device).unbind(dim=1)
    corners = torch.stack([torch.stack([x, y]) for x in (x0, x1) for y in (y0, y1)])  # (4, 2, R)
    points = torch.einsum("kar,bac->brkc", corners, frame) + eyes[:, None, None]
    low, high = points.amin(dim=2), points.amax(dim=2)
    return torch.stack([low[..., 0], high[..., 0], low[..., 1], high[..., 1]], dim=-1)


def box_masks(boxes: Tensor, used: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the union of the used boxes per sample, (B, H, W) float32 of 0 and 1.

    Args:
        boxes: (B, R, 4) pixels as x from, x to, y from, y to.
        used: (B, R) bool.
        size: (H, W).
    """
    x, y = (torch.arange(side, device=boxes.device) for side in (size[1], size[0]))
    columns = (x >= boxes[..., 0, None]) & (x <= boxes[..., 1, None])  # (B, R, W)
    rows = (y >= boxes[..., 2, None]) & (y <= boxes[..., 3, None]) & used[..., None]  # (B, R, H)
    return torch.bmm(rows.mT.float(), columns.float()).clamp_(max=1)
