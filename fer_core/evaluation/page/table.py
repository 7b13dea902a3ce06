"""The gains table: grouped by view, filtered and sorted by the page's script."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fer_core.evaluation import gains
from fer_core.evaluation.figures.words import gain_words, number, signed
from fer_core.evaluation.head import percent
from fer_core.evaluation.page.content import Row
from fer_core.evaluation.table import VIEWS, claim_text, title_text
from fer_core.pages.html import Child, Markup, tag

MISSING = "–"
FILTERS = {"all": "all", "phase": "phases", "alone": "alone", "ladder": "ladder"}
FILTERS |= {"without": "leave-one-out", "vote": "votes", "clip": "clips"}
MARKS = {  # a sign and a word; colour only repeats them
    gains.HARMFUL: ("▼", "bad"),
    gains.UNCERTAIN: ("○", "none"),
    gains.BELOW: ("△", "below"),
    gains.COMPATIBLE: ("●", "some"),
    gains.ABOVE: ("▲", "good"),
    gains.HELPS: ("▲", "good"),
    gains.REFERENCE: ("◆", "none"),
    gains.NOT_APPLICABLE: ("–", "none"),
}


@dataclass(frozen=True)
class Column:
    """A column: its title, what a cell shows, and what it is sorted by (None is last), and which way first."""

    title: str
    show: Callable[[Row], Child]
    key: Callable[[Row], float | str | None]
    first: str = "descending"
    text: bool = False
    hint: str | None = None


def gains_table(rows: Sequence[Row]) -> Markup:
    """Return the filter and the table of all `rows` of metrics/gains.json, the baseline above its groups.

    Keys that a row lacks are shown as missing.
    """
    baseline = [row for row in rows if row["technique"] == "baseline"]
    parts = {view: [row for row in rows if row["view"] == view and row not in baseline] for view in VIEWS}
    parts = {view: part for view, part in parts.items() if part}
    compared = [view for view in parts if view in ("phase", "alone", "ladder")]
    bodies = [_group("Baseline", compared, baseline)]
    bodies += [_group(VIEWS[view], [view], part) for view, part in parts.items()]
    heads = (
        tag(
            "th",
            tag("button", column.title, type="button", title=column.hint),
            scope="col",
            aria_sort="none",
            class_=None if column.text else "number",
            data_kind="text" if column.text else "number",
            data_first=column.first,
        )
        for column in _columns((-1.0, 1.0))
    )
    table = tag("table", tag("thead", tag("tr", *heads)), *bodies)
    box = tag("div", table, class_="box gains", role="region", aria_label="Gains table", tabindex=0)
    return Markup(_filter(parts) + box + tag("p", "", id="sorted", role="status"))


def _filter(views: Iterable[str]) -> Markup:
    offered = [view for view in FILTERS if view == "all" or view in views]
    chosen = "alone" if "alone" in offered else "all"
    choices = (
        tag(
            "label",
            tag("input", type="radio", name="view", value=view, checked=view == chosen),
            tag("span", FILTERS[view]),
        )
        for view in offered
    )
    return tag("fieldset", tag("legend", "Show"), *choices, class_="filter", hidden=True)


def _group(title: str, views: Sequence[str], rows: Sequence[Row]) -> Markup:
    columns = _columns(_scale(rows))
    head = tag("tr", tag("th", tag("span", title), colspan=len(columns), scope="rowgroup"), class_="group")
    return tag("tbody", head, *(_line(row, columns) for row in rows), data_views=" ".join(views))


def _line(row: Row, columns: Sequence[Column]) -> Markup:
    cells = []
    for place, column in enumerate(columns):
        key = column.key(row)
        value = "" if key is None else key if isinstance(key, str) else repr(float(key))
        shape = {"class_": None if column.text else "number", "data_value": value}
        name = {"scope": "row"} if place == 0 else {}
        cells.append(tag("td" if place else "th", column.show(row), **shape, **name))
    return tag("tr", *cells, class_="off" if row["verdict"] == gains.NOT_APPLICABLE else None)


def _columns(bars: tuple[float, float]) -> list[Column]:
    def plain(key: str, text: Callable[[float], str]) -> tuple[Callable[[Row], Child], Callable[[Row], float | None]]:
        return lambda row: MISSING if _value(row, key) is None else text(number(row, key)), lambda row: _value(row, key)

    def share(value: float) -> str:
        return f"{100 * value:.1f}"

    return [
        Column("Technique", _name, lambda row: title_text(dict(row)), "ascending", text=True),
        Column("Accuracy %", *plain("accuracy", share), hint="Share of test faces named rightly"),
        Column("UAR %", *plain("uar", share), hint="Mean recall of the classes"),
        Column("Macro-F1 %", *plain("macro_f1", share), hint="Mean F1 of the classes"),
        Column("Gain, points [95 %]", lambda row: _gain(row, bars), lambda row: _value(row, "gain")),
        Column("Seed SD", _seeds, lambda row: _value(row, "seed_sd"), hint="Of accuracy over seeds, points"),
        Column("Claimed", lambda row: claim_text(dict(row)), lambda row: _value(row, "claimed_low")),
        Column("Verdict", _verdict, lambda row: str(row["verdict"]), "ascending", text=True),
        Column("p", *plain("p_value", _p), first="ascending", hint="McNemar's exact test"),
        Column("p, Holm", *plain("p_adjusted", _p), first="ascending", hint="Corrected for all rows of the table"),
        Column("Train s", _seconds, _cost, hint="Beyond the reference; + pretraining and synthesis"),
        Column("Parameters", *plain("parameters", _thousands)),
        Column("ms a face", *plain("milliseconds_per_face", lambda value: f"{value:.2f}"), first="ascending"),
        Column("Points a minute", *plain("gain_per_minute", signed), hint="Gain for each minute of training"),
        Column("ECE %", _calibration, lambda row: _value(row, "ece"), "ascending", hint="As is → temperature scaled"),
        Column("Alarms", _alarms, lambda row: float(len(row["alarms"]))),
    ]


def _value(row: Row, key: str) -> float | None:
    value = number(row, key)
    return None if math.isnan(value) else value


def _name(row: Row) -> Child:
    kept = {True: " · kept", False: " · not kept"}.get(row.get("kept"), "")  # type: ignore[arg-type]
    return (title_text(dict(row)), tag("small", kept) if kept else None)


def _gain(row: Row, bars: tuple[float, float]) -> Child:
    if _value(row, "gain") is None:
        return MISSING
    return (gain_words(row), _bar(row, *bars))


def _scale(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the ends of the little axes in the cells, in points: the same for all `rows`; they hold 0."""
    ends = [number(row, key) for row in rows for key in ("gain_low", "gain_high")]
    known = [end for end in ends if not math.isnan(end)]
    return min([*known, -1.0]), max([*known, 1.0])


def _bar(row: Row, left: float, right: float) -> Markup:
    """Draw a gain and its interval on an axis from `left` to `right` points; 0 is the grey line."""
    places = [106 * (number(row, key) - left) / (right - left) + 3 for key in ("gain_low", "gain_high", "gain")]
    low, high, middle = (f"{place:.1f}" for place in places)
    zero = f"{106 * -left / (right - left) + 3:.1f}"
    colour = {"bad": "vermilion", "none": "grey"}.get(MARKS[str(row["verdict"])][1], "blue")
    return Markup(
        f'<svg class="bar" viewBox="0 0 112 14" aria-hidden="true"><path d="M{zero} 0V14" stroke="var(--grey)"/>'
        f'<path d="M{low} 7H{high}" stroke="var(--{colour})" stroke-width="3"/>'
        f'<circle cx="{middle}" cy="7" r="4" fill="var(--{colour})"/></svg>'
    )


def _seeds(row: Row) -> Child:
    if _value(row, "seed_sd") is None:
        return MISSING
    whose = "baseline's" if row.get("seed_sd_of") == "baseline" else f"{row['seeds']} seeds"
    return (f"±{row['seed_sd']:.1f} ", tag("small", whose))


def _verdict(row: Row) -> Child:
    sign, kind = MARKS.get(str(row["verdict"]), ("", "none"))
    reason = tag("small", row["reason"]) if row.get("reason") else None
    return tag("span", tag("i", sign, aria_hidden="true"), row["verdict"], reason, class_=f"verdict {kind}")


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}" if value < 0.01 else f"{value:.2f}"


def _cost(row: Row) -> float | None:
    train = _value(row, "train_seconds")
    return None if train is None else train + (_value(row, "pretrain_seconds") or 0.0)


def _seconds(row: Row) -> Child:
    if row["train_seconds"] is None:
        return MISSING
    before = _value(row, "pretrain_seconds") or 0.0
    return f"{row['train_seconds']:,.0f}" + (f" + {before:,.0f}" if before >= 0.5 else "")


def _thousands(value: float) -> str:
    return f"{value / 1e6:.1f} M" if value >= 1e6 else f"{value / 1e3:.0f} k" if value >= 1e3 else f"{value:.0f}"


def _calibration(row: Row) -> Child:
    before, after = row.get("ece"), row.get("ece_scaled")
    return MISSING if before is None else f"{percent(before)} → {percent(after)}"


def _alarms(row: Row) -> Any:
    alarms = row["alarms"]
    if not alarms:
        return "0"
    return tag("details", tag("summary", str(len(alarms))), tag("ul", *(tag("li", alarm) for alarm in alarms)))
