"""Print what `fer check` found, at most 100 columns wide in a pipe."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages.lib.console import fill

Facts = dict[str, Any]
_AUS_IN_A_ROW = 5


def show(out: Console, facts: Facts) -> None:
    """Print the facts of `stages.check`: of a folder, table, label file or archive."""
    out.print(Text(facts["title"], style="bold"), Text(f"  {facts['path']}", style="dim"), sep="")
    if facts.get("because"):
        out.print(Text(f"{facts['because']} is a file of this set; its whole folder was read."))
    if facts["kind"] == "archive":
        _archive(out, facts)
    elif facts["kind"] == "label file":
        _label_file(out, facts)
    else:
        if table := facts.get("table"):
            _table(out, table)
        if "counts" in facts:
            _set(out, facts)
    _list(out, "note", facts.get("notes", []), "dim")
    _problems(out, facts)
    if facts.get("params"):
        out.print(Text("\nparams.yaml (set these keys, leave the others)", style="bold"))
        for line in facts["params"]:
            out.print(Text(f"  {line}"), soft_wrap=True)
    if facts.get("place"):
        out.print(Text("where the pipeline looks for it", style="bold"))
        out.print(Text(f"  {facts['place']}"), soft_wrap=True)
    if facts.get("next"):
        out.print(Text(f"next: {facts['next']}"), soft_wrap=True)


def _set(out: Console, facts: Facts) -> None:
    pictures = facts["pictures"]
    rows = f"{facts['rows']} pictures" + (
        f", {facts['frames']} frames of {facts['clips']} clips" if facts["clips"] else ""
    )
    if facts["labels_only"]:
        rows = f"{facts['rows']} labels without pictures; that is valid, but nothing can be trained on them"
    elif pictures["missing"]:
        rows += f" ({pictures['missing']} of them missing)"
    out.print(Text(rows))
    if facts["also"]:
        out.print(Text(f"could also be read with --as {' or '.join(facts['also'])}", style="dim"))
    for name, what in facts.get("files", {}).items():
        out.print(Text(f"  {name}: {what}", style="dim"))
    if facts["counts"]:
        _counts(out, facts)
    nulls = ", ".join(f"{name} {count}" for name, count in facts["nulls"].items())
    out.print(Text(f"\nnulls, of {facts['rows'] + facts['frames']} rows: {nulls}"))
    for source, found in facts["aus"].items():
        title = f"AUs ({source}): {found['annotated']} pictures annotated, {100 * found['coverage']:.1f} % of all"
        _aus(out, title, found)
    if facts["sizes"]:
        _sizes(out, facts["sizes"])


def _counts(out: Console, facts: Facts) -> None:
    counts = facts["counts"]
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    table.add_column("class")
    for split in counts:
        table.add_column(split, justify="right")
    for name in next(iter(counts.values())):
        table.add_row(Text(name), *(str(of[name]) for of in counts.values()))
    table.add_row("all", *(str(sum(of.values())) for of in counts.values()), style="bold")
    out.print()
    out.print(table)
    if facts["imbalance"]:
        where = "train" if "train" in counts else "all"
        out.print(Text(f"imbalance of {where}: the largest class is {facts['imbalance']:.1f} times the smallest"))


def _aus(out: Console, title: str, found: Facts) -> None:
    out.print(Text(f"\n{title}"))
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False)
    for _ in range(_AUS_IN_A_ROW):
        table.add_column()
        table.add_column(no_wrap=True)
    cells = [
        (name, f"{of['positive']} ({100 * of['positive'] / of['annotated']:.1f}%)" if of["annotated"] else "none")
        for name, of in found["active"].items()
    ]
    rows = -(-len(cells) // _AUS_IN_A_ROW)
    for start in range(rows):
        table.add_row(*(part for cell in cells[start::rows] for part in cell))
    out.print(table)


def _sizes(out: Console, sizes: Facts) -> None:
    modes = ", ".join(f"{name} {count}" for name, count in sizes["modes"].items())
    line = f"\n{sizes['sampled']} pictures looked at"
    if "width" in sizes:
        low, middle, high = (f"{w} x {h}" for w, h in zip(sizes["width"], sizes["height"], strict=True))
        line += f": width x height {low} (least), {middle} (median), {high} (most); modes {modes}"
    out.print(Text(line + (f"; {sizes['turned']} turned by EXIF" if sizes["turned"] else "")))


def _table(out: Console, table: Facts) -> None:
    out.print(Text(f"{table['rows']} rows, columns {', '.join(table['columns'])}"))
    for role, column in table["mapping"].items():
        out.print(Text(f"  {role}: `{column}`"))
    for what in ("classes", "splits"):
        if table[what]:
            out.print(Text(f"{what}: " + ", ".join(f"{name or '(empty)'} {k}" for name, k in table[what].items())))
    if table["empty"]:
        out.print(Text("empty cells: " + ", ".join(f"{name} {count}" for name, count in table["empty"].items())))


def _label_file(out: Console, facts: Facts) -> None:
    out.print(Text(f"{facts['rows']} lines"))
    for what in ("classes", "splits", "votes"):
        if what in facts:
            title = "mean votes" if what == "votes" else what
            out.print(Text(f"{title}: " + ", ".join(f"{name} {count}" for name, count in facts[what].items())))
    if "aus" in facts:
        _aus(out, f"AUs: {facts['aus']['annotated']} of {facts['aus']['rows']} pictures annotated", facts["aus"])


def _archive(out: Console, facts: Facts) -> None:
    out.print(Text(f"{facts['files']} files, {facts['size'] / 1e6:.1f} MB unpacked"))
    for name, count in facts["folders"].items():
        out.print(Text(f"  {name}/  {count} files"))
    out.print(Text("endings: " + ", ".join(f"{name or '(none)'} {count}" for name, count in facts["endings"].items())))


def _problems(out: Console, facts: Facts) -> None:
    if "problems" not in facts:
        return
    if not facts["problems"]:
        out.print(Text("\nno problems found", style="green"))
        return
    count = len(facts["problems"])
    out.print(Text(f"\n{count} problem{'s' * (count > 1)}", style="bold yellow"))
    for problem in facts["problems"]:
        out.print(Text(fill(problem, out.width, "  ! ")), soft_wrap=True)


def _list(out: Console, title: str, lines: list[str], style: str) -> None:
    for line in lines:
        out.print(Text(fill(line, out.width, f"{title}: "), style=style), soft_wrap=True)
