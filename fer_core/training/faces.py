"""Faces: the still pictures of one split of the manifest with their pixels, as tensors; those that fit in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fer_core.errors import DataError
from fer_core.manifest import stack_lists, stills
from fer_core.training.mapped import Mapped, Pixels, gather, load_pixels, side_by_side

GPU_SHARE = 0.5  # of the GPU's free memory: the model, its gradients and a batch's activations need the rest


@dataclass(frozen=True)
class FaceSet:
    """N faces and what is known of them.

    Attributes:
        ids: sample ids, in the order of the tensors.
        pixels: uint8 (N, H, W, C), which may lie elsewhere than the rest: in the memory beside a GPU, or in a file
            (`Mapped`).
        labels: int64 (N,), class index, -1 where unknown.
        aus: float32 (N, A), 1 present, 0 absent, NaN not annotated.
        landmarks: float32 (N, 5, 2), px of the crop, NaN where unknown.
        subjects: int64 (N,), one number per person, -1 where unknown.
        votes: float32 (N, V), shares that sum to 1, NaN where a face has no votes; V = 0 where the set has none.
        intensities: float32 (N, A) of the AUs, 0 to 5, NaN where unknown.
        au_names: the columns of `aus`.
        weak_aus: whether the AUs follow from the emotion (`au_labels: prototypes`) and say nothing of the face itself.
        synthetic: how many faces, the last ones, a GAN made: their class was asked for, and nobody saw it.
    """

    ids: list[str]
    pixels: Pixels
    labels: Tensor
    aus: Tensor
    landmarks: Tensor
    subjects: Tensor
    votes: Tensor
    intensities: Tensor
    au_names: tuple[str, ...]
    weak_aus: bool = False
    synthetic: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def device(self) -> torch.device:
        """Where pictures are handed out, and where everything but the pixels lies."""
        return self.labels.device

    def to(self, device: torch.device) -> "FaceSet":
        """Move every tensor, pixels only where there is room (`placed`); they then never cross the bus again."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {name: value.to(device) for name, value in values.items() if name in _SMALL}
        return FaceSet(**values | {"pixels": placed(self.pixels, device)})

    def only(self, rows: Tensor) -> "FaceSet":
        """Return the faces at `rows`, int64 (M,), those of synthetic faces last."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {name: value[rows] for name, value in values.items() if name in _SMALL}
        pixels = self.pixels.only(rows) if isinstance(self.pixels, Mapped) else gather(self.pixels, rows)
        synthetic = int((rows >= len(self) - self.synthetic).sum())
        ids = [self.ids[row] for row in rows.tolist()]
        return FaceSet(**values | {"ids": ids, "pixels": pixels, "synthetic": synthetic})

    def crops(self, index: Tensor) -> Tensor:
        """Return uint8 (B, H, W, C) of the rows `index`, int64 (B,), on the set's device."""
        return gather(self.pixels, index).to(self.device)

    def images(self, index: Tensor) -> Tensor:
        """Return float32 (B, C, H, W) in 0..1 of the rows `index`, int64 (B,), on the set's device; see `as_images`."""
        return as_images(self.crops(index))


_SMALL = ("labels", "aus", "landmarks", "subjects", "votes", "intensities")


def as_images(crops: Tensor) -> Tensor:
    """Return uint8 (B, H, W, C) as float32 (B, C, H, W) in 0..1.

    On a CPU each channel lies in one piece, as a warp reads it and networks do no worse by; on a GPU they are
    channels-last, as the crops.
    """
    images = crops.permute(0, 3, 1, 2)
    if images.is_cuda:
        return images.float().div_(255)
    return torch.empty(images.shape).copy_(images).div_(255)


def placed(pixels: Pixels, device: torch.device) -> Pixels:
    """Return `pixels` on `device`, or where they are if they would take more than half of a GPU's free memory."""
    if device.type == "cuda" and pixels.device.type != "cuda" and pixels.nbytes > GPU_SHARE * free_on(device):
        return pixels
    if isinstance(pixels, Mapped) and device.type == "cpu":
        return pixels
    return pixels.to(device)


def free_on(device: torch.device) -> int:
    """Return the bytes of a GPU that a tensor could take: free ones, and those that torch keeps without a use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def load_faces(
    manifest: pd.DataFrame,
    faces: Path,
    splits: Sequence[str],
    au_names: Sequence[str] = (),
    *,
    weak_aus: bool = False,
) -> FaceSet:
    """Load the stills of `splits` that have a crop, of a manifest of real faces or of one of synthetic faces.

    Frames of clips never come: a clip's class is no label of its first frame. Pixels that memory has no room for stay
    in the file (`load_pixels`).

    Raises:
        DataError: `faces` is missing, not whole or holds fewer crops than the manifest points to, or the manifest has
            no column `clip_id`.
    """
    rows = stills(manifest)
    rows = rows[rows["split"].isin(list(splits)) & rows["crop_index"].notna()]
    pixels = load_pixels(faces, rows["crop_index"].to_numpy(dtype=np.int64))
    labels = rows["emotion"].fillna(-1).to_numpy(dtype=np.int64)
    names = tuple(au_names)
    intensities = rows.reindex(columns=[f"{name}_intensity" for name in names])
    landmarks = stack_lists(rows["aligned_landmarks"], 10)
    votes = rows["votes"]
    width = next((len(value) for value in votes if value is not None), 0)
    subjects, _ = pd.factorize(rows["subject"])
    return FaceSet(
        ids=rows["sample_id"].tolist(),
        pixels=pixels,
        labels=torch.from_numpy(labels),
        aus=_floats(rows[list(names)]),
        landmarks=torch.from_numpy(landmarks.reshape(-1, 5, 2)),
        subjects=torch.from_numpy(np.asarray(subjects, dtype=np.int64)),
        votes=torch.from_numpy(stack_lists(votes, width)),
        intensities=_floats(intensities),
        au_names=names,
        weak_aus=weak_aus,
        synthetic=int(rows["synthetic"].sum()) if "synthetic" in rows else 0,
    )


def trained_on(
    real: FaceSet, synthesis: str, manifest: Path | None, faces: Path | None, au_names: Sequence[str]
) -> FaceSet:
    """Return the faces that a run trains on: the real ones, and with `synthesis: gan` the synthetic ones behind them.

    Args:
        real: of the train split.
        synthesis: the recipe's.
        manifest: of the synthetic faces, and `faces`, the file of their crops.
        au_names: the columns of AUs.
    """
    if synthesis == "none" or manifest is None or faces is None:
        return real
    return joined(real, load_faces(pd.read_parquet(manifest), faces, ["train"], au_names))


def joined(faces: FaceSet, more: FaceSet) -> FaceSet:
    """Return both sets, `more` behind; AUs, intensities and votes of which it has no columns are NaN.

    Raises:
        DataError: the pictures differ in size, the AUs or votes in their columns, or `faces` ends with synthetic ones
            and `more` does not.
    """
    if faces.pixels.shape[1:] != more.pixels.shape[1:]:
        sizes = [tuple(item.pixels.shape[1:]) for item in (faces, more)]
        raise DataError(f"Expected faces of one size to join; got {sizes[0]} and {sizes[1]}.")
    if more.au_names not in ((), faces.au_names):
        raise DataError(f"Expected the AUs {faces.au_names} to join; got {more.au_names}.")
    if faces.synthetic and more.synthetic < len(more):
        raise DataError("Expected synthetic faces to stand behind the others; got others to join behind them.")
    people = more.subjects + (int(faces.subjects.max()) + 1 if len(faces) else 0)
    values: dict[str, Any] = {
        "ids": [*faces.ids, *more.ids],
        "subjects": torch.cat([faces.subjects, torch.where(more.subjects < 0, -1, people)]),
    }
    values["pixels"] = side_by_side(faces.pixels, more.pixels)
    for name in ("labels", "landmarks"):
        values[name] = torch.cat([getattr(faces, name), getattr(more, name)])
    for name in ("aus", "votes", "intensities"):
        own, other = getattr(faces, name), getattr(more, name)
        if other.shape[1] not in (0, own.shape[1]):
            raise DataError(f"Expected {name} with {own.shape[1]} columns to join; got {other.shape[1]}.")
        if other.shape[1] == 0:
            other = torch.full((len(more), own.shape[1]), torch.nan, device=own.device)
        values[name] = torch.cat([own, other])
    return FaceSet(
        **values, au_names=faces.au_names, weak_aus=faces.weak_aus, synthetic=faces.synthetic + more.synthetic
    )


def _floats(table: pd.DataFrame) -> Tensor:
    values = table.to_numpy(dtype=np.float32, na_value=np.nan).reshape(table.shape)
    return torch.tensor(values)
