"""Rows that compare the ways to vote: an ensemble's methods with its best member, means of views with one view.

Which member is the best, and which method is taken, was decided on validation; test is only read here.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_core.evaluation.gains import Row, Table

METHODS = {
    "mean": "simple averaging",
    "voting": "majority voting",
    "weighted": "weighted voting",
    "logistic": "stacking (logistic regression)",
    "greedy": "greedy selection",
}
VIEWS = {"mean": "equal weights", "learned": "weights learned on validation"}
_STACKS = {
    "stack/alone": "Ensemble on the baseline",
    "stack/ladder": "Ensemble on the ladder",
    "stack/final": "Ensemble of the last rung",
    "stack/library": "Ensemble of all runs",
}
_VIEWED = ("tta/baseline", "tta/single", "tta/stack", "tta/final")
_RUNG = "tta/ladder"  # views of what the ladder had then: the best member or the stack, which have rows of their own


def vote_rows(table: "Table", road: Mapping[str, Any]) -> "list[Row]":
    """Return the rows of view "vote": for each stack its best member and every method, for TTA both weightings.

    A method's reference is the stack's best member, a weighting's the predictor whose views it averages. What was
    chosen is marked in the title.
    """
    rows: list[Row] = []
    shown: set[str] = set()
    known = [*_STACKS, *_VIEWED]
    others = [name for name in table.runs if name.count("/") == 1 and name not in (*known, _RUNG)]  # stacked by hand
    for name in (*known, *others):
        run = table.runs.get(name, {})
        if run.get("state") != "done":
            continue
        kind = name.partition("/")[0]
        claimed = road["techniques"].get({"stack": "ensemble"}.get(kind, kind), {}).get("claimed")
        if kind == "stack" and run.get("best_member") and len(run["members"]) > 1:
            title = _STACKS.get(name, name)
            rows += _methods(table, name, run, title, METHODS, str(run["best_member"]), "best member", claimed)
        if kind == "tta" and run.get("of") not in (None, *shown) and (run.get("views") or 1) > 1:
            shown.add(run["of"])
            found = _methods(table, name, run, f"Views of {run['of']}", VIEWS, str(run["of"]), "one view", claimed)
            found[0]["milliseconds_per_face"] = run.get("milliseconds_per_face_plain")
            rows += found
    return rows


def _methods(
    table: "Table",
    name: str,
    run: Mapping[str, Any],
    title: str,
    methods: Mapping[str, str],
    reference: str,
    called: str,
    claimed: Sequence[float | None] | None,
) -> "list[Row]":
    technique = name.replace("/", "_")
    chosen = run.get("weights_method") or run.get("method")
    shown = called if reference in title else f"{called}, {reference}"
    first = table.row(f"{technique}_reference", f"{title}: {shown}", "vote", None, reference, None, None)
    rows = [first]
    for method, words in methods.items():
        if table.runs.get(f"{name}/{method}", {}).get("state") == "done":
            mark = " (taken)" if method == chosen else ""
            row = table.row(
                f"{technique}_{method}", f"{title}: {words}{mark}", "vote", None, f"{name}/{method}", reference, claimed
            )
            rows.append(row)
    return rows


def diversity_lines(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return how differently the members of each stack err on validation, as lines of Markdown."""
    lines = []
    for name, run in runs.items():
        found = run.get("diversity")
        if run.get("state") == "done" and found:
            told = [
                f"{words} {found[key]:.2f}"
                for key, words in (
                    ("disagreement", "they disagree on a share of"),
                    ("error_correlation", "the correlation of their errors is"),
                )
                if found.get(key) is not None
            ]
            title = _STACKS.get(name, name)
            lines.append(f"- {title}, {len(run['members'])} members on validation: {', '.join(told)}.")
    return lines
