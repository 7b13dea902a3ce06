"""Action Units: how many faces are annotated, how often each is active, and what the AU join found."""

import numpy as np
import pandas as pd

from fer_core.datasets.card_page.au_sources import agreements, sources
from fer_core.datasets.card_page.content import KNOWN, Content
from fer_core.datasets.card_page.plain import found, written
from fer_core.manifest import INTENSITY, au_names
from fer_core.pages.histogram import share_bar
from fer_core.pages.html import Child, Markup, table, tag

_FOUND = {
    "unmatched": "Rows without a partner",
    "odd_tokens": "Odd tokens, read by the rule for them",
    "outside_vocabulary": "Labels outside the vocabulary",
    "left_out": "AUs left out of the run",
}


def annotated(rows: pd.DataFrame, name: str) -> tuple[int, int]:
    """Return on how many rows an AU is annotated, and on how many of these it is active (above 0.5)."""
    values = rows[name].to_numpy(np.float64, na_value=np.nan)
    return int(np.isfinite(values).sum()), int((values > 0.5).sum())


def units(content: Content, whole: bool = True) -> list[Markup]:
    """Return a table of the AUs of train and validation and, of the `whole`, what data/join_aus/aus.json says."""
    names, told = au_names(content.table), []
    parts = {split: content.labelled(split) for split in KNOWN}
    counts = {name: [annotated(rows, name) for rows in parts.values()] for name in names}
    if not any(known for pairs in counts.values() for known, _ in pairs):
        told.append(tag("p", "This set has no AU labels."))
    else:
        some = {split: int(rows[names].notna().any(axis=1).sum()) for split, rows in parts.items()}
        shares = ", ".join(f"{some[split]:,} of {len(rows):,} {split} pictures" for split, rows in parts.items())
        said = f"Annotated: {shares}. The rest are null, which is “not annotated”, never “not active”."
        if content.aus.get("weak"):
            said += " These labels are prototypes of the emotions, not annotations."
        told += [tag("p", said), _table(content, counts)]
    if whole:
        told += sources(content.aus["sources"]) if content.aus.get("sources") else []
        told += agreements(content.aus.get("agreement") or [])
        told += [
            piece for key, title in _FOUND.items() if content.aus.get(key) for piece in found(title, content.aus[key])
        ]
    return told


def _table(content: Content, counts: dict[str, list[tuple[int, int]]]) -> Markup:
    titles = content.aus.get("titles") or {}
    rows: list[list[Child]] = []
    for name, pairs in counts.items():
        (known, active), _ = pairs
        cells = [f"{number:,}" for pair in pairs for number in pair]
        share = active / known if known else 0.0
        strong = content.table.get(f"{name}{INTENSITY}")
        strength = "yes" if strong is not None and bool(strong.notna().any()) else "no"
        shown = f"{100 * share:.1f}" if known else written(None)
        rows.append([name, str(titles.get(name, "")), share_bar(share), shown, *cells, strength])
    header = ["AU", "Name", "", "Train, %", "Train annotated", "active", "Validation annotated", "active", "Intensity"]
    return table(header, rows, "Action Units; % is the share of the annotated train pictures", names=3)
