"""Lay out what an adapter read as rows of the manifest, with the right types and nulls where it says nothing."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from fer_core.manifest import ATTRIBUTE_COLUMN, empty_columns


def make_rows(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the ingest columns of the manifest but `source`, one row a record.

    Args:
        records: each has `sample_id` and `picture` (the file's path relative to the set's folder); `split` (train,
            validation, test or pool), `subject`, `emotion` (class index), `votes` (shares, float32 `(V,)`),
            `landmarks` (float32 `(10,)`), `box` (float32 `(4,)`), `drop_reason`, `clip_id`, `frame` and `attr_<name>`
            (text) where they are known, else None or left out.

    Example:
        >>> table = make_rows([{"sample_id": "a", "picture": "a.jpg", "emotion": 3}])
        >>> int(table["emotion"][0]), bool(table["split"].isna().all())
        (3, True)
    """
    records = list(records)
    table = pd.DataFrame(empty_columns("ingest", len(records))).drop(columns="source")
    attributes = sorted({key for record in records for key in record if ATTRIBUTE_COLUMN.fullmatch(key)})
    for name in [*table.columns, *attributes]:
        kind = "str" if name in attributes else table[name].dtype
        table[name] = pd.Series([record.get(name) for record in records], dtype=kind)
    return table
