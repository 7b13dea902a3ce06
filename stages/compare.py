"""Did the change help? Two experiments, row by row on the same test faces.

Reads  metrics/gains.json, data/evaluate/ (faces.parquet, about.json), params.yaml and dvc.lock, each as it was at a
       revision: a DVC experiment, a branch, a commit, or `workspace`.
Writes nothing, or the files that --json and --markdown name.

`fer compare main` sets the workspace against main: A is main, B the workspace, + means that the workspace is better.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from stages.lib.common import DEBUG, stage

if TYPE_CHECKING:
    from fer_core.evaluation.compare import Compared, Row

CODE = ["fer_core", "stages", "dvc.yaml"]

app = typer.Typer(add_completion=False)


@app.command()
@stage
def main(
    exp_a: str = typer.Argument(..., metavar="A", help="What is compared with: experiment, branch or commit."),
    exp_b: str = typer.Argument("workspace", metavar="[B]", help="What may be better; default: the workspace."),
    sort: str = typer.Option("table", help="table (as in the gains table) | gain (largest difference first) | p."),
    view: Optional[list[str]] = typer.Option(  # noqa: UP045
        None, help="Show the rows of this view only: phase, alone, ladder, without, vote, clip; may be repeated."
    ),
    show_all: bool = typer.Option(False, "--all", help="Show rows whose answers are the same, and lists in full."),
    json_file: Optional[Path] = typer.Option(None, "--json", help="Write the rows with all their numbers."),  # noqa: UP045
    markdown_file: Optional[Path] = typer.Option(None, "--markdown", help="Write the comparison as Markdown."),  # noqa: UP045
    resamples: int = typer.Option(10_000, min=100, help="Bootstrap resamples."),
    seed: int = typer.Option(0, help="Seed of the resamples."),
    debug: bool = DEBUG,
) -> None:
    """Compare two experiments on the same test faces: B against A."""
    from fer_core.errors import ConfigError, unknown_name
    from stages.lib.revisions import changed_files, find_revision, repository_root

    if sort not in (known := ("table", "gain", "p")):
        raise unknown_name("--sort", sort, known)
    root = repository_root()
    first, last = find_revision(root, exp_a), find_revision(root, exp_b)
    if first.commit == last.commit:
        what = f"commit {first.commit[:7]}" if first.commit else "workspace"
        raise ConfigError(f"{exp_a} and {exp_b} are the same {what}; there is nothing to compare.")

    from fer_core.evaluation.compare import compare
    from fer_core.evaluation.table import VIEWS
    from fer_core.files import write_json, write_text
    from stages.lib import comparison_text as text
    from stages.lib.experiments import changes, read_experiment

    for name in view or []:
        if name not in VIEWS:
            raise unknown_name("--view", name, VIEWS)
    a, b = read_experiment(root, first), read_experiment(root, last)
    found = compare(a.side, b.side, resamples, seed)
    rows = text.ordered([row for row in found.rows if not view or row["view"] in view], sort)
    params, files = changes(a.params, b.params), changed_files(root, first, last, CODE)
    notes = [*text.stale_lines(exp_a, a.stale), *text.stale_lines(exp_b, b.stale)]
    _show(exp_a, exp_b, found, rows, text.change_lines(params, files, show_all), notes, sort, show_all)
    if json_file:
        told: dict[str, Any] = {"a": exp_a, "b": exp_b, "commit_a": first.commit, "commit_b": last.commit, "n": found.n}
        told |= {"params": {key: list(pair) for key, pair in params.items()}, "files": files, "notes": notes}
        write_json(json_file, told | {"headline": found.headline, "rows": rows, "only": found.only})
    if markdown_file:
        changed = text.change_lines(params, files, all_lines=True)
        write_text(markdown_file, text.markdown(exp_a, exp_b, found, rows, changed, notes))


def _show(
    a: str,
    b: str,
    found: "Compared",
    rows: "list[Row]",
    changed: list[str],
    notes: list[str],
    sort: str,
    show_all: bool,
) -> None:
    """Print the comparison: at most 120 columns where it is piped."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from fer_core.evaluation.compare import SAME
    from stages.lib import comparison_text as text

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(Text(f"{b} against {a}", style="bold"))
    console.print(Text(text.direction(a, b)))
    for line in changed:
        console.print(Text(f"  {line}", style="bold"))
    for note in notes:
        console.print(Text(f"! {note}", style="yellow"))
    shown = [row for row in rows if show_all or row["verdict"] != SAME]
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold", collapse_padding=True)
    table.add_column("", min_width=20)
    for name in text.COLUMNS:
        table.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for row in found.headline:
        _add(table, row, "bold")
    view = None
    for row in shown:
        if sort == "table" and row["view"] != view:
            view = row["view"]
            table.add_section()
            table.add_row(Text(text.view_title(view), style="bold underline"))
        _add(table, row, "", "" if sort == "table" else f" ({row['view']})")
    console.print(table)
    console.print(Text(text.counts_line(rows) + ("" if len(shown) == len(rows) else " (not shown: --all shows them)")))
    for line in text.only_lines(found.only, show_all):
        console.print(Text(line, style="dim"))
    for line in (*text.limit_lines(found), *text.legend([*found.headline, *shown])):
        console.print(Text(line, style="dim"))


def _add(table: Any, row: "Row", style: str, more: str = "") -> None:
    from rich.text import Text

    from fer_core.evaluation.compare import A_BETTER, B_BETTER
    from stages.lib.comparison_text import cells

    words = {B_BETTER: "bold blue", A_BETTER: "bold red"}
    *numbers, told = cells(row)
    verdict = Text(told, style=words.get(row["verdict"], "dim"))
    table.add_row(Text(row["title"] + more, style=style), *numbers, verdict)


if __name__ == "__main__":
    app()
