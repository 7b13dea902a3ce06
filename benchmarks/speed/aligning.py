"""Alignment, by the pieces of `benchmarks.alignment`, which measures it at length; here in one row of the table."""

from collections.abc import Callable, Iterator, Sequence

import torch

from benchmarks.alignment import Encoded, by_align, draw, one_by_one, package
from benchmarks.alignment import ours as one_at_a_time
from benchmarks.speed.cases import Case
from benchmarks.speed.measure import OURS, Comparison, Missing, Side, Turn, compare, timed
from benchmarks.speed.settings import Settings

PICTURES = 64
HERE = torch.device("cpu")


def measure(settings: Settings, cases: Sequence[Case]) -> Iterator[Comparison]:
    """Measure MTCNN and the cut on generated faces of 160 px; no network of `cases` matters."""
    files = draw(PICTURES if settings.seconds > 0.5 else 4, settings.work / "drawn")["160 px"]

    def side(name: str, work_of: Callable[[], Callable[[Encoded], int]]) -> Side:
        def make() -> Turn:
            try:
                work = work_of()
            except ImportError as error:
                raise Missing(f"needs the package {error.name}") from error

            def all_of_them() -> int:
                work(files)
                return len(files)

            return timed(all_of_them, HERE)

        return Side(name, make)

    def alone(find_of: Callable[[], Callable[..., object]]) -> Callable[[], Callable[[Encoded], int]]:
        def work_of() -> Callable[[Encoded], int]:
            find = find_of()
            return lambda some: one_by_one(some, find)  # type: ignore[arg-type]

        return work_of

    sides = [
        side(OURS, lambda: lambda some: by_align(some, settings.work)),
        side("facenet-pytorch", alone(package)),
        side("ours, one at a time", alone(one_at_a_time)),
    ]
    yield compare("alignment", "mtcnn, faces of 160 px", sides, settings.rounds)
