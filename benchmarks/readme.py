"""README's tables from the last road's metrics: `python -m benchmarks.readme` after `make repro` on the default."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from fer_core.errors import DataError
from fer_core.evaluation.head import limits_sentence, percent
from fer_core.evaluation.table import claim_text, gain_text, line, title_text, verdict_text
from fer_core.files import read_json, write_text

README, GAINS = Path("README.md"), Path("metrics/gains.json")
STACKS = {"alone": "On the baseline", "ladder": "On the ladder", "final": "Last rung", "library": "All runs"}
METHODS = {
    "mean": "Simple averaging",
    "voting": "Majority voting",
    "weighted": "Weighted voting",
    "greedy": "Greedy selection",
    "logistic": "Stacking",
}
VIEWS = {"baseline": "the baseline", "single": "the ladder's best member", "stack": "the ladder's ensemble"}

app = typer.Typer(add_completion=False)


def gains_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the baseline, the phases, every technique alone and the clip track, as lines of Markdown."""
    lines = [line(["", "Accuracy %", "UAR %", "Macro-F1 %", "Gain, points [95 %]", "Claimed", "Verdict"])]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | :--- |")
    for row in rows:
        if row["view"] in ("vote", "without") or (row["view"] == "ladder" and row["technique"] != "baseline"):
            continue
        name = {"alone": f"{title_text(dict(row))}, alone", "clip": title_text(dict(row))}.get(
            str(row["view"]), f"**{title_text(dict(row))}**"
        )
        scores = [percent(row[key]) for key in ("accuracy", "uar", "macro_f1")]
        told = [gain_text(dict(row)), claim_text(dict(row)), verdict_text(dict(row))]
        lines.append(line([name, *scores, *told]))
    return lines


def votes_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the gain of every way to vote over the best member, and of views over one view; `*` was taken."""
    found = {row["technique"]: row for row in rows if row["view"] == "vote"}

    def cell(name: str) -> str:
        row = found.get(name)
        return "–" if row is None else gain_text(dict(row)) + ("\\*" if "(taken)" in row["title"] else "")

    lines = [line(["Over the best member, points [95 %]", *STACKS.values()]), "| --- |" + " ---: |" * len(STACKS)]
    lines += [line([words, *(cell(f"stack_{stack}_{key}") for stack in STACKS)]) for key, words in METHODS.items()]
    lines += [
        "",
        line(["Over one view, points [95 %]", "Equal weights", "Learned weights", "ms a face: one view, all"]),
    ]
    lines.append("| --- | ---: | ---: | ---: |")
    for key, words in VIEWS.items():
        one, all_views = found.get(f"tta_{key}_reference"), found.get(f"tta_{key}_mean")
        if one is not None and all_views is not None:
            cost = ", ".join(f"{row['milliseconds_per_face']:.2f}" for row in (one, all_views))
            lines.append(line([f"Views of {words}", cell(f"tta_{key}_mean"), cell(f"tta_{key}_learned"), cost]))
    return lines


@app.command()
def main(readme: Path = README, gains: Path = GAINS) -> None:
    """Put the tables between README's marks."""
    rows, text = read_json(gains), readme.read_text(encoding="utf-8")
    limits = limits_sentence(read_json(gains.with_name("summary.json")))
    blocks = {"table": gains_table(rows), "limits": [limits or ""], "votes": votes_table(rows)}
    for name, lines in blocks.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise DataError(f"Expected {readme} to have the marks {begin} and {end} once each.")
        before, rest = text.split(begin)
        shown = "\n".join(lines)
        text = f"{before}{begin}\n{shown}\n{end}{rest.split(end)[1]}"
    write_text(readme, text)


if __name__ == "__main__":
    app()
