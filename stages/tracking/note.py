"""What stands above the run table on MLflow's page: the headline, and the table once more as Markdown."""

from fer_core.evaluation.head import gap_sentence, headline, limits_sentence, percent
from fer_core.evaluation.table import claim_text, gain_text, kept_text, title_text, verdict_text
from stages.tracking.inputs import Inputs, Row
from stages.tracking.view import view_path

LIMIT = 4900  # characters; servers before MLflow 3.5 or so refuse an experiment tag of more than 5,000
_HEAD = "| | accuracy % | gain, points [95 %] | claimed | verdict | kept |"
_RULE = "|---|---:|---:|---:|---|---|"


def note(inputs: Inputs, experiment_id: str) -> str:
    """Return the experiment's note: headline, phases, where the saved view is, then the rest of the table."""
    notes = [f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in inputs.road.get("notes") or []]
    notes += [said for said in (gap_sentence(inputs.summary), limits_sentence(inputs.summary)) if said]
    text = "\n\n".join(
        [
            _headline(inputs),
            *([" ".join(notes)] if notes else []),
            f"[The run table with the gains' columns]({view_path(experiment_id).removeprefix('/')}): "
            "accuracy, UAR and macro-F1 in percent, gains and their 95 % interval in points. The same view is "
            "*gains* in the menu at the top right.",
            _table(inputs.rows),
        ]
    )
    if len(text) <= LIMIT:
        return text
    cut = text[:LIMIT].rpartition("\n")[0]
    return f"{cut}\n\nThe whole table is `gains.md`, an artifact of the run *Baseline*."


def row_name(row: Row) -> str:
    """Return a row's name: phases by number, techniques with the view that they stand in."""
    if row["view"] == "phase" or row["technique"] == "baseline":
        return title_text(row)
    return f"{row['view']}: {title_text(row)}"


def claimed(row: Row) -> str:
    """Return the claimed range as in the report; nothing where nothing is claimed."""
    return "" if row.get("claimed_low") is None else claim_text(row)


def _headline(inputs: Inputs) -> str:
    """Return the one line that shows while the note is folded: from baseline to final, and each phase's part."""
    text = headline(inputs.summary, inputs.road).replace("->", "→")
    phases = []
    for row in (row for row in inputs.rows if row["view"] == "phase"):
        name = f"phase {row['phase']}" if str(row["phase"]).isdigit() else str(row["phase"])
        phases.append(f"{name} {'–' if row['gain'] is None else format(row['gain'], '+.1f')}")
    return " · ".join([text[:1].upper() + text[1:], *phases])


def _table(rows: list[Row]) -> str:
    lines = [_HEAD, _RULE]
    for row in rows:
        cells = [
            row_name(row),
            percent(row["accuracy"]),
            gain_text(row),
            claimed(row),
            verdict_text(row),
            kept_text(row),
        ]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
