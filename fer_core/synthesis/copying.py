"""Does the generator replay its train faces? Nearest neighbours against those of real faces that it never saw.

A held-out real face has a nearest train face too, at some distance. A synthetic face that is nearer to a train face
than 99 % of the held-out ones are is suspicious: of a generator that draws new faces about 1 % are, of one that replays
all. (Distances to nearest train points against those of held-out ones: Meehan, Chaudhuri & Dasgupta, "A Non-Parametric
Test to Detect Data-Copying in Generative Models", AISTATS 2020; the percentile is ours.)

Pixels show literal copies; features also those that are shifted or re-lit. A suspicion is no proof: faces near the
average face (blurred ones) are near to every face, and held-out pictures of people of the train split make the
percentile small and the check blind. Look at the contact sheet.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fer_core.errors import ConfigError, DataError

PERCENTILE = 0.01  # of the held-out faces' distances
_ROWS = 256  # faces whose distances are computed at once
_SAME = 1e-10  # a distance below is rounding


@dataclass(frozen=True)
class Copying:
    """What the check found in one space.

    Attributes:
        share: of the synthetic faces that are suspicious, 0 to 1; a generator of new faces has about 0.01.
        threshold: the distance up to which a face is suspicious.
        held_out: faces that the threshold comes from; of fewer than 100 it is little more than their smallest distance.
        distance: (N,) float64, from each synthetic face to its nearest train face.
        nearest: (N,) int64, which one that is.
    """

    share: float
    threshold: float
    held_out: int
    distance: Tensor
    nearest: Tensor

    @property
    def suspicious(self) -> Tensor:
        """(N,) bool."""
        return self.distance <= self.threshold


def copying(synthetic: Tensor, train: Tensor, held_out: Tensor, space: str) -> Copying:
    """Compare N synthetic, M train and V held-out real faces.

    Args:
        synthetic: features (N, D) of the encoder, or pixels uint8 (N, H, W, C); the others likewise.
        train: (M, ...), all faces that the generator was trained on.
        held_out: (V, ...), of validation.
        space: "features" (cosine distance, 0 to 2) or "pixels" (root mean square difference, 0 to 1).

    Raises:
        ConfigError: the space is unknown, or faces differ in shape.
        DataError: there is no train or no held-out face.
    """
    if len(train) == 0 or len(held_out) == 0:
        raise DataError(f"Expected train and held-out faces to compare with; got {len(train)} and {len(held_out)}.")
    distance, nearest = nearest_faces(synthetic, train, space)
    threshold = float(nearest_faces(held_out, train, space)[0].quantile(PERCENTILE))
    # up to and including: where held-out faces are copies themselves the threshold is 0, as are replayed faces
    share = float((distance <= threshold).double().mean())  # NaN of no face
    return Copying(share, threshold, len(held_out), distance, nearest)


def nearest_faces(faces: Tensor, train: Tensor, space: str) -> tuple[Tensor, Tensor]:
    """Return each face's distance to its nearest train face, (N,) float64, and which that is, (N,) int64.

    Of equally near ones the first. Rounding is taken off: equal faces have distance 0.

    Raises:
        ConfigError: the space is unknown, or faces differ in shape.
    """
    if space not in ("features", "pixels"):
        raise ConfigError(f"Expected `space` to be features or pixels; got {space!r}.")
    if faces.shape[1:] != train.shape[1:]:
        raise ConfigError(f"Expected faces of one shape; got {tuple(faces.shape)} and {tuple(train.shape)}.")
    points, others = (_points(item, space) for item in (faces, train))
    distances = [torch.empty(0, dtype=torch.float64, device=others.device)]
    indices = [torch.empty(0, dtype=torch.int64, device=others.device)]
    scale = 0.5 if space == "features" else 1 / points.shape[1]
    squares = others.square().sum(dim=1)
    for part in points.split(_ROWS):
        # |a − b|² = |a|² + |b|² − 2·a·b finds the nearest by one product; its distance is then computed without
        # cancellation
        index = (squares - 2 * part @ others.mT).argmin(dim=1)
        gap = (part - others[index]).square().sum(dim=1) * scale
        distances.append(gap if space == "features" else gap.sqrt())
        indices.append(index)
    distance = torch.cat(distances)
    return torch.where(distance < _SAME, 0.0, distance), torch.cat(indices)


def _points(faces: Tensor, space: str) -> Tensor:
    """Return (N, D) float64: directions, half of whose squared distance is 1 − cos, or pixels in 0..1."""
    flat = faces.flatten(1).double()
    return functional.normalize(flat, dim=1) if space == "features" else flat.div_(255)
