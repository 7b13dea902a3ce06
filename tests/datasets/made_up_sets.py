"""Small made-up data sets in the published layouts."""

from pathlib import Path

import cv2
import numpy as np

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
