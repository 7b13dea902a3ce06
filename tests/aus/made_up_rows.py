"""Rows of a manifest, as sources of AU labels see them."""

import pandas as pd


def rows(names: list[str], pictures: list[str] | None = None, split: str = "train") -> pd.DataFrame:
    """Return stills."""
    count = len(names)
    table = pd.DataFrame({"sample_id": names, "picture": pictures or [f"{name}.jpg" for name in names]}, dtype="str")
    table = table.assign(split=split, source="x", drop_reason=None, subject=pd.Series([None] * count, dtype="str"))
    table = table.assign(clip_id=pd.Series([None] * count, dtype="str"))
    return table.assign(frame=pd.Series([None] * count, dtype="Int16"))


def clip(name: str, numbers: list[int], picture: str = "{clip}/{number}.jpg", split: str = "train") -> pd.DataFrame:
    """Return the frames of a clip."""
    table = rows(
        [f"{name}/{number}" for number in numbers],
        [picture.format(clip=name, number=number) for number in numbers],
        split,
    )
    return table.assign(clip_id=name, frame=pd.array(numbers, dtype="Int16"))
