"""The unfinished work of one alignment in a folder, so that a run that was killed goes on where it stood.

`faces.npy` is the array of all crops, filled from the front; `chunk-00012.npz` says what became of the pictures of one
batch and is written after their crops, to a temporary name and then renamed. A chunk counts if it is whole, all before
it do, and its crops have the checksum that it states: after a power failure the array may have lost what the chunk
promises. Whose work it is, is for the caller to say: another manifest or alignment needs another folder.
"""

import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np

from fer_core.files import replacing


class Chunk:
    """What became of the pictures of one batch, in order.

    Attributes:
        reason: why there is no crop, "" where there is one; the crops of the others follow each other.
        landmarks: float32 `(B, 10)` in pixels of the crop, NaN where unknown.
        points: float32 `(B, 10)` in pixels of the decoded picture, NaN where unknown.
        score, sharpness: float32 `(B,)`, NaN where unknown.
        faces, height, width: int32 `(B,)`, -1 where unknown.
    """

    def __init__(self, rows: int) -> None:
        self.reason = np.full(rows, "")
        self.landmarks = np.full((rows, 10), np.nan, np.float32)
        self.points = np.full((rows, 10), np.nan, np.float32)
        self.score, self.sharpness = np.full((2, rows), np.nan, np.float32)
        self.faces, self.height, self.width = np.full((3, rows), -1, np.int32)

    @property
    def crops(self) -> int:
        """How many of the pictures have a crop."""
        return int((self.reason == "").sum())


class Chunks:
    """Chunks and crops in `folder`, which is made where it is not there.

    Args:
        folder: where.
        shape: `(N, size, size, C)`, one crop for each picture that may have one.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._file = folder, folder / "faces.npy"
        self.faces = self._opened(shape)
        self._number = self.done = 0
        self._resuming = True

    def _opened(self, shape: tuple[int, ...]) -> np.memmap:
        try:
            faces = np.lib.format.open_memmap(self._file, "r+")
            if faces.shape == shape and faces.dtype == np.uint8:
                return faces
        except (OSError, ValueError, EOFError):
            pass
        for old in self._folder.glob("chunk-*.npz"):
            old.unlink()
        return np.lib.format.open_memmap(self._file, "w+", np.uint8, shape)

    def kept(self, rows: int) -> Chunk | None:
        """Return the next chunk if an earlier run left it, whole and of `rows` pictures, else None from now on."""
        chunk = self._read(rows) if self._resuming else None
        if chunk is None:
            self._resuming = False
            return None
        self.done += chunk.crops
        self._number += 1
        return chunk

    def add(self, chunk: Chunk, crops: list[np.ndarray]) -> None:
        """Write the next chunk and its crops, uint8 `(size, size, C)` each."""
        start = self.done
        for crop in crops:
            self.faces[self.done] = crop
            self.done += 1
        with replacing(self._path()) as temporary, temporary.open("wb") as file:
            np.savez(file, checksum=self._checksum(start, self.done), **vars(chunk))
        self._number += 1

    def move(self, target: Path) -> None:
        """Make the crops that were written a .npy file; it is whole or absent."""
        self.faces.flush()
        if self.done == len(self.faces):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._file.replace(target)
            except OSError:  # on another file system
                with replacing(target) as temporary:
                    shutil.copyfile(self._file, temporary)
            return
        with replacing(target) as temporary:
            out = np.lib.format.open_memmap(temporary, "w+", np.uint8, (self.done, *self.faces.shape[1:]))
            for start in range(0, self.done, 512):
                stop = min(start + 512, self.done)
                out[start:stop] = self.faces[start:stop]
            out.flush()

    def _read(self, rows: int) -> Chunk | None:
        chunk = Chunk(rows)
        try:
            with np.load(self._path(), allow_pickle=False) as held:
                checksum = int(held["checksum"])
                for name, empty in vars(chunk).items():
                    if held[name].shape != empty.shape:
                        return None
                    setattr(chunk, name, held[name])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        stop = self.done + chunk.crops
        return chunk if stop <= len(self.faces) and checksum == self._checksum(self.done, stop) else None

    def _checksum(self, start: int, stop: int) -> int:
        return zlib.crc32(np.ascontiguousarray(self.faces[start:stop]).data)

    def _path(self) -> Path:
        return self._folder / f"chunk-{self._number:05d}.npz"
