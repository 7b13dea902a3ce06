"""Parts of the face: `AU12L`, `AU22B` folded into `AU12`, `AU22`, or kept as columns of their own.

A source writes its columns as its labels do: `AU12` where a label says "12", `AU12L` where one says "L12". Two rules
make labels of them that can be learnt, whatever mixture of parts there is. A column shows its AU where a label's part
and the column's part have a piece of the face in common (`vocabulary.overlap`): a label without a part is of the whole
face and sets every column, `L12` sets `AU12` and `AU12L` and not `AU12R`, `BL18` sets `AU18BL`, `AU18B` and `AU18L`.
And what is not annotated stays null.

folded: one column an AU, any part counts.
kept: an AU that any label marks with a part has one column for each part that occurs, and for the mirror image of each
    (a flipped face shows it) where any label sets it. The others have one.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_core.aus.vocabulary import column, mirrored, number_and_part, overlap

FOLDED, KEPT = "folded", "kept"
Parts = dict[int, list[str]]


def settle(tables: Sequence[pd.DataFrame], sides: str) -> list[pd.DataFrame]:
    """Return tables with the same columns for the same AU.

    Args:
        tables: of `AuLabels`, as written.
        sides: `folded` or `kept`.

    Returns:
        For each table one with float32 columns of the AUs that it has, in its order, parts after one another.
    """
    columns: Parts = {}
    if sides == KEPT:
        written = [name for table in tables for name in table.columns]
        columns = {number: _occurring(number, tables) for number in {number_and_part(name)[0] for name in written}}
    return [_expanded(table, columns) for table in tables]


def fold(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with one column an AU: 1 where any part shows it, NaN where that cannot be said."""
    return settle([table], FOLDED)[0]


def strengths(intensities: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the intensities for the columns of the labels.

    An intensity is of an AU. Where its labels have parts, the parts that show it have this intensity and the others 0;
    if none shows it or they are null, all have it: a trace may be too weak to be labelled.

    Args:
        intensities: columns `AU1` ...
        labels: as `settle` returns them; other rows or another order are fine.
    """
    out: dict[str, pd.Series] = {}
    for name in intensities.columns:
        parts = [other for other in labels.columns if number_and_part(str(other))[0] == number_and_part(str(name))[0]]
        if not parts or parts == [name]:
            out[str(name)] = intensities[name]
            continue
        shown = labels[parts].reindex(intensities.index).eq(1)
        for part in parts:
            out[part] = intensities[name].mask(shown.any(axis=1) & ~shown[part] & intensities[name].notna(), 0.0)
    return pd.DataFrame(out, index=intensities.index, dtype=np.float32)


def _occurring(number: int, tables: Sequence[pd.DataFrame]) -> list[str]:
    """Return the parts of an AU that become columns; [""] where no label marks one."""
    shown = {part for table in tables for part, name in _parts(table, number).items() if (table[name] == 1).any()}
    marked = sorted(part for part in shown if part)
    wanted = sorted({*marked, *(mirrored(column(number, part)).removeprefix(column(number)) for part in marked)})
    return [part for part in wanted if any(overlap(part, other) for other in shown)] or [""]


def _parts(table: pd.DataFrame, number: int) -> dict[str, str]:
    """Return part -> column of an AU."""
    split = {str(name): number_and_part(str(name)) for name in table.columns}
    return {part: name for name, (own, part) in split.items() if own == number}


def _expanded(table: pd.DataFrame, columns: Parts) -> pd.DataFrame:
    numbers = dict.fromkeys(number_and_part(str(name))[0] for name in table.columns)
    out: dict[str, np.ndarray] = {}
    for number in numbers:
        written = _parts(table, number)
        for part in columns.get(number, [""]):
            values = table[[name for own, name in written.items() if overlap(own, part)]].to_numpy(np.float32)
            unknown = np.isnan(values).any(axis=1) & ~(values == 1).any(axis=1)
            out[column(number, part)] = np.where(unknown, np.nan, (values == 1).any(axis=1)).astype(np.float32)
    return pd.DataFrame(out, index=table.index)
