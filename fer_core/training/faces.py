"""Faces in memory: one split of the manifest with its pixels, as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fer_core.errors import DataError
from fer_core.manifest import stack_lists


@dataclass(frozen=True)
class FaceSet:
    """N faces and what is known of them.

    Attributes:
        ids: sample ids, in the order of the tensors.
        pixels: uint8 (N, H, W, C); a batch permuted to (B, C, H, W) is channels-last without a copy.
        labels: int64 (N,), class index, -1 where unknown.
        aus: float32 (N, A), 1 present, 0 absent, NaN not annotated.
        landmarks: float32 (N, 5, 2), px of the crop, NaN where unknown.
        subjects: int64 (N,), one number per person, -1 where unknown.
        votes: float32 (N, V), shares that sum to 1, NaN where a face has no votes; V = 0 where the set has none.
        intensities: float32 (N, A) of the AUs, 0 to 5, NaN where unknown.
        au_names: the columns of `aus`.
        weak_aus: whether the AUs follow from the emotion (`au_labels: prototypes`) and say nothing of the face itself.
    """

    ids: list[str]
    pixels: Tensor
    labels: Tensor
    aus: Tensor
    landmarks: Tensor
    subjects: Tensor
    votes: Tensor
    intensities: Tensor
    au_names: tuple[str, ...]
    weak_aus: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> "FaceSet":
        """Move every tensor; small sets then never cross the bus again."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
        return FaceSet(**values)

    def only(self, rows: Tensor) -> "FaceSet":
        """Return the faces at `rows`, int64 (M,)."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {name: value[rows] for name, value in values.items() if isinstance(value, Tensor)}
        return FaceSet(**values | {"ids": [self.ids[row] for row in rows.tolist()]})

    def images(self, index: Tensor) -> Tensor:
        """Return float32 (B, C, H, W) in 0..1 of the rows `index`, channels-last in memory."""
        return self.pixels[index].permute(0, 3, 1, 2).float().div_(255)


def load_faces(
    manifest: pd.DataFrame,
    faces: Path,
    splits: Sequence[str],
    au_names: Sequence[str] = (),
    *,
    weak_aus: bool = False,
) -> FaceSet:
    """Load the rows of `splits` that have a crop.

    Raises:
        DataError: `faces` is missing or holds fewer crops than the manifest points to.
    """
    rows = manifest[manifest["split"].isin(list(splits)) & manifest["crop_index"].notna()]
    try:
        crops = np.load(faces, mmap_mode="r")
    except FileNotFoundError:
        raise DataError(f"{faces} does not exist; run the align stage first.") from None
    index = rows["crop_index"].to_numpy(dtype=np.int64)
    if len(index) and index.max() >= len(crops):
        raise DataError(f"Expected {faces} to hold {index.max() + 1} crops or more; got {len(crops)}.")
    labels = rows["emotion"].fillna(-1).to_numpy(dtype=np.int64)
    names = tuple(au_names)
    intensities = rows.reindex(columns=[f"{name}_intensity" for name in names])
    landmarks = stack_lists(rows["aligned_landmarks"], 10)
    votes = rows["votes"]
    width = next((len(value) for value in votes if value is not None), 0)
    subjects, _ = pd.factorize(rows["subject"])
    return FaceSet(
        ids=rows["sample_id"].tolist(),
        pixels=torch.from_numpy(np.ascontiguousarray(crops[index])),
        labels=torch.from_numpy(labels),
        aus=_floats(rows[list(names)]),
        landmarks=torch.from_numpy(landmarks.reshape(-1, 5, 2)),
        subjects=torch.from_numpy(np.asarray(subjects, dtype=np.int64)),
        votes=torch.from_numpy(stack_lists(votes, width)),
        intensities=_floats(intensities),
        au_names=names,
        weak_aus=weak_aus,
    )


def _floats(table: pd.DataFrame) -> Tensor:
    values = table.to_numpy(dtype=np.float32, na_value=np.nan).reshape(table.shape)
    return torch.tensor(values)
