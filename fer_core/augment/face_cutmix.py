"""CutMix along a face's own line: the upper or the lower half of the face comes from a partner. Ours.

CutMix (Yun et al., ICCV 2019) pastes a box anywhere, so a face may get a mouth on its cheek. Here
1. half of the samples stay as they are, a quarter gets a partner's upper half (brows and eyes), a quarter its lower
   half (cheeks, mouth and chin); the halves meet between eyes and nose tip;
2. the partner's picture is laid on the sample's face by the similarity transform that fits its five landmarks to the
   sample's (least squares: Umeyama, TPAMI 1991, without mirroring), so that pasted halves fit in place, size and tilt;
3. the emotion target is mixed by the share of the picture's pixels that was pasted, as in CutMix;
4. AU labels go region by region, never blended: an AU whose regions were all pasted is the partner's, one whose regions
   all stayed is the sample's own, and one that is cut in two (AU6, which raises cheeks and narrows eyes, and all of the
   nose) is NaN, for nobody annotated such a face. A region counts as pasted, or as left, with 3/4 of its area.
Because of 4, some samples must stay whole: the AUs that are cut would otherwise never be trained.

A face without landmarks uses a template's. A partner that would have to be scaled more than twice up or down, and a
face whose landmarks span no plane, are not used: such a sample stays as it is.
"""

from functools import lru_cache

import torch
from torch import Tensor

from fer_core.augment.affine import warp_images
from fer_core.augment.batch import Batch, constant, partners, take
from fer_core.augment.cutmix import paste
from fer_core.augment.regions import REGIONS, face_frame, known_landmarks, regions_of

CUT = 0.30  # face coordinates: below the eyes' region, above the nose tip
# x from, x to, y from, y to in face coordinates, as `REGIONS`
PARTS: dict[str, tuple[float, float, float, float]] = {
    "upper": (-1.15, 1.15, -0.80, CUT),
    "lower": (-1.15, 1.15, CUT, 2.00),
}
WHOLE = 2  # as many of the equally likely draws leave a sample whole as paste a part
LARGEST_SCALE = 2.0
ENOUGH = 0.75


def mix(batch: Batch, targets: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Paste a part of a partner's face into half of the samples; `alpha` is not used."""
    count, _, height, width = batch.images.shape
    device = batch.images.device
    part = torch.randint(len(PARTS) + WHOLE, (count,), generator=generator, device=generator.device)
    part = part.to(device, non_blocking=True)
    partner = partners(count, generator, device)
    landmarks = known_landmarks(batch.landmarks, (height, width))
    linear, shift, fits = similarities(take(landmarks, partner), landmarks, (height, width))
    used = fits & (part < len(PARTS)) & (partner != torch.arange(count, device=device))
    part = part.clamp(max=len(PARTS) - 1)

    mask = part_masks(landmarks, part, (height, width)) * used[:, None, None]
    laid = warp_images(take(batch.images, partner).float(), linear, shift).to(batch.images.dtype)
    images, mixed = paste(batch.images, targets, laid, partner, mask)

    owner = take(
        constant(_owners(batch.au_names), torch.float32, device).reshape(len(PARTS), len(batch.au_names)), part
    )  # (B, A)
    aus = torch.where(owner == 1, take(batch.aus, partner), batch.aus).masked_fill(owner.isnan(), torch.nan)
    return images, mixed, torch.where(used[:, None], aus, batch.aus)


def similarities(source: Tensor, target: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Fit rotation, scale and shift of points to points by least squares, for `warp_images`.

    Args:
        source: (B, P, 2), all known.
        target: (B, P, 2), likewise.
        size: (H, W) of the picture, about whose centre the linear part works.

    Returns:
        The linear parts (B, 2, 2), the shifts (B, 2), and where they may be used (B,); elsewhere they are no change.
    """
    centre = constant(((size[1] - 1) / 2, (size[0] - 1) / 2), source.dtype, source.device)
    from_middle, to_middle = source.mean(dim=1), target.mean(dim=1)
    p, q = source - from_middle[:, None], target - to_middle[:, None]
    spread = p.square().sum(dim=(1, 2))
    cos = (p * q).sum(dim=(1, 2)) / spread
    sin = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(dim=1) / spread
    scale = torch.hypot(cos, sin)
    # a division by no spread is not finite, and every comparison with NaN is false
    fits = (scale >= 1 / LARGEST_SCALE) & (scale <= LARGEST_SCALE) & _is_plane(source) & _is_plane(target)
    linear = torch.stack([cos, -sin, sin, cos], dim=-1).unflatten(-1, (2, 2))
    linear = torch.where(fits[:, None, None], linear, constant(((1.0, 0.0), (0.0, 1.0)), linear.dtype, linear.device))
    shift = to_middle - centre - (linear @ (from_middle - centre)[..., None])[..., 0]
    return linear, torch.where(fits[:, None], shift, 0.0), fits


def _is_plane(landmarks: Tensor) -> Tensor:
    _, frame = face_frame(landmarks)
    return _area(frame).abs() > 1  # square pixels


def _area(frame: Tensor) -> Tensor:
    """Return the determinants (B,) of (B, 2, 2)."""
    return frame[:, 0, 0] * frame[:, 1, 1] - frame[:, 0, 1] * frame[:, 1, 0]


def part_masks(landmarks: Tensor, part: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the pixels of one part of each face, tilted as the face is, (B, H, W) of 0 and 1.

    Args:
        landmarks: (B, 5, 2), all known. A face whose landmarks span no plane has an empty part.
        part: (B,) index in `PARTS`.
        size: (H, W).
    """
    origin, frame = face_frame(landmarks)
    area = _area(frame)
    down, right = (torch.arange(side, device=landmarks.device).to(landmarks) for side in size)
    down, right = down - origin[:, 1:], right - origin[:, :1]  # (B, H) and (B, W)
    across, along = (frame / area[:, None, None]).unbind(dim=1)
    # face coordinates, pixels times the frame's inverse: a part of the column and a part of the row, added once
    x = (right * along[:, 1:])[:, None] - (down * along[:, :1])[..., None]
    y = (down * across[:, :1])[..., None] - (right * across[:, 1:])[:, None]
    x0, x1, y0, y1 = take(constant(tuple(PARTS.values()), landmarks.dtype, landmarks.device), part).T[..., None, None]
    # the cut itself belongs to the lower half alone
    inside = (x >= x0) & (x <= x1) & (y >= y0) & (y < y1)
    return (inside & (area != 0)[:, None, None]).float()


def owners(au_names: tuple[str, ...]) -> Tensor:
    """Return whose an AU is when a part is pasted, (P, A): 1 the partner's, 0 the sample's own, NaN nobody's."""
    return torch.tensor(_owners(au_names)).reshape(len(PARTS), len(au_names))


@lru_cache(maxsize=64)
def _owners(au_names: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
    share = {part: {region: _covered(inner, box) for region, inner in REGIONS.items()} for part, box in PARTS.items()}

    def owner(part: str, name: str) -> float:
        shares = [share[part][region] for region in regions_of(name)]
        if min(shares) >= ENOUGH:
            return 1.0
        return 0.0 if max(shares) <= 1 - ENOUGH else torch.nan

    return tuple(tuple(owner(part, name) for name in au_names) for part in PARTS)


def _covered(inner: tuple[float, float, float, float], outer: tuple[float, float, float, float]) -> float:
    """Return which share of the box `inner` lies in `outer`."""
    width = max(0.0, min(inner[1], outer[1]) - max(inner[0], outer[0]))
    height = max(0.0, min(inner[3], outer[3]) - max(inner[2], outer[2]))
    return width * height / ((inner[1] - inner[0]) * (inner[3] - inner[2]))
