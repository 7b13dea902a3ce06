"""The figures as a table in docs/standin.md, and the contact sheets as reports/standin.html."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.standin.sheets import html_of, sheets
from fer_core.errors import DataError
from fer_core.files import write_text
from fer_core.standin.config import VERSION, StandinConfig

BEGIN, END = "<!-- measured -->", "<!-- /measured -->"

_STYLE = """body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; }
table { border-collapse: collapse; } th { text-align: right; padding: 0 .6rem; font-weight: 500; white-space: nowrap; }
td { padding: 0; line-height: 0; } h2 { margin: 2.2rem 0 .6rem; font-size: 1.1rem; }
img { display: block; max-width: 100%; }"""


def page(config: StandinConfig) -> str:
    """Return the contact sheets as one HTML page without anything outside it."""
    head = (
        f"<p><strong>Generated faces, not people.</strong> Stand-in version {VERSION}, difficulty {config.difficulty}, "
        f"seed {config.seed}. Figures and how they were measured: docs/standin.md.</p>"
    )
    parts = [f"<title>The stand-in</title><style>{_STYLE}</style><h1>The stand-in</h1>", head]
    parts += [html_of(sheet) for sheet in sheets(config)]
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><meta charset="utf-8">\n{body}\n</html>\n'


def write_table(document: Path, results: Mapping[str, Any]) -> None:
    """Put the figures between the document's marks.

    Raises:
        DataError: the document lacks the marks.
    """
    text = document.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise DataError(f"Expected {document} to have the marks {BEGIN} and {END} once each.")
    before, rest = text.split(BEGIN)
    write_text(document, f"{before}{BEGIN}\n{tables(results)}\n{END}{rest.split(END)[1]}")


def tables(results: Mapping[str, Any]) -> str:
    """Return the figures as Markdown; parts that were not measured are left out."""
    writers = {
        "baseline": _baseline,
        "difficulties": _difficulties,
        "ceiling": _ceiling,
        "frequencies": _frequencies,
        "shortcuts": _shortcuts,
        "reader": _reader,
        "detection": _detection,
        "alignment": _alignment,
    }
    head = f"Stand-in version {results['version']}, difficulty {results['difficulty']}, seed {results['seed']}."
    return "\n\n".join([head, *(write(results[name]) for name, write in writers.items() if name in results)])


def _baseline(found: Mapping[str, Any]) -> str:
    rows = [
        [f"seed {row['seed']}", *(_percent(row[key]) for key in ("accuracy", "uar", "macro_f1", "train_accuracy"))]
        for row in found["seeds"]
    ]
    mean = f"{_percent(found['mean_accuracy'])} ± {_percent(found['standard_deviation'])}"
    title = f"### The baseline on validation: {mean} %"
    return _section(title, ["", "Accuracy %", "UAR %", "Macro-F1 %", "On train %"], rows)


def _difficulties(found: Mapping[str, Any]) -> str:
    rows = [[name, _percent(row["mean_accuracy"]), str(len(row["seeds"]))] for name, row in found.items()]
    return _section("### The same baseline at other difficulties", ["", "Validation accuracy %", "Seeds"], rows)


def _ceiling(found: Mapping[str, Any]) -> str:
    words = {"intensities": "true intensities", "aus": "true binary AUs", "labels": "the coder's labels"}
    rows = []
    for name, by_draws in found.items():
        for draws, scores in by_draws.items():
            cells = [f"{_percent(scores[key]['accuracy'])} / {_percent(scores[key]['macro_f1'])}" for key in words]
            rows.append([f"{name}, {int(draws):,} draws", *cells])
    return _section("### The ceiling: accuracy / macro-F1 %, given", ["", *words.values()], rows)


def _frequencies(found: Mapping[str, Any]) -> str:
    rows = [
        ["P(AU written given the class), mean absolute difference", f"{found['mean_absolute_difference']:.3f}"],
        ["the same, classes weighted by size", f"{found['mean_absolute_difference_weighted_by_class']:.3f}"],
        [f"largest difference: {found['where_largest']}", f"{found['largest_difference']:.2f}"],
        ["share of `null`, mean absolute difference", f"{found['null_share_difference']:.3f}"],
        ["AUs per face", f"{found['aus_per_face']:.2f} (RAF-CE {found['aus_per_face_published']:.2f})"],
    ]
    return _section("### Labels beside RAF-CE's", ["", "Here"], rows)


def _shortcuts(found: Mapping[str, Any]) -> str:
    rows = [[name, f"{value:.3f}"] for name, value in found.items()]
    return _section("### Shortcuts: balanced accuracy of a linear probe (chance 0.071)", ["", "Here"], rows)


def _reader(found: Mapping[str, Any]) -> str:
    rows = [[name, f"{row['auc']:.3f}", f"{row['faces']:,}"] for name, row in found.items()]
    lowest = min(found.values(), key=lambda row: row["auc"])["auc"]
    title = f"### AUs read again by a model of other people: lowest area under the curve {lowest:.3f}"
    return _section(title, ["", "AUC", "Faces that show it"], rows)


def _detection(found: Mapping[str, Any]) -> str:
    rows = [["all", f"{_percent(found['found'])}"], *([name, _percent(x)] for name, x in found["bins"].items())]
    title = (
        f"### MTCNN finds {_percent(found['found'])} % of {found['faces']:,} faces "
        f"(median error of its points {100 * found['point_error']:.1f} % of the eye distance)"
    )
    return _section(title, ["", "Found %"], rows)


def _alignment(found: Mapping[str, Any]) -> str:
    value, low, high = found["difference"]
    rows = [
        ["annotated landmarks", _percent(found["landmarks"])],
        [f"MTCNN's points ({found['not_found']} not found: wrong)", _percent(found["mtcnn"])],
        ["difference, points", f"{value:+.1f} [{low:.1f}, {high:.1f}], p = {found['p']:.2f}"],
    ]
    return _section(f"### The same model, the same {found['faces']:,} faces, aligned by", ["", "Accuracy %"], rows)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _section(title: str, header: list[str], rows: list[list[str]]) -> str:
    lines = [title, "", _line(header), _line(["---", *["---:"] * (len(header) - 1)]), *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
