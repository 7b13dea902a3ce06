"""Turn encoded pictures into one array of aligned faces, with flat memory.

`landmarks`: five annotated points are mapped onto ArcFace's template by a similarity transform
(`fer_core.faces.similarity`). `mtcnn`: so are the five that a detector finds (`fer_core.faces.detect`). `none`: the
pictures come cropped; each is resized whole. `auto` takes landmarks where enough rows have them, else none.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fer_core.errors import DataError
from fer_core.faces.config import ANNOTATED, WHOLE, AlignConfig
from fer_core.faces.cut import NO_FACE, Cut, Cutter, annotated, detected, whole
from fer_core.faces.detect import DETECTORS
from fer_core.faces.pixels import decode, is_grey
from fer_core.files import replacing
from fer_core.manifest import stack_lists, stills
from fer_core.progress import Bar, note

UNDECODABLE = "picture does not decode"

Batches = Iterable[list[tuple[str, bytes | None]]]


def choose_detector(config: AlignConfig, manifest: pd.DataFrame) -> str:
    """Resolve `auto`: landmarks where so few stills lack them that the stage would not fail, none otherwise.

    Frames of clips have no say in it: optional clips change nothing of the stills. Those without landmarks are dropped.
    """
    if config.detector != "auto":
        return config.detector
    usable = stills(manifest[manifest["drop_reason"].isna()])
    return ANNOTATED if usable["landmarks"].notna().mean() >= 1 - config.max_dropped else WHOLE


def cutter(config: AlignConfig, manifest: pd.DataFrame) -> Cutter:
    """Return what cuts the crops of a manifest's pictures.

    Raises:
        ConfigError: the detector's package is not installed.
    """
    chosen = choose_detector(config, manifest)
    if chosen in DETECTORS:
        return detected(DETECTORS[chosen](), config.size, config.zoom)
    points = stack_lists(manifest["landmarks"], 10).astype(np.float64).reshape(-1, 5, 2)
    return annotated(points, config.size, config.zoom) if chosen == ANNOTATED else whole(points, config.size)


def all_grey(batches: Batches) -> bool:
    """Return whether every picture is grey-coded; reads headers up to the first picture in colour."""
    return all(is_grey(data) is not False for batch in batches for _, data in batch if data)


def align(manifest: pd.DataFrame, batches: Batches, grey: bool, config: AlignConfig, target: Path) -> pd.DataFrame:
    """Align every picture that ingest did not drop and write the crops.

    Args:
        manifest: as ingest writes it; frames of clips are cut like any other picture.
        batches: encoded pictures in manifest order; None where ingest found no file.
        grey: whether crops have one channel instead of three.
        config: how.
        target: the .npy file to write: uint8 `(N, size, size, C)`, one row per crop, whole or absent.

    Returns:
        The manifest with crop_index, aligned_landmarks (where a detector ran, the points that it found) and
        detection_score, and a drop_reason where a picture was lost.

    Raises:
        ConfigError: the detector's package is not installed.
        DataError: no still is left, more than `max_dropped` of them were lost, or the pictures do not match the
            manifest. Lost frames make their clip shorter, and are counted in a note.
    """
    work = _Work(manifest, cutter(config, manifest), grey, config)
    with replacing(target) as temporary:
        work.run(batches, temporary)
        work.refuse_losses()
        work.note_lost_frames()
        _shorten(temporary, work.done)
    table = manifest.copy()
    table["drop_reason"] = pd.Series(work.reasons, index=table.index, dtype="str")
    table["crop_index"] = pd.Series(work.index, index=table.index, dtype="Int32").where(work.index >= 0)
    known = np.all(np.isfinite(work.landmarks), axis=1)
    lists = [row if ok else None for row, ok in zip(work.landmarks, known, strict=True)]
    table["aligned_landmarks"] = pd.Series(lists, index=table.index, dtype=object)
    table["detection_score"] = work.scores
    return table


class _Work:
    """The state of one pass over the pictures.

    Attributes:
        reasons: drop_reason per row, None where usable.
        index: crop per row, -1 where there is none.
        landmarks: float32 `(N, 10)` in pixels of the crop, NaN where there is no crop or they are not known.
        scores: float32 `(N,)`, the detector's, NaN where it found nothing or none ran.
        done: crops written.
    """

    def __init__(self, manifest: pd.DataFrame, cut: Cutter, grey: bool, config: AlignConfig) -> None:
        self.samples = manifest["sample_id"].tolist()
        self.reasons = [None if pd.isna(reason) else str(reason) for reason in manifest["drop_reason"]]
        self.index = np.full(len(self.samples), -1)
        self.landmarks = np.full((len(self.samples), 10), np.nan, np.float32)
        self.scores = np.full(len(self.samples), np.nan, np.float32)
        self.done = 0
        self._cut, self._grey, self._config = cut, grey, config
        self._wanted = [reason is None for reason in self.reasons]
        self._still = manifest["clip_id"].isna().tolist()
        self._absent = 0  # stills that ingest dropped because there is no file
        if not any(want and still for want, still in zip(self._wanted, self._still, strict=True)):
            raise DataError("No picture is left to align: every still of the manifest has a drop_reason.")

    def run(self, batches: Batches, path: Path) -> None:
        size = self._config.size
        shape = (sum(self._wanted), size, size, 1 if self._grey else 3)
        faces = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        row = 0
        with _one_thread_each(), ThreadPoolExecutor(_threads()) as pool, Bar("align", len(self.samples)) as bar:
            for batch in batches:
                names = [sample for sample, _ in batch]
                if names != self.samples[row : row + len(batch)]:
                    raise DataError("The pictures are not in the order of the manifest; run ingest again.")
                for k, (_, data) in enumerate(batch, row):
                    self._absent += data is None and not self._wanted[k] and self._still[k]
                todo = [(row + k, data) for k, (_, data) in enumerate(batch) if self._wanted[row + k]]
                for (at, _), cut in zip(todo, pool.map(self._crop, todo), strict=True):
                    if isinstance(cut, str):
                        self.reasons[at] = cut
                    else:
                        faces[self.done] = cut.crop
                        self.landmarks[at], self.scores[at] = cut.landmarks.ravel(), cut.score
                        self.index[at] = self.done
                        self.done += 1
                row += len(batch)
                bar.advance(len(batch))
        if row != len(self.samples):
            raise DataError(f"Expected {len(self.samples)} pictures; got {row}. Run ingest again.")
        faces.flush()

    def _crop(self, item: tuple[int, bytes | None]) -> Cut | str:
        """Return the crop of one row, or why there is none."""
        row, data = item
        picture = decode(data, self._grey) if data else None
        return UNDECODABLE if picture is None else self._cut(row, picture)

    def refuse_losses(self) -> None:
        """Raise DataError where more than `max_dropped` of the stills were lost."""
        wanted = [k for k, (want, still) in enumerate(zip(self._wanted, self._still, strict=True)) if want and still]
        new = [k for k in wanted if self.index[k] < 0]
        lost, total = len(new) + self._absent, len(wanted) + self._absent
        if lost <= self._config.max_dropped * total and len(new) < len(wanted):
            return
        example = f"; the first is {self.samples[new[0]]}: {self.reasons[new[0]]}" if new else ""
        faceless = [self.reasons[k] for k in new].count(NO_FACE)
        advice = (
            f" In {faceless} of them {self._config.detector} found no face: raise align.max_dropped to go on without "
            f"them, or set align.detector to {ANNOTATED} or {WHOLE}."
        )
        raise DataError(
            f"{lost} of {total} pictures were lost ({lost / total:.1%}), more than align.max_dropped = "
            f"{self._config.max_dropped:g} allows{example}.{advice if faceless else ''}"
        )

    def note_lost_frames(self) -> None:
        """Say how many frames of clips were lost; they stop nothing."""
        frames = [
            k for k, (want, still) in enumerate(zip(self._wanted, self._still, strict=True)) if want and not still
        ]
        lost = [k for k in frames if self.index[k] < 0]
        if lost:
            first = f"{self.samples[lost[0]]}: {self.reasons[lost[0]]}"
            note(f"align: {len(lost)} of {len(frames)} frames of clips were lost; the first is {first}")


def _threads() -> int:
    """Return how many pictures to work on at once: one per core, two at least, since reading and writing wait."""
    return max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep OpenCV, and PyTorch where a detector has imported it, from starting threads of their own inside ours."""
    torch = sys.modules.get("torch")
    before = cv2.getNumThreads(), torch.get_num_threads() if torch else 0
    cv2.setNumThreads(1)
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        if torch:
            torch.set_num_threads(before[1])


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
