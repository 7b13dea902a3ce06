"""Where an AU-guided attention is to look: a map for each region of the face, from AU labels and landmarks.

A region's map is its box (`fer_core.augment.regions`; the whole of it, whichever side an AU shows on) if an AU that
lives there is active, empty if all of the vocabulary that live there are annotated and absent, and unknown (NaN)
otherwise: an AU that nobody annotated may be active. A region where no AU of the vocabulary lives is always unknown;
AUs of unknown place say nothing.
"""

from functools import lru_cache

import torch
from torch import Tensor

from fer_core.augment.batch import constant
from fer_core.augment.regions import AU_REGIONS, REGIONS, box_masks, region_boxes
from fer_core.aus.vocabulary import both_sides


def region_activity(aus: Tensor, au_names: tuple[str, ...]) -> Tensor:
    """Return whether each region acts, (B, R) float32 in the order of `REGIONS`: 1 yes, 0 no, NaN unknown.

    Args:
        aus: (B, A), above 0 where active, NaN where not annotated.
        au_names: the A names.

    Example:
        >>> region_activity(torch.tensor([[1.0, 0.0]]), ("AU1", "AU25"))[0].tolist()  # brows, ..., mouth, chin
        [1.0, nan, nan, nan, 0.0, nan]
    """
    lives = constant(_homes(au_names), torch.float32, aus.device).reshape(len(au_names), len(REGIONS))
    active = ((aus > 0).float() @ lives) > 0
    unsure = ((aus.isnan().float() @ lives) > 0) | (lives.sum(dim=0) == 0)
    return torch.where(unsure & ~active, torch.nan, active.float())


@lru_cache(maxsize=64)
def _homes(au_names: tuple[str, ...]) -> tuple[tuple[bool, ...], ...]:
    return tuple(tuple(region in AU_REGIONS.get(both_sides(name), ()) for region in REGIONS) for name in au_names)


def region_maps(activity: Tensor, landmarks: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a target map per region, (B, R, H, W) float32 of 0, 1 and NaN; a region is NaN everywhere or nowhere.

    Args:
        activity: (B, R), of `region_activity`.
        landmarks: (B, 5, 2), all known, in pixels of the very picture that the model sees.
        size: (H, W).
    """
    boxes = region_boxes(landmarks).flatten(0, 1)[:, None]  # each region alone: (B · R, 1, 4)
    used = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    return box_masks(boxes, used, size).unflatten(0, activity.shape) * activity[..., None, None]
