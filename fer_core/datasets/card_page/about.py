"""What a data set is, where its licence is told, and on what its reader was tried."""

from fer_core.datasets.card_page.content import Content
from fer_core.datasets.dataset import Info
from fer_core.pages.html import Child, Markup, prose, table, tag
from fer_core.pages.rejects import by_reason

GENERATED = (
    "These faces are **generated**: no person is shown. They are a test bench for the pipeline, never evidence about "
    "people or about a published data set."
)


def about(source: str, info: Info | None) -> list[Markup]:
    """Return what the registry tells of a data set."""
    if info is None:
        return [tag("p", f"Nothing is known of a data set called {source}: its reader left the registry.")]
    rows: list[list[Child]] = [
        ["Name in params.yaml", tag("code", source)],
        ["Licence and terms", prose(info.page)],
        ["How to obtain", prose(info.obtain)],
        ["Files expected", [tag("div", prose(line)) for line in info.files]],
        ["What its reader was tried on", prose(info.verified)],
    ]
    return [tag("div", table(["", ""], rows, info.title, names=2), style="max-width:900px")]


def notes(content: Content) -> list[Markup]:
    """Return the sentences that ingest and the AU join wrote."""
    said = [str(note) for note in [*content.card.get("notes", []), *content.aus.get("notes", [])]]
    if not said:
        return [tag("p", "Nothing more was noted while reading.")]
    return [tag("ul", *(tag("li", prose(note)) for note in said), class_="notes")]


def dropped(content: Content) -> list[Markup]:
    """Return how many pictures are not used, by reason and split."""
    lost = content.table[content.table["drop_reason"].notna()]
    if lost.empty:
        return [tag("p", "No picture was left out.")]
    said = f"{len(lost):,} of {len(content.table):,} pictures are not used."
    return [tag("p", said), by_reason(lost, "Pictures left out")]
