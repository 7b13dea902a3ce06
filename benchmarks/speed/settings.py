"""What the command line says to all parts."""

from dataclasses import dataclass, field
from pathlib import Path

import torch


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        device: where the networks run.
        rounds: turns of every side that count.
        seconds: that a turn of the ceiling takes; the others do the same work.
        threads: PyTorch's, for every side, other processes included.
        workers: of the peers' loaders, the best of these is taken; `best` keeps which, by the pictures' size.
        timm_train: timm's train.py, if there is one.
        work: a folder for pictures and checkpoints, removed afterwards.
    """

    device: torch.device
    rounds: int
    seconds: float
    threads: int
    workers: tuple[int, ...]
    timm_train: Path | None
    work: Path
    best: dict[int, int] = field(default_factory=dict, compare=False)
