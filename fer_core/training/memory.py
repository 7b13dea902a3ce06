"""What memory has no room for at once goes through a network in smaller pieces; the step stays what it was."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from fer_core.choices import AUTO
from fer_core.errors import ConfigError
from fer_core.progress import note
from fer_core.training.distributed import cut, world

T = TypeVar("T")


@dataclass
class MicroBatch:
    """How many samples go through a network at once; half as many whenever memory runs out.

    Attributes:
        size: samples; a smaller batch goes through whole.
        batch: samples of a step, which stay as they are.
        advice: what to change where a piece cannot be smaller.
        least: samples that a piece must have.
        things: what the samples are called.
    """

    size: int
    batch: int
    advice: str
    least: int = 1
    things: str = "pictures"

    @staticmethod
    def most(setting: int | str) -> int:
        """Return the samples that `micro_batch` means: of auto as many as there are."""
        return sys.maxsize if setting == AUTO else int(setting)

    def parts(self, count: int) -> list[slice]:
        """Return the pieces of a batch of `count` samples."""
        return cut(slice(0, count), -(-count // self.size))

    def fit(self, count: int, attempt: Callable[[], T], start_anew: Callable[[], None]) -> T:
        """Return what `attempt` returns, which is tried again with half the size whenever memory runs out.

        Args:
            count: samples that the attempt puts through in pieces.
            attempt: the passes forward and backward.
            start_anew: undoes what an attempt that failed half-way left.

        Raises:
            ConfigError: pieces cannot be smaller.
        """
        while True:
            try:
                return attempt()
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                self._refuse(min(self.size, count), error)
            # out of the handler, whose traceback holds the tensors that filled the memory
            self.size = -(-min(self.size, count) // 2)
            note(
                f"out of memory: from here on {self.size} {self.things} at once; a step still sees {self.batch}",
            )
            start_anew()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _refuse(self, tried: int, error: RuntimeError) -> None:
        if world() > 1:  # the others wait at a batch norm for as many pieces as were agreed on
            raise ConfigError(
                f"Memory ran out with {tried} {self.things} at once in each of {world()} processes: set `micro_batch` "
                "to fewer."
            ) from error
        if tried == 1 or -(-tried // 2) < self.least:
            raise ConfigError(
                f"Memory ran out with {tried} {self.things} at once, and they cannot be fewer: {self.advice}."
            ) from error


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
