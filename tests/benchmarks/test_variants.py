"""What docs/techniques.md says was measured is what was; every variant is a recipe that resolves."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.techniques import DOCUMENT, GROUPS, RESULTS, _recipe, gave, tables, write_document
from fer_core.errors import DataError

ROOT = Path(__file__).parents[2]


def shown(name: str) -> str:
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    return text.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].strip()


def test_the_document_shows_the_figures_that_are_committed() -> None:
    assert shown("variants") == tables(json.loads((ROOT / RESULTS).read_text(encoding="utf-8")))


def test_the_document_shows_the_gains_that_are_published() -> None:
    """The README's table is of the same road, and stays when a road of one's own replaces metrics/gains.json."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line.strip("|").split("|") for line in shown("gave").splitlines()[2:]]
    assert len(lines) == 9
    for cells in lines:
        title, gain, _, claimed, verdict = (cell.strip() for cell in cells)
        assert f"| {title}, alone |" in readme
        row = next(line for line in readme.splitlines() if line.startswith(f"| {title}, alone |"))
        assert row.endswith(f"| {gain} | {claimed} | {verdict} |")


def test_gains_are_told_alone_and_on_the_ladder() -> None:
    row = {"title": "Votes", "technique": "votes", "gain": 1.0, "gain_low": -1.0, "gain_high": 3.0, "phase": "beyond"}
    row |= {"claimed_low": None, "claimed_high": None, "verdict": "not distinguishable from 0", "reason": None}
    rows = [row | {"view": "alone"}, row | {"view": "ladder", "kept": False, "gain": -2.0}, row | {"technique": "vit"}]
    (line,) = gave(rows[:2]).splitlines()[2:]
    assert line == "| Votes | +1.0 [-1.0, 3.0] | -2.0 [-1.0, 3.0], not kept | – | not distinguishable from 0 |"


@pytest.mark.parametrize(("group", "variant"), [(g, v) for g, variants in GROUPS.items() for v in variants])
def test_every_variant_resolves_to_a_recipe_of_its_own(
    group: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    change: dict[str, Any] = GROUPS[group][variant]
    recipe = _recipe(change, 3)
    assert recipe.seed == 3
    assert all(getattr(recipe, key) == value for key, value in change.items())
    assert not change or recipe != _recipe({}, 3)


def test_the_figures_of_every_variant_are_those_that_its_keys_gave() -> None:
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))
    for group, variants in results.items():
        for name, entry in variants.items():
            assert entry["set"] == GROUPS[group][name], f"{group}: {name} was measured with other keys"


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "techniques.md"
    path.write_text("# Title\n<!-- variants -->\n")
    with pytest.raises(DataError, match="marks"):
        write_document({}, [], path)
    assert path.read_text() == "# Title\n<!-- variants -->\n"
