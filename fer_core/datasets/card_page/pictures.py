"""What the pictures are like: size, quality, attributes, and a few faces of every class."""

from collections import Counter

import numpy as np
import pandas as pd

from fer_core.datasets.card_page.content import KNOWN, Content
from fer_core.manifest import ATTRIBUTE, attribute_names, stills
from fer_core.pages.histogram import histogram
from fer_core.pages.html import Child, Markup, figures, table, tag
from fer_core.pages.thumbnails import grid, thumbnail, tile

EACH, MOST = 8, 240  # sample faces of a class, of a page
_SEED = 9  # of what is drawn: the same data give the same page
_BINS = 12  # of an attribute that are written out
_SIZES = 5

_MEASURES = {
    "inter_ocular": ("Distance between the eyes in the picture", " px"),
    "sharpness": ("Sharpness of the crop (variance of the Laplacian)", ""),
    "yaw": ("Yaw", "°"),
    "pitch": ("Pitch", "°"),
    "roll": ("Roll", "°"),
    "detection_score": ("Detection score", ""),
    "faces": ("Faces found in the picture", ""),
}


def quality(content: Content) -> list[Markup]:
    """Return sizes and quality of the usable stills that are not of the test split."""
    rows = stills(content.table)
    rows = rows[rows["drop_reason"].isna() & (rows["split"] != "test")]
    wide, high = (_numbers(rows, column) for column in ("picture_width", "picture_height"))
    drawn = [histogram(np.fmin(wide, high), "Shorter side of the picture", " px")]
    drawn += [
        histogram(_numbers(rows, column), title, unit)
        for column, (title, unit) in _MEASURES.items()
        if column in rows and rows[column].notna().any()
    ]
    said = f"Of {len(rows):,} usable pictures of train, validation and pool."
    known = np.isfinite(wide) & np.isfinite(high)
    if known.any():
        sizes = Counter(zip(wide[known].astype(int), high[known].astype(int), strict=True))
        common = ", ".join(f"{width} × {height} px ({n:,})" for (width, height), n in sizes.most_common(_SIZES))
        said += f" {len(sizes):,} different sizes; most frequent: {common}."
    return [tag("p", said), figures(*drawn)]


def attributes(content: Content) -> list[Markup]:
    """Return how attributes are distributed over train and validation."""
    names = attribute_names(content.table)
    parts = [content.labelled(split) for split in KNOWN]
    told = []
    for name in names:
        train, validation = (rows[name].astype(object).where(rows[name].notna(), None) for rows in parts)
        counts, other = train.value_counts(), validation.value_counts()
        order = list(dict.fromkeys([*counts.index, *other.index]))
        rows: list[list[Child]] = [
            [str(value), *_shares(counts.get(value, 0), len(train)), *_shares(other.get(value, 0), len(validation))]
            for value in order[:_BINS]
        ]
        if len(order) > _BINS:
            rest = (int(part[~part.isin(order[:_BINS]) & part.notna()].count()) for part in (train, validation))
            rows.append([f"{len(order) - _BINS} more", *(cell for n in rest for cell in (f"{n:,}", ""))])
        unknown = [(int(part.isna().sum()), len(part)) for part in (train, validation)]
        rows.append(["not known", *(cell for n, total in unknown for cell in _shares(n, total))])
        title = name.removeprefix(ATTRIBUTE)
        told.append(tag("div", table([title, "Train", "%", "Validation", "%"], rows, f"Attribute: {title}")))
    if not told:
        return [tag("p", "This set tells no attributes, such as age or skin, of its faces.")]
    return [figures(*told)]


def samples(content: Content, each: int = EACH, most: int = MOST) -> list[Markup]:
    """Return aligned train faces of every class: `each` of a class, and no more than about `most` in all."""
    random = np.random.default_rng(_SEED)
    train = content.labelled("train")
    each = max(1, min(each, most // max(len(content.classes), 1)))
    told: list[Markup] = []
    for k, name in enumerate(content.classes[:most]):
        own = train[train["emotion"] == k]
        if own.empty:
            continue
        chosen = np.sort(random.choice(len(own), min(each, len(own)), replace=False))
        tiles = []
        for _, row in own.iloc[chosen].iterrows():
            sample = str(row["sample_id"])
            tiles.append(
                tile(thumbnail(np.asarray(content.faces[int(row["crop_index"])])), f"{sample}: {name}", sample)
            )
        told += [tag("h3", f"{name} ({len(own):,})"), grid(*tiles)]
    return told or [tag("p", "No train picture has a class and a crop.")]


def _numbers(rows: pd.DataFrame, column: str) -> np.ndarray:
    if column not in rows:
        return np.full(len(rows), np.nan)
    return rows[column].to_numpy(np.float64, na_value=np.nan)


def _shares(count: int, total: int) -> tuple[str, str]:
    return f"{count:,}", f"{100 * count / max(total, 1):.1f}"
