"""Turn encoded pictures into one array of aligned faces, with flat memory, and go on where an earlier run was stopped.

`landmarks`: five annotated points are mapped onto a template by a similarity transform (`fer_core.faces.similarity`).
A detector (`fer_core.faces.detect`): so are the five that it finds, or the box is cut out. `none`: the pictures come
cropped, and each is resized whole, or the annotated box is cut out. `auto`: see `fer_core.faces.alignment.resolve`.
Which picture is decoded how, and which is dropped, is a table in `fer_core.faces.pixels`.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fer_core.errors import DataError
from fer_core.faces.alignment import Alignment, alignment, resolve
from fer_core.faces.chunks import Chunk, Chunks
from fer_core.faces.config import AlignConfig
from fer_core.faces.cut import Cut, Cutter, Item
from fer_core.faces.detect import BATCH, DETECTORS, Detector
from fer_core.faces.pixels import is_grey
from fer_core.faces.quality import inter_ocular, pose
from fer_core.faces.rejects import note_lost_frames, refuse_losses
from fer_core.manifest import stack_lists
from fer_core.progress import Bar

Batches = Iterable[list[tuple[str, bytes | None]]]


def choose_detector(config: AlignConfig, manifest: pd.DataFrame) -> str:
    """Resolve `auto`: see `fer_core.faces.alignment.resolve`."""
    return resolve(config, manifest)[0]


def load_detector(how: Alignment, model: str | None) -> Detector | None:
    """Return the detector of an alignment, None where it has none.

    Raises:
        ConfigError: the detector's package or model file is not there.
    """
    return DETECTORS[how.detector](Path(model) if model else None) if how.detector in DETECTORS else None


def all_grey(batches: Batches) -> bool:
    """Return whether every picture is grey-coded; reads headers up to the first picture in colour."""
    return all(is_grey(data) is not False for batch in batches for _, data in batch if data)


def align(manifest: pd.DataFrame, batches: Batches, grey: bool, config: AlignConfig, target: Path) -> pd.DataFrame:
    """Align every picture that ingest did not drop and write the crops, in one go.

    Args:
        manifest: as ingest writes it; frames of clips are cut like any other picture.
        batches: encoded pictures in manifest order; None where ingest found no file.
        grey: whether crops have one channel instead of three.
        config: how.
        target: the .npy file to write: uint8 `(N, size, size, C)`, one row per crop, whole or absent.

    Returns:
        As `Pass.table`.

    Raises:
        ConfigError: the detector's package or model file is not there.
        DataError: as `Pass`, or more than `max_dropped` of the stills were lost.
    """
    how = alignment(config, manifest, grey)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as work:
        done = Pass(manifest, batches, how, load_detector(how, config.model), Path(work))
        done.refuse_losses(config.max_dropped)
        done.move(target)
    return done.table


class Pass:
    """One pass over the pictures of a manifest; making it is doing the work.

    Args:
        manifest: as ingest writes it.
        batches: encoded pictures in manifest order; None where ingest found no file.
        how: the alignment.
        detector: of the alignment.
        work: folder of the unfinished work; what an earlier pass left there is not done again. It must have been the
            same pictures, in the same batches, and the same alignment.

    Attributes:
        table: the manifest with the columns that align owns, and a drop_reason where a picture was lost.
        faces: uint8 `(N, size, size, C)`, the crops, memory-mapped; rows as `crop_index` says.

    Raises:
        DataError: no still is left to align, or the pictures do not match the manifest.
    """

    def __init__(
        self, manifest: pd.DataFrame, batches: Batches, how: Alignment, detector: Detector | None, work: Path
    ) -> None:
        self._before, self._how = manifest, how
        self._wanted = manifest["drop_reason"].isna().to_numpy()
        self._still = manifest["clip_id"].isna().to_numpy()
        self._absent = 0  # stills that ingest dropped because there is no file
        if not (self._wanted & self._still).any():
            raise DataError("No picture is left to align: every still of the manifest has a drop_reason.")
        shape = (int(self._wanted.sum()), how.size, how.size, 1 if how.grey else 3)
        self._chunks = Chunks(work, shape)
        chunks = self._run(batches, Cutter(how, detector))
        self.table = _table(manifest, self._wanted, chunks)
        self.faces = self._chunks.faces[: self._chunks.done]
        note_lost_frames(manifest, self.table)

    def refuse_losses(self, most: float) -> None:
        """Raise DataError where more than a share `most` of the stills were lost, or all."""
        refuse_losses(self._before, self.table, self._absent, most, self._how.detector)

    def move(self, target: Path) -> None:
        """Make the crops the .npy file `target`; it is whole or absent."""
        self._chunks.move(target)

    def _run(self, batches: Batches, cutter: Cutter) -> list[Chunk]:
        samples = self._before["sample_id"].tolist()
        items = _Items(self._before)
        chunks: list[Chunk] = []
        row = 0
        with _one_thread_each(), ThreadPoolExecutor(_threads()) as pool, Bar("align", len(samples)) as bar:
            for batch in batches:
                if [sample for sample, _ in batch] != samples[row : row + len(batch)]:
                    raise DataError("The pictures are not in the order of the manifest; run ingest again.")
                data = {row + k: picture for k, (_, picture) in enumerate(batch)}
                self._absent += sum(self._still[k] and not self._wanted[k] and data[k] is None for k in data)
                wanted = [k for k in data if self._wanted[k]]
                chunk = self._chunks.kept(len(wanted))
                if chunk:
                    bar.skip(len(batch))
                else:
                    parts = [wanted[start : start + BATCH] for start in range(0, len(wanted), BATCH)]
                    cuts = pool.map(lambda part, data=data: cutter([items(k, data[k]) for k in part]), parts)
                    chunk = self._add([cut for part in cuts for cut in part])
                    bar.advance(len(batch))
                chunks.append(chunk)
                row += len(batch)
        if row != len(samples):
            raise DataError(f"Expected {len(samples)} pictures; got {row}. Run ingest again.")
        return chunks

    def _add(self, cuts: Sequence[Cut]) -> Chunk:
        chunk = Chunk(len(cuts))
        chunk.reason = np.array([cut.crop if isinstance(cut.crop, str) else "" for cut in cuts], dtype=str)
        crops = [cut.crop for cut in cuts if not isinstance(cut.crop, str)]
        for k, cut in enumerate(cuts):
            chunk.landmarks[k], chunk.points[k] = cut.landmarks.ravel(), cut.points.ravel()
            chunk.score[k], chunk.sharpness[k] = cut.score, cut.sharpness
            chunk.faces[k], chunk.height[k], chunk.width[k] = cut.faces, cut.height, cut.width
        self._chunks.add(chunk, crops)
        return chunk


class _Items:
    """Puts the annotations of a manifest's rows to their pictures."""

    def __init__(self, manifest: pd.DataFrame) -> None:
        points = stack_lists(manifest["landmarks"], 10)
        self._points = points.astype(np.float64).reshape(-1, 5, 2)
        self._boxes = stack_lists(manifest["box"], 4).astype(np.float64) if "box" in manifest else None

    def __call__(self, row: int, data: bytes | None) -> Item:
        return Item(data, self._points[row], None if self._boxes is None else self._boxes[row])


def _table(manifest: pd.DataFrame, wanted: np.ndarray, chunks: Sequence[Chunk]) -> pd.DataFrame:
    """Return the manifest with the columns of align; `chunks` hold the wanted rows, in order."""
    rows = np.flatnonzero(wanted)

    def spread(values: np.ndarray, empty: object) -> np.ndarray:
        out = np.full((len(manifest), *values.shape[1:]), empty, values.dtype)
        out[rows] = values
        return out

    def held(name: str) -> np.ndarray:
        return np.concatenate([getattr(chunk, name) for chunk in chunks])

    reason, points = held("reason"), held("points").reshape(-1, 5, 2)
    cropped = reason == ""
    roll, yaw, pitch = pose(points)
    index = spread(np.where(cropped, np.cumsum(cropped) - 1, -1), -1)
    table = manifest.copy()
    reasons = [None if pd.isna(old) else str(old) for old in manifest["drop_reason"]]
    for row, new in zip(rows, reason, strict=True):
        reasons[row] = str(new) or None
    table["drop_reason"] = pd.Series(reasons, index=table.index, dtype="str")
    table["crop_index"] = pd.Series(index, index=table.index, dtype="Int32").where(index >= 0)
    landmarks = spread(held("landmarks"), np.nan)
    known = np.isfinite(landmarks).all(axis=1) & (index >= 0)
    lists = [row if ok else None for row, ok in zip(landmarks, known, strict=True)]
    table["aligned_landmarks"] = pd.Series(lists, index=table.index, dtype=object)
    table["detection_score"] = spread(held("score"), np.nan)
    table["faces"] = _counted(np.minimum(spread(held("faces"), -1), 32767), table, "Int16")
    table["picture_width"] = _counted(spread(held("width"), -1), table, "Int32")
    table["picture_height"] = _counted(spread(held("height"), -1), table, "Int32")
    measures = {"inter_ocular": inter_ocular(points), "roll": roll, "yaw": yaw, "pitch": pitch}
    for name, values in (measures | {"sharpness": held("sharpness")}).items():
        table[name] = spread(values.astype(np.float32), np.nan)
    return table


def _counted(values: np.ndarray, table: pd.DataFrame, kind: str) -> pd.Series:
    return pd.Series(values, index=table.index, dtype=kind).where(values >= 0)


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
