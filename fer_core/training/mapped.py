"""Pictures that do not fit into memory: they stay in their memory-mapped files, and a batch is read when asked for."""

import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fer_core.errors import DataError

SHARE = 0.25  # of the free memory: a run holds three splits at once, and the model and its batches beside them
_MOVED = 2**26  # bytes read at a time where all pictures are wanted

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Source:
    """Pictures uint8 (M, H, W, C) of one file, or of none where `path` is None and they lie in memory."""

    pictures: Array
    path: Path | None = None

    def take(self, rows: Array, out: Array) -> None:
        """Copy the pictures at `rows`, int64 (B,), to `out`, uint8 (B, H, W, C).

        Raises:
            DataError: the file has become shorter; to read the missing part would end the process.
        """
        file = self.pictures.base
        if isinstance(self.pictures, np.memmap) and isinstance(file, mmap.mmap):
            needed, size = self.pictures.offset + self.pictures.nbytes, file.size()
            if size < needed:
                raise DataError(f"Expected {self.path} to keep its {needed} bytes while it is read; got {size}.")
        # rows are checked by their owner; without `clip` numpy would copy to a buffer first
        np.take(self.pictures, rows, axis=0, out=out, mode="clip")


class Mapped:
    """N pictures of one or more sources: stands in for the tensor uint8 (N, H, W, C) that they would be in memory.

    Only row numbers are held. Of a tensor it has what faces and clips need: the shape, the device, rows by number.
    """

    def __init__(self, sources: tuple[Source, ...], rows: Array) -> None:
        """Hold pictures of `sources`, all of one size; `rows` int64 (N,) counts through them one behind the other."""
        self.sources, self.rows = sources, rows
        self.starts = np.cumsum([0, *(len(source.pictures) for source in sources)])
        self.shape = torch.Size((len(rows), *sources[0].pictures.shape[1:]))
        self.dtype = torch.uint8
        self.device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """How many bytes the pictures would take in memory."""
        return self.shape.numel()

    def __getitem__(self, key: Any) -> Tensor:
        """Read pictures by number, slice, mask or int64 tensor of any shape (...): uint8 (..., H, W, C) in memory."""
        if isinstance(key, tuple):
            raise TypeError("Expected pictures by number alone; read them first, then take parts of each.")
        rows = torch.arange(len(self))[key.cpu() if isinstance(key, Tensor) else key]
        return self.index_select(rows.flatten()).reshape(*rows.shape, *self.shape[1:])

    def index_select(self, rows: Tensor, out: Tensor | None = None) -> Tensor:
        """Read the pictures at `rows`, int64 (B,) from 0 to N - 1, into `out` on the CPU, or into a new tensor.

        Each file is read from front to back, whatever the order of `rows`.

        Raises:
            DataError: a file has become shorter since it was opened.
        """
        wanted = self.rows[rows.cpu().numpy()]
        if out is None:
            out = torch.empty((len(wanted), *self.shape[1:]), dtype=torch.uint8)
        if self._in_memory:
            self.sources[0].take(wanted, out.numpy())
            return out
        order = np.argsort(wanted, kind="stable")
        ordered = wanted[order]
        found: Array = np.empty(tuple(out.shape), np.uint8)
        ends = np.searchsorted(ordered, self.starts)
        for source, start, first, last in zip(self.sources, self.starts, ends, ends[1:], strict=False):
            if first < last:
                source.take(ordered[first:last] - start, found[first:last])
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        np.take(found, places, axis=0, out=out.numpy(), mode="clip")
        return out

    @property
    def _in_memory(self) -> bool:
        return len(self.sources) == 1 and self.sources[0].path is None

    def only(self, rows: Tensor) -> "Mapped":
        """Return the pictures at `rows`, int64 (M,), still unread."""
        return Mapped(self.sources, self.rows[rows.cpu().numpy()])

    def to(self, device: torch.device) -> Tensor:
        """Read all pictures into a tensor on `device`, a part at a time."""
        found = torch.empty(tuple(self.shape), dtype=torch.uint8, device=device)
        step = max(1, _MOVED // max(1, self.shape[1:].numel()))
        for rows in torch.arange(len(self)).split(step):
            if len(rows):
                found[int(rows[0]) : int(rows[-1]) + 1] = self.index_select(rows).to(device)
        return found

    def numpy(self) -> Array:
        """Read all pictures into an array."""
        return self.to(self.device).numpy()


Pixels = Tensor | Mapped


def load_pixels(faces: Path, rows: Array) -> Pixels:
    """Return the crops at `rows`, int64 (N,), of the file `faces`, uint8 (M, H, W, C).

    They are copied into memory where they take less than a quarter of what is free, else they stay in the file.

    Raises:
        DataError: `faces` is missing, is no whole array of uint8 or holds fewer crops than `rows` point to.
    """
    try:
        crops = np.load(faces, mmap_mode="r")
    except FileNotFoundError:
        raise DataError(f"{faces} does not exist; run the align stage first.") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"Expected {faces} to be a whole array of crops; got {error}.") from None
    if crops.dtype != np.uint8 or crops.ndim != 4:
        raise DataError(f"Expected {faces} to hold uint8 (M, H, W, C); got {crops.dtype} {crops.shape}.")
    if len(rows) and rows.max() >= len(crops):
        raise DataError(f"Expected {faces} to hold {rows.max() + 1} crops or more; got {len(crops)}.")
    source = Source(crops, faces)
    mapped = Mapped((source,), rows)
    if mapped.nbytes >= SHARE * available_memory():
        return mapped
    found = torch.empty(tuple(mapped.shape), dtype=torch.uint8)
    source.take(rows, found.numpy())
    return found


def gather(pixels: Pixels, rows: Tensor) -> Tensor:
    """Return the pictures at `rows`, int64 (B,), of one device or another: uint8 (B, H, W, C) where `pixels` lie."""
    if isinstance(pixels, Mapped):
        return pixels.index_select(rows)
    return pixels.index_select(0, rows.to(pixels.device))  # four times as quick as pixels[rows] on the CPU


def side_by_side(pixels: Pixels, more: Pixels) -> Pixels:
    """Return both, `more` behind; what is in memory stays there, what is in a file stays in the file."""
    if isinstance(pixels, Tensor) and isinstance(more, Tensor):
        return torch.cat([pixels, more])
    first, second = as_mapped(pixels), as_mapped(more)
    rows = np.concatenate([first.rows, second.rows + first.starts[-1]])
    return Mapped(first.sources + second.sources, rows)


def as_mapped(pixels: Pixels) -> Mapped:
    """Return `pixels` as they are, or a tensor's pictures under the same cover, without a copy on the CPU."""
    if isinstance(pixels, Mapped):
        return pixels
    return Mapped((Source(pixels.cpu().contiguous().numpy()),), np.arange(len(pixels)))


def available_memory() -> int:
    """Return the bytes of RAM that could be taken without swapping, no more than a container may have."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # no Linux: half of what there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    try:
        return min(free, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or "max": no limit
        return free
