"""Checkpoints that survive being killed while they are written."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_crc32_options, set_crc32_options

from fer_core.files import BROKEN

SHARE = 0.01  # of a run's time that checkpoints may take


class Checkpoint:
    """The latest state of one run in `folder`, and the one before it.

    A state is a nested dict of tensors and plain values, read back with `weights_only=True`.
    """

    def __init__(self, folder: Path) -> None:
        self.last = folder / "last.pt"
        self.previous = folder / "previous.pt"
        self._not_before = 0.0

    @property
    def is_due(self) -> bool:
        """Whether a hundred times as long as the last save took has passed since; before the first it is."""
        return time.monotonic() >= self._not_before

    def save(self, state: dict[str, Any]) -> None:
        """Write beside, keep the previous one, rename."""
        start = time.monotonic()
        self.last.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.last.with_suffix(".tmp")
        with _no_checksums():
            torch.save(state, temporary)
        if self.last.exists():
            self.last.replace(self.previous)
        temporary.replace(self.last)
        now = time.monotonic()
        self._not_before = now + (now - start) / SHARE

    def load(self) -> dict[str, Any] | None:
        """Return the newest state that reads back whole, or None."""
        for path in (self.last, self.previous):
            if path.exists():
                try:
                    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                    return state
                except (*BROKEN, OSError):
                    continue
        return None

    def clear(self) -> None:
        """Remove both files."""
        self.last.unlink(missing_ok=True)
        self.previous.unlink(missing_ok=True)


@contextmanager
def _no_checksums() -> Iterator[None]:
    """Leave checksums out, which take more than half of the time of a save and which `torch.load` does not read."""
    before = get_crc32_options()
    set_crc32_options(False)
    try:
        yield
    finally:
        set_crc32_options(before)
