"""What stands behind the names in RAF-CE's text files; a parser raises ValueError on anything else."""

import numpy as np

from fer_core.labels import RAFCE

SPLIT_OF_CODE = {"0": "train", "1": "test", "2": "validation"}
A_CLASS = f"a class index from 0 to {len(RAFCE.classes) - 1}"
A_SPLIT = "0 (train), 1 (test) or 2 (validation)"
A_SUBJECT = "a subject"
POINTS = "x0 y0 .. x4 y4"
SIX_VOTES = "six votes, not negative and not all 0"


def class_index(text: str) -> int:
    """Parse a class index, 0 first."""
    if not 0 <= int(text) < len(RAFCE.classes):
        raise ValueError(text)
    return int(text)


def split(text: str) -> str:
    """Parse the code of a split into its name."""
    if text not in SPLIT_OF_CODE:
        raise ValueError(text)
    return SPLIT_OF_CODE[text]


def subject(text: str) -> str:
    """Parse who it is: one word."""
    if len(text.split()) != 1:
        raise ValueError(text)
    return text


def landmarks(text: str) -> np.ndarray:
    """Parse five points, float32 (10,), x0, y0 .. x4, y4 in pixels of the picture."""
    return _numbers(text, 10)


def votes(text: str) -> np.ndarray:
    """Return the votes as shares, float32 (6,): the published ones are rounded, and a user's may be counts."""
    values = _numbers(text, len(RAFCE.votes or ()))
    if (values < 0).any() or values.sum() <= 0:
        raise ValueError(text)
    return values / values.sum()


def _numbers(text: str, count: int) -> np.ndarray:
    values = np.array([float(part) for part in text.split()], np.float32)
    if len(values) != count or not np.isfinite(values).all():
        raise ValueError(text)
    return values
