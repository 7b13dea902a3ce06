"""Where AU labels are from and how far two sources agree, as `fer_core.aus.agreement` reports it."""

from collections.abc import Mapping, Sequence
from typing import Any

from fer_core.datasets.card_page.plain import written
from fer_core.pages.html import Child, Markup, table

_COUNTS = {
    "pictures": "Pictures",
    "pictures_without_labels": "without labels",
    "unknown": "all AUs unknown",
    "labels_without_picture": "Labels without a picture",
}


def sources(told: Mapping[str, Mapping[str, Any]]) -> list[Markup]:
    """Return what each source covers: a row per source, and a row per AU with its positives and coverage in each."""
    rows: list[list[Child]] = [[name, *(_number(source.get(key)) for key in _COUNTS)] for name, source in told.items()]
    whole = table(["Source", *_COUNTS.values()], rows, "Sources of AU labels: train and validation pictures")
    names = list(dict.fromkeys(au for source in told.values() for au in source.get("positives") or {}))
    if len(told) < 2 or not names:
        return [whole]
    header = ["AU", *(words for name in told for words in (f"{name}: active", "known, %"))]
    lines: list[list[Child]] = []
    for au in names:
        cells: list[Child] = [au]
        for source in told.values():
            share = (source.get("coverage") or {}).get(au)
            known = written(None) if share is None else f"{100 * share:.1f}"
            cells += [_number((source.get("positives") or {}).get(au)), known]
        lines.append(cells)
    return [whole, table(header, lines, "What each source says of an AU")]


def agreements(pairs: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Return a table for each two sources: agreement in per cent and Cohen's kappa by AU."""
    told = []
    for pair in pairs:
        title = "Agreement of " + " and ".join(map(str, pair["sources"]))
        rows: list[list[Child]] = []
        for au, found in pair["aus"].items():
            share, kappa = found.get("agreement"), found.get("kappa")
            shown = written(None) if share is None else f"{100 * share:.1f}"
            chance = written(None) if kappa is None else f"{kappa:.2f}".replace("-", "−")
            rows.append([au, _number(found.get("pictures")), shown, chance])
        told.append(table(["AU", "Pictures known in both", "Alike, %", "Cohen's kappa"], rows, title))
    return told


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else written(value)
