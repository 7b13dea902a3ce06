"""The frame of the page: head, contents, theme button. One file that asks no host for anything.

Its Content-Security-Policy forbids every request; the style, the script and the pictures stand in the page itself.
"""

from collections.abc import Sequence

from fer_core.pages.html import Markup, tag
from fer_core.pages.script import THEME
from fer_core.pages.style import style_sheet

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)


def frame(
    title: str, head: Markup, sections: Sequence[tuple[str, str, Markup]], footer: Markup, script: str = ""
) -> str:
    """Return the whole page.

    Args:
        title: of the window.
        head: what stands above the first section.
        sections: (name, short title for the contents, the section) in their order.
        footer: the last words.
        script: what the page does beside switching its theme.
    """
    links = (tag("li", tag("a", short, href=f"#{name}")) for name, short, _ in sections)
    bar = tag(
        "div",
        tag("nav", tag("ul", *links), aria_label="Contents"),
        tag("button", "Theme", type="button", id="theme", hidden=True, title="Switch between light and dark"),
    )
    body = tag(
        "body",
        tag("a", "Skip to the report", class_="skip", href="#report"),
        tag("header", bar, class_="top"),
        tag("main", head, *(section for _, _, section in sections), id="report"),
        tag("footer", footer),
        tag("script", Markup(THEME + script)),
    )
    meta = (
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(style_sheet())),
    )
    return f"<!DOCTYPE html>\n{tag('html', tag('head', *meta), body, lang='en')}\n"
