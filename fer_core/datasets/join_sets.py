"""Put the rows of several data sets into one table, so that no name of one can be taken for another's."""

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from fer_core.datasets.dataset import Pictures, Published

_NAMED = ("sample_id", "picture", "subject", "clip_id")


def prefixed(names: pd.Series, source: str) -> pd.Series:
    """Return names as a joined set has them, `rafdb/train_00001`; nulls stay."""
    return (f"{source}/" + names.astype(str)).where(names.notna()).astype(names.dtype)


def join_sets(sources: Sequence[str], parts: Sequence[tuple[str, Published]]) -> Published:
    """Join sets that have the same labels; the column `source` says which a row is from.

    A set alone keeps its names. Of several, pictures, subjects and clips get the set's name before theirs, and its
    notes its title.

    Args:
        sources: names of the sets.
        parts: (title, set), as `to_common` returns them.
    """
    if len(parts) == 1:
        part = parts[0][1]
        return Published(**{**vars(part), "rows": part.rows.assign(source=sources[0])})
    tables: list[pd.DataFrame] = []
    for source, (_, part) in zip(sources, parts, strict=True):
        rows = part.rows.assign(source=source)
        tables.append(rows.assign(**{name: prefixed(rows[name], source) for name in _NAMED}))
    published = [part for _, part in parts]
    return Published(
        rows=pd.concat(tables, ignore_index=True),
        pictures=partial(_pictures, dict(zip(sources, published, strict=True))),
        labels=published[0].labels,
        aus=any(part.aus for part in published),
        intensities=any(part.intensities for part in published),
        notes=tuple(f"{title}: {text}" for title, part in parts for text in part.notes),
        split_notes=tuple(f"{title}: {text}" for title, part in parts for text in part.split_notes),
    )


def _pictures(parts: dict[str, Published], rows: pd.DataFrame) -> Pictures:
    for source, part in parts.items():
        own = rows[rows["source"] == source]
        plain = own.assign(sample_id=own["sample_id"].str.removeprefix(f"{source}/"))
        yield from _renamed(part.pictures(plain), source)


def _renamed(pictures: Pictures, source: str) -> Iterator[tuple[str, bytes | None]]:
    for sample, data in pictures:
        yield f"{source}/{sample}", data
