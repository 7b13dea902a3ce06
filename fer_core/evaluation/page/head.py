"""The top of the page: what was gained, how sure that is, and what the data are."""

from collections.abc import Sequence

from fer_core.evaluation.figures.words import signed
from fer_core.evaluation.head import data_notes, headline, percent
from fer_core.evaluation.page.content import Content, Row
from fer_core.pages.html import Child, Markup, prose, tag

_LEVEL = 0.05  # of the corrected p


def head(content: Content) -> Markup:
    """Return title, headline, the few numbers that count, and the notes, those of the data first and apart."""
    summary = content.summary
    about = data_notes(content.road, content.card)
    warning = tag("p", prose(" ".join(about[:1])), class_="warning", role="note") if about else None
    title = f"What each technique gave on {content.card.get('title') or content.road['data']}"
    line = headline(summary, content.road).replace("->", "→").replace("[-", "[−")
    rest = [note for note in content.notes if note not in about[:1]]
    return Markup(
        tag("h1", title)
        + tag("p", prose(line[:1].upper() + line[1:] + "."), class_="lead")
        + tag("div", warning)
        + tag("dl", *_facts(content), class_="facts")
        + tag("ul", *(tag("li", prose(note)) for note in rest), class_="notes")
    )


def _facts(content: Content) -> Sequence[Markup]:
    summary = content.summary
    interval = f"{summary['final_gain_low']:.1f} to {summary['final_gain_high']:.1f} with 95 % confidence"
    rungs = [row for row in content.rows if row["view"] == "ladder" and row["kept"] is not None]
    alone = [row for row in content.rows if row["view"] == "alone" and row["gain"] is not None]
    sure = sum(row["gain_low"] > 0 for row in alone)
    held = sum(row["gain_low"] > 0 and (row.get("p_adjusted") or 0.0) < _LEVEL for row in alone)
    tests = f"{len({(row['predictor'], row['reference']) for row in content.rows if row['gain'] is not None})} tests"
    found = [
        _fact("Baseline", f"{percent(summary['baseline_accuracy'])} %", _other(summary, "baseline")),
        _fact("Final", f"{percent(summary['final_accuracy'])} %", _other(summary, "final")),
        _fact("Gain, points of accuracy", signed(summary["final_gain"]), interval.replace("-", "−")),
        _fact("Rungs kept", f"{summary['rungs_kept']} of {len(rungs)}", "decided on validation faces"),
        _fact(
            "Alone, interval above 0", f"{sure} of {len(alone)}", f"{held} of them after Holm's correction for {tests}"
        ),
    ]
    if summary.get("detectable_gain") is not None:
        few = f"smaller ones mostly escape {summary['n_test']} test faces"
        found.append(_fact("Minimum detectable gain", f"{summary['detectable_gain']:.1f} points", few))
    if summary.get("baseline_seed_sd") is not None:
        seeds = f"standard deviation over {summary['baseline_seeds']} seeds of the baseline"
        found.append(_fact("Spread over seeds", f"±{summary['baseline_seed_sd']:.1f} points", seeds))
    found.append(_fact("Predictors with alarms", summary["alarmed"], "opened in the table's last column"))
    return found


def _other(summary: Row, which: str) -> str:
    return f"UAR {percent(summary[f'{which}_uar'])} %, macro-F1 {percent(summary[f'{which}_macro_f1'])} %"


def _fact(name: str, value: Child, more: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value, tag("small", more)))
