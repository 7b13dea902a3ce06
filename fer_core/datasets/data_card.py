"""The data card `reports/data.html`: what a data set is, holds, lacks, and cannot tell.

After Gebru et al., "Datasheets for Datasets", Communications of the ACM 2021: where it is from, what it is composed of,
how it was labelled, what should not be done with it; and all that can be counted is counted. Where several sets are
joined, the whole comes first and then a section of each. Of the test split only its size is told. One HTML file that
needs no network and no other file.
"""

from collections.abc import Callable

import pandas as pd

from fer_core.datasets.card_page.about import GENERATED, about, dropped, notes
from fer_core.datasets.card_page.classes import beside, classes
from fer_core.datasets.card_page.content import KNOWN, Content
from fer_core.datasets.card_page.limits import limits_list
from fer_core.datasets.card_page.pictures import MOST, attributes, quality, samples
from fer_core.datasets.card_page.units import units
from fer_core.datasets.card_page.votes import votes
from fer_core.errors import DataError
from fer_core.pages.frame import frame
from fer_core.pages.html import Markup, facts, prose, section, tag
from fer_core.pages.leaks import leaks

Section = tuple[str, str, Markup]
_PARTS: dict[str, tuple[str, Callable[[Content], list[Markup]]]] = {
    "classes": ("Classes", classes),
    "people": ("Pictures and people", beside),
    "votes": ("Votes", votes),
    "units": ("Action Units", lambda content: units(content, whole=False)),
    "quality": ("Picture quality", quality),
    "attributes": ("Attributes", attributes),
    "dropped": ("Left out", dropped),
}


def data_card(content: Content) -> str:
    """Return the page.

    Raises:
        DataError: the manifest names crops that the faces do not hold.
    """
    highest = content.table["crop_index"].max()
    if pd.notna(highest) and highest >= len(content.faces):
        raise DataError(
            f"The manifest names crop {highest}, faces.npy holds {len(content.faces)}; align must run again."
        )
    sections = _of_one(content) if len(content.sources) == 1 else _of_several(content)
    footer = (
        "Made by `stages.datacard`; it needs no network and no other file. It shows faces of the data: it goes where "
        "they may go, and no further."
    )
    title = f"Data card: {content.card.get('title') or ' + '.join(content.sources)}"
    return frame(title, _head(content, title), sections, tag("p", prose(footer)))


def _head(content: Content, title: str) -> Markup:
    warning = tag("p", prose(GENERATED), class_="warning", role="note") if content.generated else Markup("")
    sizes = {split: len(content.labelled(split)) for split in (*KNOWN, "test")}
    said = {"test": "labels locked away"}
    told = [
        (f"{split} pictures".capitalize(), f"{number:,}", said.get(split, "usable, with a label"))
        for split, number in sizes.items()
    ]
    names = "; ".join(content.classes[:3]) + (" …" if len(content.classes) > 3 else "")
    told.append(("Classes", str(len(content.classes)), names))
    if content.pool():
        told.append(("Pool", f"{content.pool():,}", "pictures without a label"))
    return Markup(tag("h1", title) + tag("div", warning) + facts(*told))


def _of_one(content: Content) -> list[Section]:
    source = content.sources[0]
    found = [_section("about", "About", about(source, content.infos.get(source)))]
    for name, (title, part) in _PARTS.items():
        found.append(_section(name, title, units(content) if name == "units" else part(content)))
    found.insert(-1, _section("samples", "Sample faces", samples(content)))
    return [*found, *_last(content)]


def _of_several(content: Content) -> list[Section]:
    whole: dict[str, tuple[str, Callable[[Content], list[Markup]]]] = {
        **{name: _PARTS[name] for name in ("classes", "people")},
        "units": ("Action Units", units),
    }
    found = [_section(name, f"{title}, all sets", part(content)) for name, (title, part) in whole.items()]
    for place, source in enumerate(content.sources):
        own, info = content.of(source), content.infos.get(source)
        pieces = about(source, info)
        for title, part in _PARTS.values():
            pieces += [tag("h3", title), *part(own)]
        pieces += [tag("h3", "Sample faces"), *samples(own, most=MOST // len(content.sources))]
        found.append(_section(f"set-{place}", info.title if info else source, pieces))
    return [*found, *_last(content)]


def _last(content: Content) -> list[Section]:
    guard = leaks(content.leakage) if content.leakage is not None else [tag("p", "No leakage guard has run.")]
    return [
        _section("leaks", "Leaks", guard),
        _section("notes", "Notes", notes(content)),
        _section("limits", "Limits", limits_list(content), "What these data cannot tell"),
    ]


def _section(name: str, short: str, pieces: list[Markup], title: str | None = None) -> Section:
    return name, short, section(name, title or short, *pieces)
