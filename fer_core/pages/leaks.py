"""What the leakage guard found, from data/ingest/leakage.json (see `fer_core.datasets.leakage`)."""

from collections.abc import Mapping
from typing import Any

from fer_core.errors import DataError
from fer_core.pages.html import Child, Markup, prose, table, tag

_COUNTS = {
    "subjects": "Subjects in two splits",
    "duplicates": "Same picture in two splits",
    "exact_duplicates": "of these, pixel for pixel",
    "duplicates_within_a_split": "Same picture twice in one split",
    "label_conflicts": "Same picture, two emotions",
    "label_conflicts_with_test": "of test pictures, listed nowhere",
}
_DONE = {
    "refuse": "had there been any, ingest would have stopped",
    "drop": "those that are not in test were left out",
    "report": "they were left in: test results may flatter",
}


def leaks(found: Mapping[str, Any]) -> list[Markup]:
    """Return a sentence and a table of counts.

    Raises DataError for a report that lacks a count.
    """
    lacks = [key for key in ("pictures", "leaks", *_COUNTS) if key not in found]
    if lacks:
        raise DataError(f"leakage.json lacks {', '.join(lacks)}; the ingest stage must run again.")
    looked = f"of {found['pictures']:,} pictures, pool and clips included"
    if not found["leaks"]:
        said = f"No subject and no picture stands in two splits, {looked}."
    else:
        done = _DONE.get(str(found.get("policy")), "")
        said = f"**{found['leaks']:,} {'leak' if found['leaks'] == 1 else 'leaks'}** between the splits, {looked}" + (
            f"; {done}." if done else "."
        )
    rows: list[list[Child]] = [[words, f"{found[key]:,}"] for key, words in _COUNTS.items()]
    rows += [[f"Between splits, {where}", f"{number:,}"] for where, number in (found.get("by_splits") or {}).items()]
    return [tag("p", prose(said)), table(["Finding", "Count"], rows, "What the leakage guard found")]
