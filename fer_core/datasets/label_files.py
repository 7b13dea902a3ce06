"""One label file alone, in the form `NAME value` that RAF-CE's files have: which it is, and what it says.

It is known by its name, and where it has another by its content: all lines must parse.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fer_core.aus.rafce import read_file
from fer_core.aus.sides import fold
from fer_core.datasets import values
from fer_core.datasets.columns import read_columns
from fer_core.datasets.lines import read_lines, read_values
from fer_core.errors import DataError
from fer_core.labels import RAFCE

AUS = "RAFCE_AUlabel.txt"
STATISTICS = "statistics.json"
Facts = dict[str, Any]


class Form(NamedTuple):
    """What a file is, and what is read from it."""

    title: str
    read: Callable[[Path], Facts]


def known_form(path: Path) -> Form | None:
    """Return the form that a file's name stands for, or None."""
    return FORMS.get(path.name)


def form_of(path: Path) -> Form | None:
    """Return the form of a label file by its name, else by its content; None where it has none of these forms."""
    if form := known_form(path):
        return form
    if path.suffix.lower() != ".txt":
        return None
    for name in _BY_CONTENT:
        try:
            FORMS[name].read(path)
        except (DataError, ValueError):
            continue
        form = FORMS[name]
        return Form(f"{form.title}, by its content (published as {name})", form.read)
    return None


def au_facts(table: Any) -> Facts:
    """Return what AU labels say: rows, annotated rows, and of each AU how many are annotated and show it.

    Args:
        table: of `AuLabels`: 1 present, 0 absent, NaN not annotated.
    """
    told = table.notna()
    return {
        "rows": len(table),
        "annotated": int(told.any(axis=1).sum()),
        "active": {
            str(name): {"annotated": int(told[name].sum()), "positive": int((table[name] > 0).sum())}
            for name in table.columns
        },
    }


def _classes(path: Path) -> Facts:
    found = read_values(path, values.class_index, values.A_CLASS)
    tally = Counter(found.values())
    return {"rows": len(found), "classes": {name: tally.get(k, 0) for k, name in enumerate(RAFCE.classes)}}


def _partition(path: Path) -> Facts:
    found = read_values(path, values.split, values.A_SPLIT)
    return {"rows": len(found), "splits": dict(Counter(found.values()))}


def _aus(path: Path) -> Facts:
    labels = read_file(path)
    facts = {"rows": labels.lines, "aus": au_facts(fold(labels.table))}
    more = []
    if labels.unannotated:
        more.append(f"{labels.unannotated} of {labels.lines} pictures are not annotated (`null`)")
    if labels.odd:
        more.append(f"{sum(labels.odd.values())} odd tokens were read by the rule for them: {', '.join(labels.odd)}")
    if labels.outside:
        more.append("not used: " + ", ".join(f"{name} ({count})" for name, count in labels.outside.items()))
    return facts | {"notes": more}


def _votes(path: Path) -> Facts:
    found = read_values(path, values.votes, values.SIX_VOTES)
    mean = np.mean(list(found.values()), axis=0)
    names = RAFCE.votes or ()
    return {"rows": len(found), "votes": {name: round(float(x), 3) for name, x in zip(names, mean, strict=True)}}


def _landmarks(path: Path) -> Facts:
    return {"rows": len(read_values(path, values.landmarks, values.POINTS))}


def _subjects(path: Path) -> Facts:
    found = read_values(path, values.subject, values.A_SUBJECT)
    return {"rows": len(found), "notes": [f"{len(set(found.values()))} different subjects"]}


def _lines(path: Path) -> Facts:
    return {"rows": len(read_lines(path, key=str))}


def _table(path: Path) -> Facts:
    table = read_columns(path)
    return {"rows": len(table.numbers), "notes": [f"columns {', '.join(table.cells)}"]}


def _statistics(path: Path) -> Facts:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
        counts: dict[str, dict[str, int]] = found["counts"]
        return {
            "rows": sum(sum(of.values()) for of in counts.values()),
            "splits": {split: sum(of.values()) for split, of in counts.items()},
            "notes": ["no data set reads it; the stand-in's numbers are taken from such a file"],
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} holds no statistics of RAF-CE's label files ({error!r}).") from None


FORMS: dict[str, Form] = {
    "RAFCE_emolabel.txt": Form("RAF-CE's emotion labels", _classes),
    "RAFCE_partition.txt": Form("RAF-CE's partition", _partition),
    AUS: Form("RAF-CE's AU labels", _aus),
    "rafml_distribution.txt": Form("votes over six emotions (RAF-ML)", _votes),
    "RAFCE_landmark.txt": Form("five landmarks a picture", _landmarks),
    "RAFCE_subject.txt": Form("who it is, a picture", _subjects),
    "AUintensity.csv": Form("AU intensities", _table),
    "attributes.csv": Form("attributes of the faces", _table),
    "pool_landmark.txt": Form("five landmarks a picture of the pool", _landmarks),
    "pool_subject.txt": Form("who it is, a picture of the pool", _subjects),
    "clip_emolabel.txt": Form("emotion labels of clips", _classes),
    "clip_partition.txt": Form("partition of clips", _partition),
    "clip_subject.txt": Form("who it is, a clip", _subjects),
    "clip_landmark.txt": Form("five landmarks a frame of a clip", _lines),
    STATISTICS: Form("numbers computed from RAF-CE's label files", _statistics),
}
# numbers 0 to 2 could be classes too: a partition is asked first; subjects are last, as they may be anything
_BY_CONTENT = ("RAFCE_partition.txt", "RAFCE_emolabel.txt", "rafml_distribution.txt", "RAFCE_landmark.txt", AUS)
