"""Several sources of AU labels made one: sides settled alike, sets below one another, the second filling the first.

A cell is filled from the next source where it is null, AU by AU. An intensity goes with the label that it was given
with: where the label is the first source's, the second's intensity is not taken.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from fer_core.aus.labels import AuLabels
from fer_core.aus.sides import settle, strengths
from fer_core.aus.sources import Part
from fer_core.aus.vocabulary import number_and_part


def settled(parts: Sequence[Part], sides: str) -> dict[str, AuLabels]:
    """Return source -> its labels of all data sets, with the same columns for the same AU in all sources.

    Args:
        parts: as `sources.read_sources` returns them.
        sides: `folded` or `kept`.
    """
    tables = settle([part.labels.table for part in parts], sides)
    grouped: dict[str, list[AuLabels]] = {}
    for part, table in zip(parts, tables, strict=True):
        known = part.labels.intensities
        own = replace(part.labels, table=table, intensities=None if known is None else strengths(known, table))
        grouped.setdefault(part.source, []).append(own)
    return {source: _stacked(labels) for source, labels in grouped.items()}


def merge(sources: Mapping[str, AuLabels], order: Sequence[str]) -> AuLabels | None:
    """Return the labels of the first source, with those of the next where it is null; None where none is there.

    Counts of lines and tokens are those of the first that is there.
    """
    there = [sources[name] for name in order if name in sources]
    if not there:
        return None
    merged = there[0]
    for other in there[1:]:
        rows = merged.table.index.union(other.table.index, sort=False)
        columns = list(dict.fromkeys([*merged.table.columns, *other.table.columns]))
        first, second = (table.reindex(index=rows, columns=columns) for table in (merged.table, other.table))
        strong = _filled(merged.intensities, other.intensities, first)
        merged = replace(merged, table=first.where(first.notna(), second), intensities=strong)
    return replace(merged, table=_sorted(merged.table))


def _filled(first: pd.DataFrame | None, second: pd.DataFrame | None, labels: pd.DataFrame) -> pd.DataFrame | None:
    """Return the first's intensities, and the second's where neither a label nor an intensity is the first's."""
    if second is None:
        return first
    first = second.iloc[:0, :0] if first is None else first
    rows = first.index.union(second.index, sort=False)
    columns = list(dict.fromkeys([*first.columns, *second.columns]))
    own, other, known = (table.reindex(index=rows, columns=columns) for table in (first, second, labels))
    return own.where(own.notna() | known.notna(), other)


def _stacked(labels: Sequence[AuLabels]) -> AuLabels:
    if len(labels) == 1:
        return labels[0]
    strong = [own.intensities for own in labels if own.intensities is not None]
    return AuLabels(
        table=_sorted(pd.concat([own.table for own in labels])),
        lines=sum(own.lines for own in labels),
        unannotated=sum(own.unannotated for own in labels),
        tokens=dict(sum((Counter(own.tokens) for own in labels), Counter[str]())),
        odd=dict(sum((Counter(own.odd) for own in labels), Counter[str]())),
        outside=dict(sum((Counter(own.outside) for own in labels), Counter[str]())),
        intensities=_sorted(pd.concat(strong)) if strong else None,
        without_picture=tuple(key for own in labels for key in own.without_picture),
    )


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    return table[sorted(table.columns, key=lambda name: number_and_part(str(name)))]
