"""Progress that suits where it is read: a live bar on a terminal, plain lines now and then in a pipe."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 15.0


def note(text: str) -> None:
    """Show one line, where the bars are shown."""
    print(text, file=sys.stderr, flush=True)


class Bar:
    """A context manager that counts `total` steps of `title` and shows `figures` that matter.

    Example:
        >>> with Bar("train baseline", 2, "epoch") as bar:  # doctest: +SKIP
        ...     bar.advance(loss=1.234, macro_f1=0.41)
    """

    def __init__(self, title: str, total: int, unit: str = "") -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self._first = self.done
        self._live: Progress | None = None

    def __enter__(self) -> "Bar":
        self._start = time.monotonic()
        self._last_line = self._start
        if sys.stderr.isatty():
            self._live = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(self.unit),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._live.add_task(self.title, total=self.total, figures="", completed=self.done)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def skip(self, steps: int) -> None:
        """Count steps that an earlier, interrupted run had done; they do not enter the time left."""
        self.done += steps
        self._first += steps
        if self._live:
            self._live.update(self._task, completed=self.done)

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Count `steps` more and show `figures`, each with three digits."""
        self.done += steps
        text = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        if self._live:
            self._live.update(self._task, advance=steps, figures=text)
            return
        now = time.monotonic()
        if self.done >= self.total or now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            speed = (self.done - self._first) / max(now - self._start, 1e-9)
            left = (self.total - self.done) / speed if speed > 0 else float("nan")
            line = f"{self.title}: {self.unit} {self.done}/{self.total}  {text}  {left:.0f} s left"
            print(" ".join(line.split()), file=sys.stderr, flush=True)
