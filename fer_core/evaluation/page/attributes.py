"""The section "By attribute": baseline and final on the faces of each bin."""

from collections.abc import Sequence

from fer_core.evaluation.figures.words import gain_words
from fer_core.evaluation.head import percent
from fer_core.evaluation.page.content import Row
from fer_core.pages.html import Child, Markup, prose, section, table, tag

_HEADER = ["Attribute", "Bin", "Faces", "Classes", "Baseline, accuracy %", "Final, accuracy %", "Gain, points [95 %]"]
_HEADER += ["Baseline, UAR %", "Final, UAR %"]


def attribute_section(rows: Sequence[Row]) -> Markup:
    """Return the rows of metrics/slices.json as a table, with the bins that are best and worst served."""
    if not rows:
        return section("attributes", "By attribute", tag("p", "This set tells no attributes of its test faces."))
    best, worst = (pick(rows, key=lambda row: row["final_accuracy"]) for pick in (max, min))
    said = (
        f"At the end accuracy is highest for **{best['attribute']} = {best['bin']}** ({_score(best, 'final')}) and "
        f"lowest for **{worst['attribute']} = {worst['bin']}** ({_score(worst, 'final')}). Bins overlap, and of "
        f"{len(rows)} intervals one in 20 misses by chance."
    )
    cells: list[list[Child]] = [
        [
            *(row["attribute"], row["bin"], f"{row['n']:,}", row["classes_present"]),
            *(_score(row, "baseline"), _score(row, "final"), gain_words(row)),
            *(percent(row["baseline_uar"]), percent(row["final_uar"])),
        ]
        for row in rows
    ]
    lines = table(_HEADER, cells, "Test faces by attribute", names=2)
    return section("attributes", "By attribute", tag("p", prose(said)), lines)


def _score(row: Row, which: str) -> str:
    low, high = row[f"{which}_accuracy_low"], row[f"{which}_accuracy_high"]
    ends = "" if low is None else f" [{percent(low)}, {percent(high)}]"
    return percent(row[f"{which}_accuracy"]) + ends
