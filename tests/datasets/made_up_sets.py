"""Small made-up data sets in the published layouts."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fer_core.datasets.dataset import Dataset
from fer_core.datasets.folds import Folds
from fer_core.datasets.ingest import Reading, read_dataset

CLASSES = 14
SPLITS = (("0", 4), ("2", 2), ("1", 2))  # code, pictures of every class


def jpeg(value: int, size: int = 20) -> bytes:
    picture = np.full((size, size, 3), value % 256, np.uint8)
    return cv2.imencode(".jpg", picture)[1].tobytes()


def write_rafce(folder: Path, pictures: bool = True) -> Path:
    """Write 112 labelled pictures in RAF-CE's layout: 4 train, 2 validation, 2 test of every class."""
    folder.mkdir(parents=True, exist_ok=True)
    labels, codes = [], []
    for code, count in SPLITS:
        for number in range(count * CLASSES):
            labels.append(number % CLASSES)
            codes.append(code)
    names = [f"{k:04d}.jpg" for k in range(1, len(labels) + 1)]
    write(folder / "RAFCE_emolabel.txt", [f"{n} {k}" for n, k in zip(names, labels, strict=True)])
    write(folder / "RAFCE_partition.txt", [f"{n} {k}" for n, k in zip(names, codes, strict=True)])
    if pictures:
        (folder / "original").mkdir()
        for k, name in enumerate(names):
            (folder / "original" / name).write_bytes(jpeg(k))
    return folder


def write_clips(folder: Path, people: bool = True) -> Path:
    """Write six clips of three frames, two of each split, beside the pictures: clip 000k has class k and person ck."""
    for k in range(6):
        place = folder / "clips" / f"{k:04d}"
        place.mkdir(parents=True)
        for frame in range(3):
            (place / f"{frame}.jpg").write_bytes(jpeg(200 + 10 * k + frame))
    names = [f"{k:04d}" for k in range(6)]
    write(folder / "clip_emolabel.txt", [f"{name} {k}" for k, name in enumerate(names)])
    write(folder / "clip_partition.txt", [f"{name} {code}" for name, code in zip(names, "002211", strict=True)])
    points = "6 8 13 8 10 11 7 15 12"
    frames = [f"{name}/{frame}.jpg {points} {frame}" for name in names for frame in range(3)]
    write(folder / "clip_landmark.txt", frames)
    if people:
        write(folder / "clip_subject.txt", [f"{name} c{k}" for k, name in enumerate(names)])
    return folder


def write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def edit(path: Path, line: int, text: str) -> None:
    """Replace a line (from 1)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line - 1] = text
    write(path, lines)


def pixels(value: int) -> str:
    return " ".join(str((value + k) % 256) for k in range(48 * 48))


def write_fer2013(folder: Path, private: bool = True, per_class: int = 3) -> Path:
    """Write fer2013.csv with `per_class` different pictures of every class and usage."""
    folder.mkdir(parents=True, exist_ok=True)
    usages = ["Training", "PublicTest"] + (["PrivateTest"] if private else [])
    rows = ["emotion,pixels,Usage"]
    for usage in usages:
        for number in range(7 * per_class):
            rows.append(f"{number % 7},{pixels(len(rows))},{usage}")
    write(folder / "fer2013.csv", rows)
    return folder


def reader(data: str) -> Callable[..., Dataset]:
    """Return what reads a set by its name as ingest does: `(folder, limit, seed, folds=None)`."""

    def read(folder: Path, limit: int | None = None, seed: int = 1, folds: Folds | None = None) -> Dataset:
        return read_dataset(data, folder, Reading(limit=limit, seed=seed, folds=folds))

    return read
