"""Ctrl-C that breaks nothing off halfway: it is counted, and wakes who waits."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

WORDS = b"\nstopping: the running stages end first; once more to end them at once\n"


class Interrupt:
    """While it is entered, SIGINT (Ctrl-C) and SIGTERM are counted instead of raised; the main thread only.

    A signal that is ignored, as a shell does for what it starts in the background, stays ignored.

    Attributes:
        count: how often it was interrupted.
        wake: a file descriptor that can be read after each time.

    """

    def __init__(self) -> None:
        self.count = 0
        self._told = 0

    def __enter__(self) -> "Interrupt":
        self.wake, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number, handler in self._before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.wake)
        os.close(self._write)

    def _note(self, *_: Any) -> None:
        if not self.count:
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, WORDS)  # print is not safe in a handler
        self.count += 1
        os.write(self._write, b"x")

    def each(self, act: Callable[[int], None]) -> None:
        """Call `act` for each interruption since the last call: with SIGINT for the first of all, later SIGTERM."""
        while self._told < self.count:
            os.read(self.wake, 1)
            self._told += 1
            act(signal.SIGINT if self._told == 1 else signal.SIGTERM)
