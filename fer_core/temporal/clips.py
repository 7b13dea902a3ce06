"""Clips in memory: the frames of short videos of faces, each clip with one label."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from fer_core.errors import DataError
from fer_core.training.faces import as_images, placed
from fer_core.training.mapped import Pixels, gather, load_pixels

_ONE_A_CLIP = ("split", "subject", "emotion")


@dataclass(frozen=True)
class ClipSet:
    """N clips of up to T frames and what is known of them.

    Attributes:
        ids: clip ids, in the order of the tensors.
        pixels: uint8 (F, H, W, C), all frames of all clips; as those of `FaceSet` they may lie elsewhere than the rest.
        rows: int64 (N, T), the rows of `pixels` that a clip's frames are, in order of time; a shorter clip is padded
            with -1 at the end, and every clip has one frame or more.
        labels: int64 (N,), class index, -1 where unknown.
        subjects: int64 (N,), one number per person, -1 where unknown.
        left_out: ids of the clips that had no usable frame.
    """

    ids: list[str]
    pixels: Pixels
    rows: Tensor
    labels: Tensor
    subjects: Tensor
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def mask(self) -> Tensor:
        """Bool (N, T), true where there is a frame."""
        return self.rows >= 0

    @property
    def lengths(self) -> Tensor:
        """int64 (N,), frames of each clip."""
        return self.mask.sum(dim=1)

    def to(self, device: torch.device) -> "ClipSet":
        """Move every tensor, pixels only where there is room (`placed`)."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        values |= {name: values[name].to(device) for name in ("rows", "labels", "subjects")}
        return ClipSet(**values | {"pixels": placed(self.pixels, device)})

    def clips(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the clips `index` (B,): images float32 (B, T, C, H, W) in 0..1, zero where padded; mask (B, T)."""
        rows = self.rows[index]
        mask = rows >= 0
        crops = gather(self.pixels, rows.clamp(min=0).flatten()).to(rows.device)
        images = as_images(crops).unflatten(0, rows.shape)
        return images.mul_(mask[:, :, None, None, None]), mask


def load_clips(manifest: pd.DataFrame, faces: Path, splits: Sequence[str]) -> ClipSet:
    """Load the clips of `splits`: the rows of a manifest that have a `clip_id`, clip by clip in order of `frame`.

    A frame without a crop (no face was found) is left out, and its clip is shorter; a clip without any crop is left
    out and named in `left_out`. Clips stand in the order in which the manifest first names them.

    Args:
        manifest: has the columns sample_id, split, subject, emotion, crop_index, clip_id and frame.
        faces: the file of crops (M, H, W, C) that `crop_index` points into.
        splits: such as `["train"]`.

    Raises:
        DataError: there is no such clip; a clip's frames differ in split, subject or emotion, repeat a frame number
            or lack one; `faces` is missing or holds fewer crops than the manifest points to.
    """
    frames = manifest[manifest["clip_id"].notna()]
    wanted = set(frames.loc[frames["split"].isin(list(splits)), "clip_id"])
    frames = frames[frames["clip_id"].isin(wanted)]  # whole clips, so that one that stands in two splits is seen
    if frames.empty:
        raise DataError(f"Expected clips in the split {' or '.join(splits)}; got none.")
    _check(frames)
    usable = frames[frames["crop_index"].notna()].sort_values("frame", kind="stable")
    names = [name for name in frames["clip_id"].unique() if name in set(usable["clip_id"])]
    if not names:
        raise DataError(f"Expected clips with a crop in the split {' or '.join(splits)}; got {len(wanted)} without.")
    number = usable["clip_id"].map({name: row for row, name in enumerate(names)}).to_numpy(dtype=np.int64)
    order = np.argsort(number, kind="stable")
    usable, number = usable.iloc[order], number[order]
    place = usable.groupby("clip_id").cumcount().to_numpy()
    rows = np.full((len(names), place.max() + 1), -1, np.int64)
    rows[number, place] = np.arange(len(usable))
    known = frames.groupby("clip_id")[["emotion", "subject"]].first().loc[names]
    subjects, _ = pd.factorize(known["subject"])
    return ClipSet(
        ids=[str(name) for name in names],
        pixels=load_pixels(faces, usable["crop_index"].to_numpy(dtype=np.int64)),
        rows=torch.from_numpy(rows),
        labels=torch.from_numpy(known["emotion"].astype("Int64").fillna(-1).to_numpy(dtype=np.int64)),
        subjects=torch.from_numpy(np.asarray(subjects, dtype=np.int64)),
        left_out=tuple(str(name) for name in frames["clip_id"].unique() if name not in set(names)),
    )


def _check(frames: pd.DataFrame) -> None:
    """Refuse clips whose frames contradict each other."""
    if (lost := frames["frame"].isna()).any():
        row = frames[lost].iloc[0]
        raise DataError(f"Expected a `frame` number of sample {row['sample_id']} in clip {row['clip_id']}; got none.")
    if (again := frames.duplicated(["clip_id", "frame"])).any():
        row = frames[again].iloc[0]
        raise DataError(
            f"Expected every `frame` of clip {row['clip_id']} once; got {int(row['frame'])} again "
            f"(sample {row['sample_id']})."
        )
    for column in _ONE_A_CLIP:
        found = frames.groupby("clip_id", sort=False)[column].unique()
        for name, values in found.items():
            several = [str(value) for value in values if pd.notna(value)]
            if len(several) > 1:
                raise DataError(f"Expected one `{column}` for all frames of clip {name}; got {', '.join(several)}.")
