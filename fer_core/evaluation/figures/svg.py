"""From a matplotlib figure to SVG text that can stand in a page among others, or alone.

Colours become CSS variables with the light colour as fallback: a page that defines `--ink`, `--paper` and so on themes
its figures. Alone, as a file or in an <img>, a figure follows the reader's colour scheme by its own rule for
`svg:root`, which matches nothing inside a page. Texts stay texts, in the page's font. What could reach beyond the
figure is taken out: ids begin with the figure's name and digest, matplotlib's style sheet for `*` is gone.
"""

import hashlib
import io
import re
from xml.etree import ElementTree

from matplotlib.figure import Figure

from fer_core.pages.colours import DARK, VARIABLES

SALT = "fer-road"  # of matplotlib's ids: the same numbers give the same bytes
HALO, TIP = "halo", "tip:"  # ids by which an artist asks for what matplotlib has not

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_FONT = "var(--sans, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif)"
_HALO_STYLE = "paint-order: stroke; stroke: var(--paper, #FFFFFF); stroke-width: 3px; stroke-linejoin: round"


def finished(figure: Figure, name: str, title: str, description: str) -> str:
    """Return the figure as SVG text, from `<svg` to `</svg>` and a line's end, without an XML declaration.

    Args:
        figure: drawn with colours of `VARIABLES` only, 72 px an inch.
        name: of the figure: letters, digits, hyphens.
        title: its name, for screen readers.
        description: what it shows, for screen readers.
    """
    raw = io.StringIO()
    figure.savefig(raw, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(raw.getvalue())
    prefix = f"{name}-{hashlib.sha256((title + raw.getvalue()).encode()).hexdigest()[:8]}"
    _without(root, "metadata")
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', raw.getvalue()))
    for element in list(root.iter()):
        element.tag = element.tag.removeprefix(_NAMESPACE)
        _clean(element, prefix, used)
    for definitions in root.findall("defs"):
        for sheet in definitions.findall("style"):
            definitions.remove(sheet)
    view = root.get("viewBox", "0 0 1 1")
    root.attrib.clear()
    root.attrib |= {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": view,
        "width": "100%",
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-desc",
        "style": f"font-family: {_FONT}; stroke-linejoin: round; stroke-linecap: butt",
    }
    for place, (tag, words) in enumerate((("title", title), ("desc", description))):
        child = ElementTree.Element(tag, {"id": f"{prefix}-{tag}"})
        child.text = words
        root.insert(place, child)
    rule = ElementTree.Element("style")
    values = "; ".join(f"--{key}: {value}" for key, value in DARK.items())
    rule.text = f"@media (prefers-color-scheme: dark) {{ svg:root {{ {values} }} }}"
    root.insert(2, rule)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _without(root: ElementTree.Element, tag: str) -> None:
    for child in root.findall(_NAMESPACE + tag):
        root.remove(child)


def _clean(element: ElementTree.Element, prefix: str, used: set[str]) -> None:
    """Rewrite one element's attributes; what only says what SVG says anyway is left out."""
    identity = element.attrib.pop("id", None)
    if identity in used:
        element.set("id", f"{prefix}-{identity}")
    elif identity == HALO:
        element.set("style", _HALO_STYLE)
    elif identity is not None and identity.startswith(TIP):
        child = ElementTree.Element("title")
        child.text = identity.removeprefix(TIP)
        element.insert(0, child)
    if _LINK in element.attrib:
        element.set("href", f"#{prefix}-{element.attrib.pop(_LINK).removeprefix('#')}")
    if "clip-path" in element.attrib:
        element.set("clip-path", element.attrib["clip-path"].replace("url(#", f"url(#{prefix}-"))
    if "style" in element.attrib:
        element.set("style", _themed(element.attrib["style"]))
    for key in ("d", "x", "y", "width", "height", "transform"):
        if key in element.attrib:
            element.set(key, re.sub(r"-?\d+\.\d+", _short, element.attrib[key]).replace("\n", "").strip())
    if re.fullmatch(r"rotate\(-?0 .*\)", element.get("transform", "")):
        del element.attrib["transform"]
    for key in ("text", "tail"):
        words = getattr(element, key)
        if words is not None and not words.strip():
            setattr(element, key, "\n" if key == "tail" and element.tag in ("g", "defs") else None)


def _themed(style: str) -> str:
    """Put variables in the place of colours, and leave the family of a font to the page."""
    style = re.sub(r"font: (?:(bold|\d00) )?([\d.]+px) [^;]*", _font, style)  # as matplotlib 3.9 writes it
    style = re.sub(r"font-family: [^;]*;? ?", "", style)
    return re.sub(r"#[0-9a-fA-F]{6}\b", _variable, style)


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1]}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}"


def _variable(found: re.Match[str]) -> str:
    colour = found[0].upper()
    return f"var(--{VARIABLES[colour]}, {colour})" if colour in VARIABLES else found[0]


def _short(found: re.Match[str]) -> str:
    """A hundredth of a px is finer than any screen, and the same on every machine."""
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
