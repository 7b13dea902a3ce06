"""Where a trained model looks: its attention over a few validation faces, for `fer_core.evaluation.plots.attention`."""

import torch
from torch import Tensor

from fer_core.augment.guidance import region_activity, region_maps
from fer_core.augment.regions import known_landmarks
from fer_core.models import FerModel
from fer_core.models.attention_maps import spatial_maps
from fer_core.models.au_guided import AuGuided
from fer_core.training.faces import FaceSet

_FEWEST, _MOST = 7, 14  # faces


def look(model: FerModel, faces: FaceSet) -> dict[str, Tensor] | None:
    """Return the attention over the first faces of each class, as tensors on the CPU.

    Args:
        model: trained.
        faces: with labels, on the model's device: of validation, never of the test split.

    Returns:
        `faces` uint8 (B, H, W, C), `labels` (B,), `maps` (B, h, w) in 0..1, and for an AU-guided attention `taught`
        (B, H, W): what it would have been taught of these faces, see `union_of_regions`. None for a model whose
        attention weighs no places (`none`, `se`).
    """
    index = first_faces(faces.labels)
    maps = spatial_maps(model, faces.images(index))
    if maps is None:
        return None
    found = {"faces": faces.crops(index), "labels": faces.labels[index], "maps": maps}
    if isinstance(getattr(model.attention, "module", None), AuGuided):
        found["taught"] = union_of_regions(faces, index)
    return {name: value.detach().cpu().contiguous() for name, value in found.items()}


def first_faces(labels: Tensor) -> Tensor:
    """Return the rows of the first faces of each class, sorted by class: one of each class, more where classes are few.

    Example:
        >>> first_faces(torch.tensor([1, 0, 1, 1, 0])).tolist()
        [1, 4, 0, 2, 3]
    """
    seen: dict[int, list[int]] = {}
    for row, label in enumerate(labels.tolist()):
        seen.setdefault(label, []).append(row)
    each = max(1, -(-_FEWEST // max(1, len(seen))))
    chosen = [row for label in sorted(seen) for row in seen[label][:each]]
    return torch.tensor(chosen[:_MOST], dtype=torch.long, device=labels.device)


def union_of_regions(faces: FaceSet, index: Tensor) -> Tensor:
    """Return where the active AUs of the faces `index` live, (B, H, W) of 0 and 1; NaN where it is not known.

    A place that an active region covers is 1 whatever is unknown of the others, and unknown where only a region covers
    it of which nothing is known; weak AUs tell nothing.
    """
    size = (faces.pixels.shape[1], faces.pixels.shape[2])
    aus = faces.aus[index]
    activity = region_activity(torch.full_like(aus, torch.nan) if faces.weak_aus else aus, faces.au_names)
    landmarks = known_landmarks(faces.landmarks[index], size)
    active = region_maps(activity.nan_to_num(0.0), landmarks, size).amax(dim=1)
    unknown = region_maps(activity.isnan().float(), landmarks, size).amax(dim=1) > 0
    unknown |= activity.isnan().all(dim=1)[:, None, None]
    return torch.where((active == 0) & unknown, torch.nan, active)
