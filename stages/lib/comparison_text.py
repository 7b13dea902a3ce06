"""A comparison in words: what the terminal and the Markdown of `fer compare` share."""

from collections.abc import Mapping, Sequence
from typing import Any

from fer_core.evaluation.compare import A_BETTER, B_BETTER, SAME, UNCERTAIN, Compared, Row, seed_luck
from fer_core.evaluation.head import percent
from fer_core.evaluation.table import VIEWS, p_text

COLUMNS = ("A %", "B %", "B − A, points [95 %]", "p (Holm)", "detectable", "verdict")
SORTS = ("table", "gain", "p")  # as the gains table stands; largest difference first; smallest p first
_SHOWN = 12  # lines of a list before the rest is only counted
_MISSING = "–"


def direction(a: str, b: str) -> str:
    """Return which is which, and what the sign means."""
    return f"A = {a}, B = {b}; every difference is B − A: + means that {b} is better"


def change_lines(params: Mapping[str, tuple[Any, Any]], files: Sequence[str], all_lines: bool = False) -> list[str]:
    """Return what was changed from A to B: a line for each parameter, one for the source files.

    Example:
        >>> change_lines({"loss": ("ce", "cb")}, [])
        ['loss: ce -> cb']
        >>> change_lines({}, [])
        ['no parameter and no source file differs']
    """
    lines = [f"{key}: {_value(before)} -> {_value(after)}" for key, (before, after) in params.items()]
    lines = lines if all_lines else shortened(lines, "parameters")
    if files:
        more = f" and {len(files) - 4} more" if len(files) > 4 else ""
        lines.append(f"source files that differ: {', '.join(files[:4])}{more}")
    return lines or ["no parameter and no source file differs"]


def stale_lines(name: str, stale: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Return a warning where parameters were changed after the results were made, else nothing."""
    if not stale:
        return []
    told = shortened([f"{key} {_value(then)} -> {_value(now)}" for key, (then, now) in stale.items()], "parameters")
    return [f"{name}: its results were made before params.yaml changed ({'; '.join(told)}); `dvc repro` renews them"]


def limit_lines(found: Compared) -> list[str]:
    """Return what the comparison cannot tell: by the test faces' number, and by the seeds of the trainings."""
    sizes = [f"{n} {'clips' if track == 'clip' else 'faces'}" for track, n in found.n.items()]
    lines = [f"n = {' and '.join(sizes)} of the test split, the same on both sides"]
    start = found.headline[0]
    if (luck := seed_luck(start["seed_sd_a"], start["seed_sd_b"], 1)) is not None:
        told = [
            f"{name} {sd:.1f}" for name, sd in (("A", start["seed_sd_a"]), ("B", start["seed_sd_b"])) if sd is not None
        ]
        lines.append(
            f"a difference of two one-seed runs varies by about ±{luck:.1f} points (standard deviation) by the seed "
            f"alone, as the baseline's seeds tell (SD: {', '.join(told)}); neither interval nor p knows of it"
        )
    return lines


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's cells, as `COLUMNS`."""
    return (
        percent(row["accuracy_a"]),
        percent(row["accuracy_b"]),
        difference_text(row),
        p_text(row),
        _MISSING if row["detectable"] is None else f"{row['detectable']:.1f}",
        verdict_text(row),
    )


def difference_text(row: Row) -> str:
    """Return the difference and its interval, as in "+3.2 [0.4, 6.1]"; "0" where no answer differs."""
    if row["verdict"] == SAME:
        return "0"
    return f"{row['difference']:+.1f} [{row['difference_low']:.1f}, {row['difference_high']:.1f}]"


def verdict_text(row: Row) -> str:
    """Return the verdict, with a mark where the seed alone could have made such a difference."""
    lucky = row["within_luck"] and row["verdict"] in (A_BETTER, B_BETTER)
    return f"{row['verdict']}*" if lucky else str(row["verdict"])


def counts_line(rows: Sequence[Row]) -> str:
    """Return how often each verdict came.

    Example:
        >>> counts_line([{"verdict": "B is better"}, {"verdict": "same answers"}])
        '2 rows: B is better 1, same answers 1'
    """
    counts = {word: sum(row["verdict"] == word for row in rows) for word in (B_BETTER, A_BETTER, UNCERTAIN, SAME)}
    told = ", ".join(f"{word} {count}" for word, count in counts.items() if count)
    return f"{len(rows)} rows" + (f": {told}" if told else "")


def only_lines(only: Sequence[Row], all_lines: bool = False) -> list[str]:
    """Return the rows that one side alone has, with the reason."""
    lines = [f"only in {row['side'].upper()}: {row['title']} ({row['view']}) – {row['reason']}" for row in only]
    return lines if all_lines else shortened(lines, "rows")


def ordered(rows: Sequence[Row], sort: str) -> list[Row]:
    """Sort rows by one of `SORTS`; those without a test come last."""
    if sort == "gain":
        return sorted(rows, key=lambda row: -row["difference"])
    if sort == "p":
        return sorted(rows, key=lambda row: 2.0 if row["p_value"] is None else row["p_value"])
    return list(rows)


def legend(rows: Sequence[Row]) -> list[str]:
    """Return what the columns mean, as far as the rows need it."""
    lines = [
        "p: McNemar's exact test, in brackets after Holm's correction (the headline for its own rows, all others "
        "together); detectable: the smallest true difference in points that this test finds with 80 % power"
    ]
    if any(verdict_text(row).endswith("*") for row in rows):
        lines.append(
            "*: better on these faces, but no further apart than two trainings that differ by their seed alone"
        )
    return lines


def view_title(view: str) -> str:
    """Return a view's short title."""
    return VIEWS.get(view, view).partition(",")[0].partition(":")[0]


def markdown(a: str, b: str, found: Compared, rows: Sequence[Row], changed: Sequence[str], notes: Sequence[str]) -> str:
    """Return the whole comparison as Markdown."""
    lines = [f"# {b} against {a}", "", direction(a, b), "", "What changed:", "", *(f"- {line}" for line in changed), ""]
    lines += [f"- {note}" for note in (*notes, *limit_lines(found))]
    for title, part in (("Headline", found.headline), ("Row by row", rows)):
        lines += ["", f"## {title}", "", "| Row | View | " + " | ".join(COLUMNS) + " |"]
        lines += ["| --- | --- | " + " | ".join(["---:"] * (len(COLUMNS) - 1)) + " | :--- |"]
        lines += [
            "| " + " | ".join(cell.replace("|", "\\|").replace("*", "\\*") for cell in cells_of) + " |"
            for cells_of in ((row["title"], row["view"], *cells(row)) for row in part)
        ]
    lines += ["", counts_line(rows), ""]
    if only := only_lines(found.only, all_lines=True):
        lines += ["## On one side only", "", *(f"- {line}" for line in only), ""]
    return "\n".join([*lines, *(f"{line}  " for line in legend([*found.headline, *rows])), ""])


def shortened(lines: list[str], what: str) -> list[str]:
    """Return the first lines, and how many more there are."""
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more {what}"]


def _value(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
