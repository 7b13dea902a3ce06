"""The table, the bounds and the file of results."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.speed.measure import CEILING, OURS, Comparison, Spread
from fer_core.files import write_json

HEAD = ("part", "case", "side", "a second", "of the ceiling", "ours is times as fast", "MiB")
NONE = "–"


@dataclass(frozen=True)
class Bound:
    """What the median of a ratio has to reach: of our rate and another side's, in the same rounds."""

    part: str
    case: str
    beside: str
    least: float

    def judge(self, comparison: Comparison) -> tuple[str, float | None]:
        """Return PASS, MISSED or NOT MEASURED, and the median."""
        ratios = comparison.ratios(OURS, self.beside)
        if not ratios:
            return "NOT MEASURED", None
        found = median(ratios)
        return ("PASS" if found >= self.least else "MISSED"), found


def verdicts(comparisons: Sequence[Comparison], bounds: Sequence[Bound]) -> list[dict[str, object]]:
    """Return, of every bound whose case was measured, what it asks, what came, and whether that is enough."""
    rows = []
    for bound in bounds:
        for comparison in comparisons:
            if (comparison.part, comparison.case) == (bound.part, bound.case):
                word, found = bound.judge(comparison)
                rows.append(asdict(bound) | {"median": found, "verdict": word})
    return rows


def sentence(verdict: dict[str, object]) -> str:
    """Return a verdict in words.

    Example:
        >>> sentence({"part": "training", "case": "a 64 px", "beside": "ceiling", "least": 0.9, "median": 0.95,
        ...           "verdict": "PASS"})
        'PASS  training, a 64 px: 0.950 times ceiling, at least 0.9 asked'
    """
    found = verdict["median"]
    told = "beside" if found is None else f"{found:.3f} times"
    asked = f"at least {verdict['least']:g} asked"
    return f"{verdict['verdict']}  {verdict['part']}, {verdict['case']}: {told} {verdict['beside']}, {asked}"


def lines(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the table's rows of one case, a side each, in the order of `HEAD`."""
    rows: list[tuple[str, ...]] = []
    for side, rates in comparison.rates.items():
        memory = comparison.memory.get(side)
        rows.append(
            (
                comparison.part,
                comparison.case,
                side,
                _rate(median(rates)) if rates else NONE,
                _spread(comparison.ratios(side, CEILING), side == CEILING),
                _spread(comparison.ratios(OURS, side), side in (OURS, CEILING)),
                NONE if memory is None else f"{memory:.0f}",
            )
        )
    for side, why in comparison.missing.items():
        rows.append((comparison.part, comparison.case, side, f"not measured: {why}", "", "", ""))
    return rows


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _spread(ratios: Sequence[float], itself: bool) -> str:
    if not ratios or itself:
        return NONE
    found = Spread.of(ratios)
    return f"{found.median:.2f} [{found.least:.2f}, {found.most:.2f}]"


def table(comparisons: Sequence[Comparison]) -> str:
    """Return all rows under one head, columns aligned; what is said again in the next row is left out."""
    rows = [row for comparison in comparisons for row in lines(comparison)]
    whole = [row for row in rows if row[4]]  # a reason takes the room of the columns behind it
    widths = [max(len(row[k]) for row in [HEAD, *whole]) for k in range(len(HEAD))]
    widths[2] = max(len(row[2]) for row in [HEAD, *rows])
    out, last = [], ("", "")
    for row in [HEAD, *rows]:
        shown = row if row[:2] != last else ("", "", *row[2:])
        last = (row[0], row[1])
        cells = [
            cell.ljust(width) if k < 3 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(shown, widths, strict=True))
        ]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def summary(comparison: Comparison) -> dict[str, object]:
    """Return a case for the file of results: every round's rate, medians, and the ratios with their spread."""
    ratios: dict[str, object] = {}
    for side in comparison.rates:
        for other in (CEILING, OURS):
            found = comparison.ratios(side, other)
            if found and side != other:
                ratios[f"{side} / {other}"] = asdict(Spread.of(found)) | {"rounds": found}
    return asdict(comparison) | {
        "median_rates": {side: median(rates) for side, rates in comparison.rates.items() if rates},
        "ratios": ratios,
    }


def write(
    path: Path, machine: dict[str, object], comparisons: Sequence[Comparison], judged: Sequence[dict[str, object]]
) -> None:
    """Write the file of results."""
    rows = [summary(comparison) for comparison in comparisons]
    write_json(path, {"machine": machine, "comparisons": rows, "bounds": list(judged)})
