"""The section "By attribute" of reports/gains.md, from the rows of `slices.slice_rows`."""

from collections.abc import Mapping, Sequence

from fer_core.evaluation.gains import Row
from fer_core.evaluation.head import percent
from fer_core.evaluation.table import line

_HEADER = ["Attribute", "Bin", "Faces", "Classes", "Baseline, accuracy % [95 %]", "Final, accuracy % [95 %]"]
_HEADER += ["Gain, points [95 %]", "Baseline, UAR %", "Final, UAR %"]


def slice_lines(rows: Sequence[Row], attributes: Mapping[str, Sequence[str | None]]) -> list[str]:
    """Return the section's lines; none for a set without attributes.

    `attributes` maps each attribute to the pictures' bins (N,), None where not known.
    """
    if not attributes:
        return []
    lines = ["## By attribute", ""]
    if rows:
        lines += [line(_HEADER), line(["---", ":---", *["---:"] * (len(_HEADER) - 2)]), *map(_row, rows), ""]
    shown = {row["attribute"] for row in rows}
    for name, values in attributes.items():
        unknown = sum(value is None for value in values)
        if unknown == len(values):
            lines.append(f"- No test face has a value of `{name}`.")
        elif name not in shown:
            lines.append(f"- `{name}` has {len(set(values) - {None})} different values, too many for a table of bins.")
        elif unknown:
            lines.append(f"- {unknown} test {'face has' if unknown == 1 else 'faces have'} no value of `{name}`.")
    lines.append(
        f"- UAR is over the classes present in the bin. Of {len(rows)} gains' intervals one in 20 misses by chance. "
        "The whole table on some faces only: `python -m stages.report --print-only --where ATTRIBUTE=BIN`."
    )
    return [*lines, ""]


def _row(row: Row) -> str:
    cells = [row["attribute"], row["bin"], str(row["n"]), str(row["classes_present"])]
    cells += [percent(row[key]) + _interval(row, key, 100) for key in ("baseline_accuracy", "final_accuracy")]
    cells += [f"{row['gain']:+.1f}" + _interval(row, "gain", 1)]
    return line([*cells, percent(row["baseline_uar"]), percent(row["final_uar"])])


def _interval(row: Row, key: str, scale: float) -> str:
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return "" if low is None else f" [{scale * low:.1f}, {scale * high:.1f}]"
