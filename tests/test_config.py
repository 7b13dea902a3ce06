"""params.yaml is typed: a wrong key or value is refused by its name, with the valid ones."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer_core.config import CHOICE_KEYS, load_params
from fer_core.errors import ConfigError

PARAMS = Path(__file__).parents[1] / "params.yaml"
RAW: dict[str, Any] = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))


def changed(dotted: str, value: Any) -> dict[str, Any]:
    """The real params.yaml with one key set."""
    params = copy.deepcopy(RAW)
    *parents, last = dotted.split(".")
    place = params
    for key in parents:
        place = place[key]
    place[last] = value
    return params


@pytest.mark.parametrize("profile", sorted(RAW["profiles"]))
def test_the_real_file_loads_under_every_profile(profile: str) -> None:
    loaded = load_params(changed("profile", profile))
    assert loaded.active_profile.size == RAW["profiles"][profile]["size"]
    assert set(loaded.backbones) <= set(loaded.active_profile.models)
    assert set(CHOICE_KEYS) <= set(RAW), "every key of a recipe stands in the file, where it is documented"
    assert loaded.choices.loss == RAW["loss"] and loaded.choices.ssl.method == RAW["ssl"]["method"]


@pytest.mark.parametrize("data", ["standin", "rafce", "fer2013", "ferplus"])
def test_every_data_set_and_limit_loads(data: str) -> None:
    assert load_params(changed("data", data) | {"limit": 3000}).limit == 3000


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("los", "loss"),
        ("ssl.epoch", "epochs"),
        ("identity.scal", "scale"),
        ("stack.fold", "folds"),
        ("tta.view", "views"),
        ("roadmap.attention.claim", "claimed"),
        ("profiles.smoke.sise", "size"),
        ("profiles.demo.train.epoch", "epochs"),
        ("profiles.gpu.models.vit.lrr", "lr"),
        ("runs.baseline.sources", "source"),
        ("ladder.vit.afters", "after"),
    ],
)
def test_an_unknown_key_is_refused_wherever_it_stands_and_the_nearest_named(key: str, near: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_params(changed(key, 1))
    assert f"got {key.rsplit('.', 1)[-1]!r}" in str(error.value)
    assert f"Did you mean '{near}'?" in str(error.value)
    if "." in key:
        assert key.rsplit(".", 1)[0] in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", "zero", "a whole number"),
        ("seed", 1.5, "a whole number"),
        ("seed", True, "a whole number"),
        ("limit", "3k", "a whole number"),
        ("lr", "fast", "a number"),
        ("au_weight", None, "a number or text"),
        ("au_weight", False, "a number or text"),
        ("loss", 3, "text"),
        ("loss", None, "text"),
        ("ssl.method", ["byol"], "text"),
        ("ssl", "byol", "a mapping"),
        ("roadmap.vit.enabled", "yes", "true or false"),
        ("roadmap.vit.set", "vit", "a mapping"),
        ("roadmap.vit.claimed", 5, "a list"),
        ("stack.method", ["mean"], "text"),
        ("tta.views", "flip", "a whole number or a list of names"),
        ("tta.views", 7.5, "a whole number or a list of names"),
        ("tta.views", ["identity", 3], "a whole number or a list of names"),
        ("tta.weights", 1, "text"),
        ("stack.members", ["vit"], "a mapping"),
        ("profiles.smoke.models.vit.args", 8, "a mapping"),
        ("backbones", "resnet", "a list"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_its_key(key: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_params(changed(key, value))
    assert f"`{key}` to be {expected}; got {value!r}" in str(error.value)


def test_an_entry_of_a_list_is_named_by_its_place() -> None:
    with pytest.raises(ConfigError, match=r"`backbones\[1\]` to be text; got 3"):
        load_params(changed("backbones", ["resnet", 3]))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("stack.method", "greed", "`stack.method` to be one of auto, greedy, .*got 'greed'. Did you mean 'greedy'"),
        ("tta.weights", "learnt", "`tta.weights` to be one of learned, mean; got 'learnt'. Did you mean 'learned'"),
        ("tta.views", ["identity", "flip", "larger", "darker", "crop"], "`tta.views` to be one of .*got 'crop'"),
        ("tta.views", ["flip", "identity", "larger", "darker", "smaller"], "to begin with identity; got"),
        ("tta.views", ["identity", "flip", "flip", "darker", "smaller"], "to name each view once; got"),
        ("tta.views", ["identity", "flip"], "between 5 and 10 views; got"),
        ("tta.views", [], r"between 5 and 10 views; got \[\]"),
    ],
)
def test_a_way_of_voting_or_a_view_that_does_not_exist_is_refused(key: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_params(changed(key, value))


def test_views_may_be_named() -> None:
    names = ["identity", "flip", "crop_centre", "crop_top_right", "crop_bottom_left"]
    assert load_params(changed("tta.views", names)).tta.views == names


def test_whole_numbers_are_numbers_too() -> None:
    assert isinstance(load_params(changed("au_weight", 1)).choices.au_weight, float)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limit", 0),
        ("epochs", 0),
        ("batch_size", -4),
        ("lr", 0.0),
        ("ssl.epochs", 0),
        ("ssl.batch_size", 0),
        ("ssl.momentum", 1.1),
        ("identity.epochs", -1),
        ("identity.scale", 0),
        ("au_weight", -0.1),
        ("focal_gamma", -1),
        ("label_smoothing", 1.0),
        ("cb_beta", 1.0),
        ("tta.views", 4),
        ("tta.views", 11),
        ("stack.folds", 1),
        (f"profiles.{RAW['profile']}.size", 0),
        (f"profiles.{RAW['profile']}.train.epochs", 0),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_key(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"`{key}` to be"):
        load_params(changed(key, value))


@pytest.mark.parametrize(
    ("key", "value"), [("tta.views", 5), ("tta.views", 10), ("cb_beta", 0), ("limit", 1), ("ssl.momentum", 1)]
)
def test_the_ends_of_a_range_are_allowed(key: str, value: float) -> None:
    load_params(changed(key, value))


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"demo, gpu, gpu48, smoke; got 'smok'\. Did you mean 'smoke'"):
        load_params(changed("profile", "smok"))


@pytest.mark.parametrize("key", ["loss", "seed", "roadmap", "ssl.lr", "roadmap.vit.title", "profiles.gpu.train.lr"])
def test_a_missing_key_is_named(key: str) -> None:
    params = copy.deepcopy(RAW)
    *parents, last = key.split(".")
    place = params
    for name in parents:
        place = place[name]
    del place[last]
    with pytest.raises(ConfigError, match=f"`{key}` is missing from params.yaml"):
        load_params(params)


def test_the_file_documents_every_key_where_it_stands() -> None:
    """A top-level key has a comment on its line, or one above its block."""
    lines = PARAMS.read_text(encoding="utf-8").splitlines()
    for key in ("data", "limit", "profile", "seed", "ssl", "identity", "stack", "tta", "loss", "sampler", "mix"):
        row = next(number for number, line in enumerate(lines) if line.startswith(f"{key}:"))
        nearby = lines[row : row + 2] if lines[row].rstrip().endswith(":") else lines[row : row + 1]
        assert any("#" in line for line in nearby), key
