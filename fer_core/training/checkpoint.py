"""Checkpoints that survive being killed while they are written."""

from pathlib import Path
from typing import Any

import torch

from fer_core.files import BROKEN


class Checkpoint:
    """The latest state of one run in `folder`, and the one before it.

    A state is a nested dict of tensors and plain values, read back with `weights_only=True`.
    """

    def __init__(self, folder: Path) -> None:
        self.last = folder / "last.pt"
        self.previous = folder / "previous.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write beside, keep the previous one, rename."""
        self.last.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.last.with_suffix(".tmp")
        torch.save(state, temporary)
        if self.last.exists():
            self.last.replace(self.previous)
        temporary.replace(self.last)

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
