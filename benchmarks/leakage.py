"""How long the leakage guard takes, in what memory, and what its hash misses: `python -m benchmarks.leakage`.

It looks at the pictures of the workspace (`dvc repro ingest`), or at any file of that kind. Beside it stands the plain
way without a hash, which compares every picture with every other and its mirror image at 32 x 32 px: the share of its
pairs that the guard finds is the hash's recall. On 32,000 pictures that takes a minute; `--no-every` leaves it out.
"""

import resource
import time
from pathlib import Path

import numpy as np
import typer

from fer_core.datasets.duplicates import SAME, Seen, look, same_pictures
from fer_core.datasets.store import read_pictures
from fer_core.errors import DataError

BLOCK = 256
app = typer.Typer(add_completion=False)


def every_pair(seen: Seen, same: float = SAME) -> set[tuple[int, int]]:
    """Return the rows i < j of all usable pictures that correlate by `same` or more, mirrored or not; no hash."""
    rows = np.flatnonzero(seen.usable)
    copies = seen.copies(rows)
    plain, mirrored = copies.reshape(len(rows), -1), copies[:, :, ::-1].reshape(len(rows), -1)
    found: set[tuple[int, int]] = set()
    for start in range(0, len(rows), BLOCK):
        for other in (plain, mirrored):
            i, j = np.nonzero(plain[start : start + BLOCK] @ other[start:].T >= same)
            later = j > i
            found |= set(zip(rows[i[later] + start].tolist(), rows[j[later] + start].tolist(), strict=True))
    return found


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@app.command()
def main(
    pictures: Path = typer.Option(Path("data/ingest/pictures.parquet"), help="As the stage ingest writes them."),
    every: bool = typer.Option(True, help="Compare every pair without a hash as well."),
) -> None:
    """Time the search for the same picture and say what the hash misses."""
    if not pictures.is_file():
        raise DataError(f"{pictures} does not exist; `dvc repro ingest` writes it.")
    empty, start = peak(), time.perf_counter()
    seen = look(read_pictures(pictures))
    looked = time.perf_counter() - start
    start = time.perf_counter()
    pairs = same_pictures(seen)
    compared = time.perf_counter() - start
    print(f"{len(seen.ids):,} pictures, {int(seen.usable.sum()):,} usable: {looked:.1f} s to decode and shrink")
    print(f"hash and pixels: {compared:.1f} s, {len(pairs.first):,} pairs, {int(pairs.exact.sum()):,} pixel for pixel")
    print(f"peak {peak():.0f} MiB, of which {empty:.0f} MiB were there before")
    if not every:
        return
    start = time.perf_counter()
    wanted = every_pair(seen)
    took = time.perf_counter() - start
    got = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    recall = f"{len(wanted & got) / len(wanted):.2%}" if wanted else "not defined"
    print(f"every pair: {took:.1f} s, {len(wanted):,} pairs, of which the hash finds {len(wanted & got):,}: {recall}")


if __name__ == "__main__":
    app()
