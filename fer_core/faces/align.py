"""Turn encoded pictures into one array of aligned faces, with flat memory.

`landmarks`: five points are mapped onto ArcFace's template by a similarity transform (`fer_core.faces.similarity`).
`none`: the pictures come cropped; each is resized whole. `auto` takes landmarks where enough rows have them.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fer_core.errors import ConfigError, DataError, unknown_name
from fer_core.faces.pixels import decode, is_grey, resize, resize_matrix, warp
from fer_core.faces.similarity import apply, similarity, template
from fer_core.files import replacing
from fer_core.manifest import stack_lists
from fer_core.progress import Bar

DETECTORS = ("auto", "landmarks", "none")
UNDECODABLE, NO_LANDMARKS = "picture does not decode", "no usable landmarks"
_THREADS = 2

Batches = Iterable[list[tuple[str, bytes | None]]]


@dataclass(frozen=True)
class AlignConfig:
    """How to align.

    Attributes:
        size: side of the crop in pixels.
        detector: auto, landmarks or none.
        zoom: scale of the template in the crop; 1 is ArcFace's, smaller shows more around the face.
        max_dropped: largest share of pictures that may be lost, in 0..1.
    """

    size: int
    detector: str = "auto"
    zoom: float = 0.9
    max_dropped: float = 0.02

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise unknown_name("align.detector", self.detector, DETECTORS)
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 8:
            raise ConfigError(f"Expected `size` to be an integer from 8; got {self.size!r}.")
        for name, low, high in (("zoom", 0.1, 4.0), ("max_dropped", 0.0, 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigError(f"Expected `align.{name}` to be a number from {low} to {high}; got {value!r}.")


def read_config(section: object, size: object) -> AlignConfig:
    """Build the configuration from the `align` section of params.yaml and the profile's size.

    Raises:
        ConfigError: an unknown key or a value out of range.
    """
    section = {} if section is None else section
    if not isinstance(section, dict):
        raise ConfigError(f"Expected `align` to hold keys; got {section!r}.")
    known = [field.name for field in fields(AlignConfig) if field.name != "size"]
    for key in section:
        if key not in known:
            raise unknown_name("key of align", key, known)
    return AlignConfig(size=size, **section)  # type: ignore[arg-type]


def choose_detector(config: AlignConfig, manifest: pd.DataFrame) -> str:
    """Resolve `auto`: landmarks where so few rows lack them that the stage would not fail, none otherwise."""
    if config.detector != "auto":
        return config.detector
    usable = manifest[manifest["drop_reason"].isna()]
    return "landmarks" if usable["landmarks"].notna().mean() >= 1 - config.max_dropped else "none"


def all_grey(batches: Batches) -> bool:
    """Return whether every picture is grey-coded; reads headers up to the first picture in colour."""
    return all(is_grey(data) is not False for batch in batches for _, data in batch if data)


def align(manifest: pd.DataFrame, batches: Batches, grey: bool, config: AlignConfig, target: Path) -> pd.DataFrame:
    """Align every picture that ingest did not drop and write the crops.

    Args:
        manifest: as ingest writes it.
        batches: encoded pictures in manifest order; None where ingest found no file.
        grey: whether crops have one channel instead of three.
        config: how.
        target: the .npy file to write: uint8 `(N, size, size, C)`, one row per crop, whole or absent.

    Returns:
        The manifest with crop_index and aligned_landmarks, and a drop_reason where a picture was lost.

    Raises:
        DataError: more than `max_dropped` of the pictures were lost, or they do not match the manifest.
    """
    points = stack_lists(manifest["landmarks"], 10).astype(np.float64).reshape(-1, 5, 2)
    matrices = None
    if choose_detector(config, manifest) == "landmarks":
        matrices = similarity(points, template(config.size, config.zoom))
    work = _Work(manifest, matrices, grey, config)
    with replacing(target) as temporary:
        work.run(batches, temporary)
        work.refuse_losses()
        _shorten(temporary, work.done)
    table = manifest.copy()
    table["drop_reason"] = pd.Series(work.reasons, index=table.index, dtype="str")
    table["crop_index"] = pd.Series(work.index, index=table.index, dtype="Int32").where(work.index >= 0)
    moved = apply(work.used, points).reshape(-1, 10).astype(np.float32)
    known = np.all(np.isfinite(moved), axis=1)
    lists = [row if ok else None for row, ok in zip(moved, known, strict=True)]
    table["aligned_landmarks"] = pd.Series(lists, index=table.index, dtype=object)
    return table


class _Work:
    """The state of one pass over the pictures.

    Attributes:
        reasons: drop_reason per row, None where usable.
        index: crop per row, -1 where there is none.
        used: `(N, 2, 3)` transform per row, NaN where there is no crop.
        done: crops written.
    """

    def __init__(self, manifest: pd.DataFrame, matrices: np.ndarray | None, grey: bool, config: AlignConfig) -> None:
        self.samples = manifest["sample_id"].tolist()
        self.reasons = [None if pd.isna(reason) else str(reason) for reason in manifest["drop_reason"]]
        self.index = np.full(len(self.samples), -1)
        self.used = np.full((len(self.samples), 2, 3), np.nan)
        self.done = 0
        self._matrices, self._grey, self._config = matrices, grey, config
        self._wanted = [reason is None for reason in self.reasons]
        self._absent = 0  # dropped by ingest because there is no file
        if not any(self._wanted):
            raise DataError("No picture is left to align: every row of the manifest has a drop_reason.")

    def run(self, batches: Batches, path: Path) -> None:
        size = self._config.size
        shape = (sum(self._wanted), size, size, 1 if self._grey else 3)
        faces = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        row = 0
        with _one_thread_each(), ThreadPoolExecutor(_THREADS) as pool, Bar("align", len(self.samples)) as bar:
            for batch in batches:
                names = [sample for sample, _ in batch]
                if names != self.samples[row : row + len(batch)]:
                    raise DataError("The pictures are not in the order of the manifest; run ingest again.")
                self._absent += sum(data is None and not self._wanted[row + k] for k, (_, data) in enumerate(batch))
                todo = [(row + k, data) for k, (_, data) in enumerate(batch) if self._wanted[row + k]]
                for (at, _), crop in zip(todo, pool.map(self._crop, todo), strict=True):
                    if isinstance(crop, str):
                        self.reasons[at] = crop
                    else:
                        faces[self.done] = crop
                        self.index[at] = self.done
                        self.done += 1
                row += len(batch)
                bar.advance(len(batch))
        if row != len(self.samples):
            raise DataError(f"Expected {len(self.samples)} pictures; got {row}. Run ingest again.")
        faces.flush()

    def _crop(self, item: tuple[int, bytes | None]) -> np.ndarray | str:
        """Return the crop of one row, or why there is none."""
        row, data = item
        picture = decode(data, self._grey) if data else None
        if picture is None:
            return UNDECODABLE
        if self._matrices is None:
            self.used[row] = resize_matrix(picture.shape[0], picture.shape[1], self._config.size)
            return resize(picture, self._config.size)
        self.used[row] = self._matrices[row]
        if not np.isfinite(self.used[row]).all():
            return NO_LANDMARKS
        return warp(picture, self.used[row], self._config.size)

    def refuse_losses(self) -> None:
        """Raise DataError where more than `max_dropped` of the pictures were lost."""
        wanted = sum(self._wanted)
        lost, total = wanted - self.done + self._absent, wanted + self._absent
        if lost <= self._config.max_dropped * total and self.done:
            return
        new = [k for k, (want, i) in enumerate(zip(self._wanted, self.index, strict=True)) if want and i < 0]
        example = f"; the first is {self.samples[new[0]]}: {self.reasons[new[0]]}" if new else ""
        raise DataError(
            f"{lost} of {total} pictures were lost ({lost / total:.1%}), more than align.max_dropped = "
            f"{self._config.max_dropped:g} allows{example}."
        )


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own inside ours."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _shorten(path: Path, count: int) -> None:
    """Cut a .npy file to its first `count` rows."""
    faces = np.load(path, mmap_mode="r")
    if len(faces) == count:
        return
    with replacing(path) as shorter:
        out = np.lib.format.open_memmap(shorter, "w+", faces.dtype, (count, *faces.shape[1:]))
        for start in range(0, count, 512):
            out[start : start + 512] = faces[start : min(start + 512, count)]
        out.flush()
