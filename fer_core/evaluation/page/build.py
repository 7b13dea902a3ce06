"""The page, section by section."""

from collections.abc import Mapping

from fer_core.evaluation.final_recipe import recipe_lines
from fer_core.evaluation.page.attributes import attribute_section
from fer_core.evaluation.page.content import Content
from fer_core.evaluation.page.data_card import data_section
from fer_core.evaluation.page.faces import attention_section, hardest_section
from fer_core.evaluation.page.head import head
from fer_core.evaluation.page.table import gains_table
from fer_core.pages.frame import frame
from fer_core.pages.html import Markup, figure, prose, section, table, tag
from fer_core.pages.script import GAINS

_READING = (
    "A gain is in points of accuracy over the row's reference on the same faces: a phase over what stood before it, a "
    "technique alone over the baseline, a rung over the rungs kept before it. The bar shows its 95 % interval; the "
    "upright line is 0. p is McNemar's exact test; Holm's correction holds it honest over all rows of the table. ECE "
    "is the expected calibration error before → after temperature scaling. A column's head sorts within each group."
)


def page(content: Content, drawn: Mapping[str, tuple[str, str]]) -> str:
    """Return reports/index.html. `drawn` are the figures of `fer_core.evaluation.page.figures.draw`."""

    def shown(*names: str, shape: str = "figures") -> Markup:
        return tag("div", *(figure(*drawn[name]) for name in names if name in drawn), class_=shape)

    recipe = [line[2:] for line in recipe_lines(content.road, content.states, content.runs, content.final) if line[2:]]
    end = tag("ul", *(tag("li", prose(line)) for line in recipe[1:]), class_="notes")
    left = tag("div", figure(*drawn["ladder"]), tag("h3", "The final recipe"), end)
    right = tag("div", figure(*drawn["alone"]), figure(*drawn["cost"]))
    ladder = section("ladder", "The ladder", tag("div", left, right, class_="figures"))
    confusion = shown("confusion-baseline", "confusion-final", "confusion-difference", shape="figures three")
    sections = [
        ("ladder", "Ladder", ladder),
        ("gains", "Table", section("gains", "Gains", tag("p", _READING), gains_table(content.rows))),
        ("confusion", "Confusion", section("confusion", "Which classes are confused", confusion)),
        ("classes", "Classes", section("classes", "Classes and confidence", shown("recall", "calibration"))),
        ("training", "Training", section("training", "Training", shown("learning", "learning-ladder"))),
        ("hardest", "Hardest faces", hardest_section(content)),
        ("attention", "Attention", attention_section(content)),
        ("attributes", "Attributes", attribute_section(content.slices)),
        ("data", "Data", data_section(content)),
        ("environment", "Environment", _environment(content.environment)),
    ]
    title = f"Gains: {content.card.get('title') or content.road['data']}, {content.road['profile']}"
    footer = tag("p", prose("Made by `stages.page`; it needs no network and no other file."))
    return frame(title, head(content), sections, footer, GAINS)


def _environment(environment: Mapping[str, str]) -> Markup:
    rows = [[name, value] for name, value in environment.items()]
    return section("environment", "Environment", table(["", ""], rows, "What made this page", names=2))
