"""The members of params.yaml: different networks and strategies, valid whatever the ladder has kept before."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer_core.config import load_params
from fer_core.recipe import Recipe, merged, resolve

PARAMS = load_params(yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")))
BASELINE = asdict(PARAMS.choices)
KEPT = {name: technique.set for name, technique in PARAMS.roadmap.items() if technique.kind == "recipe"}
RUNGS = [name for name in PARAMS.ladder if name in KEPT]


def member(name: str, kept: list[str]) -> Recipe:
    """The member's recipe where these techniques are kept."""
    choices: dict[str, Any] = BASELINE
    for technique in kept:
        choices = merged(choices, KEPT[technique])
    return resolve(merged(choices, PARAMS.stack.members[name]), PARAMS.active_profile, PARAMS.seed)


@pytest.mark.parametrize("name", PARAMS.stack.members)
def test_each_is_valid_beside_every_technique_and_the_whole_ladder(name: str) -> None:
    for kept in ([], *([technique] for technique in KEPT), RUNGS, list(KEPT)):
        recipe = member(name, kept)
        assert {key: getattr(recipe, key) for key in PARAMS.stack.members[name]} == PARAMS.stack.members[name]


def test_they_differ_in_network_and_in_strategy() -> None:
    recipes = [member(name, []) for name in PARAMS.stack.members]
    assert len({recipe.backbone for recipe in recipes}) == len(recipes)
    assert len({(recipe.au_weight, recipe.attention, recipe.sampler) for recipe in recipes}) == len(recipes)


def test_none_has_the_recipe_of_the_baseline() -> None:
    baseline = resolve(BASELINE, PARAMS.active_profile, PARAMS.seed)
    assert all(member(name, []) != baseline for name in PARAMS.stack.members)
