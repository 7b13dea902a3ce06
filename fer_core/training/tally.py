"""The train figures of an epoch, put together many steps at a time.

An operation on a few numbers takes 10 to 20 µs between the layers of a network on a CPU; a dozen of them in every step
would be a hundredth of a small step's time.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fer_core.training.distributed import summed

TOGETHER = 64  # steps


class Found(NamedTuple):
    """What this process found in its share of a step, all detached.

    Attributes:
        loss: of the share; those of all processes add up to the step's.
        logits: (S, K) of the S faces of the share.
        classes: (S, K) of the same, soft where they are mixed.
        parts: of the loss, by name; they add up like the loss.
        factor: on the count of faces that are right: below 1 where several processes have the same faces.
    """

    loss: Tensor
    logits: Tensor
    classes: Tensor
    parts: dict[str, Tensor]
    factor: float = 1.0


class Tally:
    """Means over the faces of an epoch."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Found]] = []
        self._sums: Tensor | None = None
        self._names: list[str] = []
        self._faces = 0

    def add(self, faces: int, found: Found) -> None:
        """Count a step in, of `faces` faces in all processes; every step has the same parts."""
        self._faces += faces
        self._waiting.append((faces, found))
        if len(self._waiting) == TOGETHER:
            self._put_together()

    def means(self) -> dict[str, float]:
        """Return `train_loss`, `train_accuracy` and the parts, of all processes: one wait for the device.

        The accuracy is the share of faces whose largest logit is that of the largest part of their mixed classes.
        """
        if self._waiting:
            self._put_together()
        assert self._sums is not None
        figures = (summed(self._sums) / self._faces).tolist()
        return dict(zip(("train_loss", "train_accuracy", *self._names), figures, strict=True))

    def _put_together(self) -> None:
        found = [item for _, item in self._waiting]
        self._names = list(found[0].parts)
        device = found[0].loss.device
        figures = torch.stack([value for item in found for value in (item.loss, *item.parts.values())])
        faces = torch.tensor([float(count) for count, _ in self._waiting], dtype=torch.float64, device=device)
        loss, *parts = (faces @ figures.double().reshape(len(found), -1)).unbind()
        factors = torch.tensor([item.factor for item in found], dtype=torch.float64, device=device)
        lengths = torch.tensor([len(item.logits) for item in found], device=device)
        logits, classes = (torch.cat([getattr(item, name) for item in found]) for name in ("logits", "classes"))
        right = (
            factors.repeat_interleave(lengths, output_size=len(logits))
            @ (logits.argmax(1) == classes.argmax(1)).double()
        )
        sums = torch.stack([loss, right, *parts])
        self._sums = sums if self._sums is None else self._sums + sums
        self._waiting.clear()
