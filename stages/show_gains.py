"""The gains table on a terminal: what `python -m stages.report --print-only` (`make gains`) shows."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_core.evaluation import gains
from fer_core.evaluation.head import data_notes, gap_sentence, headline, limits_sentence, percent
from fer_core.evaluation.table import VIEWS, claim_text, gain_text, kept_text, score_text, seconds_text, title_text

_PIPE_WIDTH = 120  # where there is no terminal to ask
_SHORT = {  # verdict -> what fits into 100 columns, style
    gains.REFERENCE: ("reference", ""),
    gains.HARMFUL: ("harmful", "bold red"),
    gains.UNCERTAIN: ("not distinguishable", "dim"),
    gains.NOT_APPLICABLE: ("n/a", "dim"),
    gains.BELOW: ("below the claim", "yellow"),
    gains.COMPATIBLE: ("fits the claim", "bold blue"),
    gains.ABOVE: ("above the claim", "bold blue"),
    gains.HELPS: ("above 0", "bold blue"),
}


def show(
    rows: list[dict[str, Any]], summary: dict[str, Any], road: dict[str, Any], reports: Path, faces: str = ""
) -> None:
    """Print the headline, the table and the alarms; rich needs about 100 columns for it.

    `faces` says which test faces the table is of, where it is not of all.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    console.print(Text(headline(summary, road), style="bold"))
    for note in data_notes(road, {}):
        console.print(Text(note, style="italic"))
    if gap := gap_sentence(summary):
        console.print(Text(gap))
    if limits := limits_sentence(summary):
        console.print(Text(limits))
    if faces:
        console.print(Text(f"This table: {faces}.", style="bold yellow"))
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold", collapse_padding=True)
    table.add_column("technique", min_width=20)
    for name in ("acc %", "UAR %", "F1 %", "gain, points [95 %]", "claim"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=16)
    table.add_column("kept", no_wrap=True)
    table.add_column("train s", justify="right", no_wrap=True)
    baseline = [row for row in rows if row["technique"] == "baseline"]
    _add(table, baseline)
    for view, title in VIEWS.items():
        table.add_section()
        table.add_row(Text(title.partition(",")[0].partition(":")[0], style="bold underline"))
        _add(table, [row for row in rows if row["view"] == view and row["technique"] != "baseline"])
    console.print(table)
    # gains.md has those of ways to vote, which mostly repeat their members'
    told = [row for row in rows if row["alarms"] and row["view"] != "vote"]
    for predictor, alarms in {row["predictor"]: row["alarms"] for row in told}.items():
        console.print(Text(f"! {predictor}: {'; '.join(alarms)}", style="yellow"))
    if any(row["kept"] is False for row in rows):
        console.print(
            "not kept: macro-F1 on validation fell by more than a standard error; the ladder goes on without it",
            style="dim",
        )
    more = "; kept or not was decided on all validation faces" if faces else f"; more in {reports / 'gains.md'}"
    console.print(f"n = {summary['n_test']} test pictures{more}", style="dim")


def _add(table: Table, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        mark = " !" if row["alarms"] else ""
        verdict, style = _SHORT[row["verdict"]]
        table.add_row(
            Text(title_text(row) + mark),
            percent(row["accuracy"]),
            score_text(row, "uar"),
            score_text(row, "macro_f1"),
            gain_text(row),
            claim_text(row),
            Text(f"{verdict}: {row['reason']}" if row["reason"] else verdict, style=style),
            kept_text(row),
            seconds_text(row),
        )
