"""What every source of AU labels covers, and how far two agree: of train and validation stills only.

Agreement is the share of pictures on which both say the same of an AU, of those where both say something; Cohen's kappa
takes off what two would agree by chance, 1 is full agreement and 0 no more than chance (Cohen, "A coefficient of
agreement for nominal scales", 1960). It is undefined, null, where there is no such picture or chance alone would agree
always: both sources say one and the same of all.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score

from fer_core.aus.labels import AuLabels, among
from fer_core.manifest import stills

SPLITS = ("train", "validation")


def about_sources(manifest: pd.DataFrame, sources: Mapping[str, AuLabels]) -> dict[str, Any]:
    """Return what aus.json says of the sources: `sources` by name, and `agreement` of each two that overlap.

    Args:
        manifest: as align writes it.
        sources: as `combine.settled` returns them, with columns alike.

    Returns:
        `sources`: for each one pictures (usable stills of train and validation), pictures_without_labels (no row of the
        source), unknown (a row, but all null), labels_without_picture, and by AU coverage (share of the pictures that
        have a label) and positives. `agreement`: a list of {sources, aus: {AU: {pictures, agreement, kappa}}}.
    """
    rows = stills(manifest)
    names = rows["sample_id"][rows["split"].isin(SPLITS) & rows["drop_reason"].isna()]
    told: dict[str, Any] = {}
    for source, labels in sources.items():
        values = labels.table.reindex(names)
        there = among(names, labels.table.index).to_numpy()
        told[source] = {
            "pictures": len(names),
            "pictures_without_labels": int((~there).sum()),
            "unknown": int((there & values.isna().all(axis=1).to_numpy()).sum()),
            "labels_without_picture": len(labels.without_picture),
            "coverage": {au: float(values[au].notna().mean()) if len(names) else None for au in values.columns},
            "positives": {au: int((values[au] == 1).sum()) for au in values.columns},
        }
    pairs = []
    for first, second in combinations(sources, 2):
        a, b = sources[first].table.reindex(names), sources[second].table.reindex(names)
        common = [name for name in a.columns if name in b.columns]
        if common and (a[common].notna() & b[common].notna()).any(axis=None):
            pairs.append({"sources": [first, second], "aus": {name: agreement(a[name], b[name]) for name in common}})
    return {"sources": told, "agreement": pairs}


def agreement(first: pd.Series, second: pd.Series) -> dict[str, Any]:
    """Return how far two columns of 0, 1 and NaN agree: pictures where both are known, agreement, kappa.

    Example:
        >>> agreement(pd.Series([1.0, 0.0, 1.0, 0.0]), pd.Series([1.0, 0.0, 0.0, 0.0]))
        {'pictures': 4, 'agreement': 0.75, 'kappa': 0.5}
    """
    a, b = first.to_numpy(np.float64), second.to_numpy(np.float64)
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[both], b[both]
    if not len(a):
        return {"pictures": 0, "agreement": None, "kappa": None}
    constant = len(np.unique(np.concatenate([a, b]))) == 1
    kappa = None if constant else float(cohen_kappa_score(a, b))
    return {"pictures": len(a), "agreement": float((a == b).mean()), "kappa": kappa}
