"""Where predictors stand: one folder each, and one inside a stack's or TTA's for every way to combine."""

from collections.abc import Iterable
from pathlib import Path


def predictor_folders(data: Path, kinds: Iterable[str]) -> dict[str, Path]:
    """Return name -> folder of every predictor under `data`, such as "train/baseline" or "stack/ladder/greedy".

    A folder under a kind is a predictor whether it was made or not; below it, one that has a status.json.
    """
    found: dict[str, Path] = {}
    for kind in kinds:
        for folder in sorted((data / kind).glob("[!.]*")):
            if folder.is_dir():
                inner = sorted(path.parent for path in folder.glob("[!.]*/status.json"))
                found |= {path.relative_to(data).as_posix(): path for path in (folder, *inner)}
    return found
