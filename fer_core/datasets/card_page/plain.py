"""Tables from values whose keys are not known beforehand."""

from collections.abc import Mapping
from typing import Any

from fer_core.pages.histogram import short
from fer_core.pages.html import Child, Markup, table, tag

_ITEMS, _ROWS = 20, 60  # of a list in a cell, of a table: what is written out


def written(value: Any) -> str:
    """Return a value of a JSON file in words; of long lists the first, and how many more.

    Example:
        >>> written({"rows": 3, "names": ["a", "b"]}), written(None), written(0.25)
        ('rows: 3; names: a, b', '–', '0.25')
    """
    if isinstance(value, Mapping):
        return _some([f"{key}: {written(item)}" for key, item in value.items()], "; ")
    if isinstance(value, list | tuple):
        return _some([written(item) for item in value], ", ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return short(value)
    return "–" if value is None else str(value)


def _some(items: list[str], between: str) -> str:
    more = f" and {len(items) - _ITEMS:,} more" if len(items) > _ITEMS else ""
    return between.join(items[:_ITEMS]) + more or "–"


def found(title: str, value: Any) -> list[Markup]:
    """Return a table of any JSON value: a mapping has a row per key, a list of mappings one per item."""
    if not isinstance(value, Mapping | list) or not value:
        return [tag("p", tag("b", title), f": {written(value)}.")]
    of_mappings = all(isinstance(item, Mapping) for item in (value.values() if isinstance(value, Mapping) else value))
    if isinstance(value, list) and not of_mappings:
        return [tag("p", tag("b", title), f": {written(value)}.")]
    items = list(value.items()) if isinstance(value, Mapping) else [(None, item) for item in value]
    more = [tag("p", f"{len(items) - _ROWS:,} more are in data/join_aus/.")] if len(items) > _ROWS else []
    keys = list(dict.fromkeys(str(key) for _, item in items for key in item)) if of_mappings else [""]
    rows: list[list[Child]] = []
    for name, item in items[:_ROWS]:
        cells: list[Child] = [written(item.get(key)) for key in keys] if of_mappings else [written(item)]
        rows.append(cells if name is None else [str(name), *cells])
    header = keys if isinstance(value, list) else ["", *keys]
    return [table(header, rows, title, names=1 if of_mappings else 2), *more]
