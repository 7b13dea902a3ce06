"""Batches of faces on their device: direct where the pixels lie there, else read by a thread a little ahead."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import torch
from torch import Tensor

from fer_core.training.faces import FaceSet, as_images
from fer_core.training.mapped import Mapped, as_mapped

AHEAD = 2  # batches read before they are asked for
THREAD = "feed"  # how its name starts

Item = TypeVar("Item")
Result = TypeVar("Result")


def feed(faces: FaceSet, batches: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each batch's rows, as they were given, and its pictures, as `faces.images` has them, in order.

    Where the pixels lie with the labels no thread is started. Where they do not (in a file, or in the memory beside a
    GPU) a thread gathers the next two batches meanwhile. It ends with the loop, however that is left.

    Args:
        faces: the set.
        batches: rows of it, int64 (B,) each, on any one device.

    Raises:
        DataError: a file of faces has become shorter while it was read.
    """
    if lies_there(faces):
        for index in batches:
            yield index, faces.images(index)
        return
    reader = _Reader(as_mapped(faces.pixels), faces.device)
    with closing(ahead(reader.start, _on_host(batches))) as parts:
        for index, found in zip(batches, parts, strict=True):
            yield index, as_images(reader.finish(*found))


def lies_there(faces: FaceSet) -> bool:
    """Return whether the pixels lie in the memory of the device that hands them out."""
    return isinstance(faces.pixels, Tensor) and faces.pixels.device == faces.device


def ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    """Yield `work(item)` of each item in order; one thread is up to two items in front of the caller.

    What `work` raises is raised here, at its item. No item is begun after the generator was closed, and its thread
    has ended by then.
    """
    remaining = iter(items)
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=THREAD)
    try:
        for _, item in zip(range(AHEAD), remaining, strict=False):
            waiting.append(pool.submit(work, item))
        while waiting:
            found = waiting.popleft().result()
            for item in remaining:
                waiting.append(pool.submit(work, item))
                break
            yield found
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _on_host(batches: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the rows on the CPU: one wait for the GPU, not one a batch."""
    if not batches or batches[0].device.type == "cpu":
        return batches
    return torch.cat(list(batches)).cpu().split([len(index) for index in batches])


class _Reader:
    """Reads pictures of a set in a thread, and hands them over on the set's device.

    To a GPU they go as uint8 from pinned memory, on a stream of their own, while the GPU computes.
    """

    def __init__(self, pictures: Mapped, device: torch.device) -> None:
        self.pictures, self.device = pictures, device
        self.side = torch.cuda.Stream(device) if device.type == "cuda" else None

    def start(self, rows: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        """Read, in the thread; on a GPU the event says when the pictures have arrived."""
        if self.side is None:
            return self.pictures.index_select(rows), None
        shape = (len(rows), *self.pictures.shape[1:])
        # a new thread's GPU is the first one, whichever the run is on
        with torch.cuda.device(self.device), torch.cuda.stream(self.side):
            pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
            self.pictures.index_select(rows, out=pinned)
            # torch gives `pinned` to nobody else before the copy is done
            return pinned.to(self.device, non_blocking=True), self.side.record_event()

    def finish(self, found: Tensor, arrived: torch.cuda.Event | None) -> Tensor:
        """Hand over, in the caller's thread, to whatever the caller's stream does next."""
        if arrived is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(arrived)
            found.record_stream(stream)  # else the side stream could write a later batch over it too early
        return found.to(self.device)
