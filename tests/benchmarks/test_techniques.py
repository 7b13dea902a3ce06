"""What docs/techniques.md says was measured is what was; every variant is a recipe that resolves."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.techniques import BEGIN, DOCUMENT, END, GROUPS, RESULTS, _recipe, tables, write_document
from fer_core.errors import DataError

ROOT = Path(__file__).parents[2]


def test_the_document_shows_the_figures_that_are_committed() -> None:
    results = json.loads((ROOT / RESULTS).read_text(encoding="utf-8"))
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    assert text.split(BEGIN)[1].split(END)[0].strip() == tables(results)


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
    path.write_text(f"# Title\n{BEGIN}\n")
    with pytest.raises(DataError, match="marks"):
        write_document({}, path)
    assert path.read_text() == f"# Title\n{BEGIN}\n"
