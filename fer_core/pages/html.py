"""HTML from plain values: every text is escaped, unless it is `Markup` already.

Names come from the data (classes, techniques, files), and a class may be called `<b>&"`.
"""

import html
import re
from collections.abc import Iterable, Sequence

from fer_core.errors import DataError

_VOID = frozenset({"img", "input", "meta", "br"})


class Markup(str):
    """Text that is HTML already and stands as it is."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def escape(value: Child) -> Markup:
    """Return a child as HTML: None is nothing, `Markup` stays, an iterable is its items, all else is escaped."""
    if value is None:
        return Markup("")
    if isinstance(value, Markup):
        return value
    if isinstance(value, str | int | float):
        return Markup(html.escape(str(value), quote=True))
    return Markup("".join(escape(item) for item in value))


def tag(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """Return an element. `class_` and `for_` lose their underscore, `aria_sort` becomes `aria-sort`.

    An attribute that is None or False is left out; one that is True stands without a value.

    Example:
        >>> tag("td", "a < b", class_="name", data_value=None)
        '<td class="name">a &lt; b</td>'
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        written = key.rstrip("_").replace("_", "-")
        parts.append(written if value is True else f'{written}="{escape(value)}"')
    start = f"<{' '.join(parts)}>"
    return Markup(start if name in _VOID else f"{start}{escape(children)}</{name}>")


def prose(text: str) -> Markup:
    """Return a sentence of reports/gains.md as HTML: escaped, with `code` and **bold** as such.

    Example:
        >>> prose("profile `demo` of **A & B**")
        'profile <code>demo</code> of <strong>A &amp; B</strong>'
    """
    found = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", found))


def table(header: Sequence[str], rows: Iterable[Sequence[Child]], caption: str, names: int = 1) -> Markup:
    """Return a plain table in a box that scrolls sideways: the first `names` columns are text, the others numbers.

    Raises DataError when a row has another number of cells than the header.
    """
    lines = []
    for row in rows:
        if len(row) != len(header):
            raise DataError(f"Expected {len(header)} cells in a row of the table '{caption}'; got {len(row)}.")
        first = tag("th", row[0], scope="row")
        rest = (tag("td", cell, class_=None if place < names else "number") for place, cell in enumerate(row[1:], 1))
        lines.append(tag("tr", first, *rest))
    heads = (
        tag("th", title, scope="col", class_=None if place < names else "number") for place, title in enumerate(header)
    )
    body = tag("table", tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", *lines))
    return tag("div", body, class_="box", role="region", aria_label=caption, tabindex=0)


def figure(svg: str, caption: str) -> Markup:
    """Return a figure, an SVG as text, with the sentence that says what to see in it."""
    return tag("figure", Markup(svg), tag("figcaption", prose(caption)))


def section(name: str, title: str, *children: Child) -> Markup:
    """Return a section that the page's contents lead to by `#name`."""
    return tag("section", tag("h2", title, id=f"{name}-title"), *children, id=name, aria_labelledby=f"{name}-title")


def figures(*drawn: Markup) -> Markup:
    """Return figures side by side where there is room."""
    return tag("div", *drawn, class_="figures three")


def facts(*pairs: tuple[str, str, str]) -> Markup:
    """Return the few numbers at a page's head: (name, number, small words below)."""
    found = (tag("div", tag("dt", name), tag("dd", value, tag("small", prose(more)))) for name, value, more in pairs)
    return tag("dl", *found, class_="facts")
