"""A recipe is complete, holds only what does something, and its names are those of the registries."""

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer_core.choices import NAMES, SSL_KEYS, SSL_METHODS
from fer_core.config import ModelConfig, Params, load_params
from fer_core.errors import ConfigError, Contradiction
from fer_core.recipe import Recipe, merged, missing_for, resolve

PARAMS = load_params(yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8")))
CARD = {
    "aus": True,
    "identities": True,
    "clips": False,
    "votes": True,
    "vote_names": ["sadness", "anger", "fear"],
    "classes": ["sadly angry", "sadly fearful"],
    "train_counts": [582, 6],
}


def recipe(params: Params = PARAMS, **changes: Any) -> Recipe:
    return resolve(merged(asdict(params.choices), changes), params.active_profile, params.seed)


def test_names_are_those_of_the_registries() -> None:
    from fer_core.augment import AUGMENTS
    from fer_core.augment.mixing import MIXES
    from fer_core.losses import LOSSES
    from fer_core.losses.au import AU_LOSSES
    from fer_core.meta import METAS
    from fer_core.models import ATTENTIONS, AU_HEADS, HEADS
    from fer_core.pretraining import SELF_SUPERVISED
    from fer_core.sampling import SAMPLERS
    from fer_core.targets import TARGETS
    from fer_core.training.optim import OPTIMIZERS, SCHEDULES

    registries: dict[str, Any] = {
        "loss": LOSSES,
        "au_loss": AU_LOSSES,
        "head": HEADS,
        "au_head": AU_HEADS,
        "target": TARGETS,
        "meta": METAS,
        "sampler": SAMPLERS,
        "augment": AUGMENTS,
        "mix": MIXES,
        "attention": ATTENTIONS,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
    }
    for key, registry in registries.items():
        assert set(NAMES[key]) == set(registry), key
    assert set(SSL_METHODS) == {"none", *SELF_SUPERVISED}


def test_the_ways_of_voting_allowed_are_those_that_exist() -> None:
    from fer_core.config import STACK_METHODS
    from fer_core.ensemble import METHODS

    assert ("auto", *METHODS) == STACK_METHODS


def test_the_views_and_their_weights_allowed_are_those_that_exist() -> None:
    from fer_core.config import TTA_VIEWS, TTA_WEIGHTS
    from fer_core.tta import FEWEST, MOST, VIEWS
    from fer_core.views import WEIGHTINGS

    assert (FEWEST, MOST) == (5, 10)
    assert tuple(VIEWS) == TTA_VIEWS
    assert tuple(WEIGHTINGS) == TTA_WEIGHTS


@pytest.mark.parametrize("key", sorted(NAMES))
def test_an_unknown_name_is_refused_with_the_nearest(key: str) -> None:
    valid = NAMES[key][-1]
    with pytest.raises(ConfigError, match=f"`{key}` to be one of .*{valid}.*Did you mean '{valid}'"):
        recipe(**{key: valid[:-1] if len(valid) > 2 else valid + "x"})


def test_an_unknown_self_supervised_method_and_key_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`ssl\.method`.*Did you mean 'byol'"):
        recipe(ssl={"method": "bylo"})
    with pytest.raises(ConfigError, match=r"key of ssl.*Did you mean 'method'"):
        recipe(ssl={"methd": "byol"})
    with pytest.raises(ConfigError, match="Did you mean 'loss'"):
        recipe(los="ce")


def test_merging_goes_key_by_key_and_changes_neither() -> None:
    base = {"loss": "ce", "ssl": {"method": "none", "lr": 0.1}}
    change = {"ssl": {"method": "byol"}, "weights": None}
    assert merged(base, change) == {"loss": "ce", "ssl": {"method": "byol", "lr": 0.1}, "weights": None}
    assert base["ssl"] == {"method": "none", "lr": 0.1}
    assert merged({"a": {"b": 1}}, {"a": 2}) == {"a": 2}


def test_the_recipe_wins_over_the_model_entry_and_that_over_the_profile() -> None:
    profile = replace(
        PARAMS.active_profile,
        models={"resnet": ModelConfig("test_resnet"), "vit": ModelConfig("test_vit", lr=0.5, warmup_epochs=0)},
    )
    params = replace(PARAMS, profiles={PARAMS.profile: profile})
    common = profile.train
    assert recipe(params).lr == common.lr
    vit = recipe(params, backbone="vit")
    assert (vit.lr, vit.warmup_epochs, vit.epochs) == (0.5, 0, common.epochs)
    assert recipe(params, backbone="vit", lr=0.25).lr == 0.25
    assert recipe(params, warmup_epochs=0).warmup_epochs == 0, "0 is a value, not an absence"
    assert recipe(params, ssl={"method": "byol"}).ssl.epochs == profile.ssl_epochs
    assert recipe(params, ssl={"method": "byol", "epochs": 77}).ssl.epochs == 77


def test_any_timm_name_is_a_backbone() -> None:
    found = recipe(backbone="convnext_atto")
    assert (found.timm, found.model_args, found.lr) == ("convnext_atto", {}, PARAMS.active_profile.train.lr)


@pytest.mark.parametrize(
    ("idle", "used_with"),
    [
        ({"cb_beta": 0.5}, {"loss": "cb"}),
        ({"focal_gamma": 5.0}, {"loss": "focal"}),
        ({"mix_alpha": 0.9}, {"mix": "mixup"}),
        ({"cb_beta": 0.5}, {"drw": 0.8}),
        ({"focal_gamma": 5.0}, {"loss": "cb_focal"}),
        ({"attention_weight": 5.0}, {"attention": "au_guided"}),
        ({"head_scale": 5.0}, {"head": "cosine"}),
        ({"ldam_margin": 0.1}, {"loss": "ldam"}),
        ({"logit_tau": 0.1}, {"loss": "logit_adjusted"}),
        ({"au_loss": "asymmetric", "au_head": "mlp", "au_intensity": 1.0}, {"au_weight": "uncertainty"}),
        ({"asl_clip": 0.1, "asl_gamma_neg": 1.0}, {"au_weight": 0.5, "au_loss": "asymmetric"}),
        ({"curriculum_start": 0.9, "curriculum_end": 0.9}, {"sampler": "curriculum"}),
        ({"few_shot_weight": 0.1, "episode_ways": 3}, {"few_shot_below": 50}),
        ({"meta_lr": 0.1, "meta_step": 1.0, "meta_per_class": 2, "meta_scope": "all"}, {"meta": "meta_weight"}),
        ({"maml_lr": 0.1, "maml_steps": 2, "maml_weight": 1.0, "episode_shots": 1}, {"meta": "maml"}),
        ({"ssl": {"lr": 0.7, "hidden": 3, "epochs": 9, "momentum": 0.1}}, {"ssl": {"method": "byol"}}),
        ({"ssl": {"temperature": 0.3, "projection": 9, "batch_size": 4}}, {"ssl": {"method": "simclr"}}),
        ({"ssl": {"temperature": 0.3, "queue": 9, "momentum": 0.5}}, {"ssl": {"method": "moco"}}),
        ({"ssl": {"mask_ratio": 0.5, "decoder_dim": 96}}, {"ssl": {"method": "mae"}, "backbone": "vit"}),
    ],
)
def test_a_key_that_does_nothing_does_not_change_the_recipe(idle: dict[str, Any], used_with: dict[str, Any]) -> None:
    assert recipe(**idle) == recipe()
    assert recipe(**merged(used_with, idle)) != recipe(**used_with)


@pytest.mark.parametrize("method", sorted(SSL_KEYS))
def test_a_key_of_another_self_supervised_method_changes_nothing(method: str) -> None:
    others = {"projection": 7, "hidden": 7, "momentum": 0.7, "temperature": 0.7, "queue": 7, "mask_ratio": 0.7}
    others |= {"decoder_dim": 96, "decoder_depth": 7}
    plain = recipe(backbone="vit", ssl={"method": method})
    for key, value in others.items():
        changed = recipe(backbone="vit", ssl={"method": method, key: value})
        assert (changed != plain) == (key in SSL_KEYS[method]), key
        assert getattr(changed.ssl, key) == (value if key in SSL_KEYS[method] else 0), key


def test_the_temperature_is_the_methods_own_unless_given() -> None:
    assert {name: recipe(ssl={"method": name}).ssl.temperature for name in ("simclr", "moco", "byol")} == {
        "simclr": 0.5,
        "moco": 0.2,
        "byol": 0,
    }
    assert recipe(ssl={"method": "moco", "temperature": 0.07}).ssl.temperature == 0.07


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"temperature": 0.0}, "`ssl.temperature` to be between 0.001 and 100; got 0"),
        ({"queue": 0}, "`ssl.queue` to be at least 1"),
        ({"mask_ratio": 1.0}, "`ssl.mask_ratio` to be between 0.01 and 0.99; got 1"),
        ({"decoder_dim": 48}, "`ssl.decoder_dim` to be a multiple of 32; got 48"),
        ({"decoder_dim": 0}, "`ssl.decoder_dim` to be at least 32"),
        ({"decoder_depth": 0}, "`ssl.decoder_depth`"),
        ({"momentum": 1.5}, "`ssl.momentum`"),
    ],
)
def test_impossible_self_supervised_settings_are_refused(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        recipe(ssl=change)


def test_a_masked_autoencoder_needs_a_vision_transformer() -> None:
    mae = {"method": "mae"}
    for backbone in ("resnet", "efficientnet", "eva02_tiny_patch14_224"):
        with pytest.raises(Contradiction, match=f"hides patches of a vision transformer, and `backbone: {backbone}`"):
            recipe(backbone=backbone, ssl=mae)
    for backbone in ("vit", "vit_tiny_patch16_224", "deit_tiny_patch16_224"):
        assert recipe(backbone=backbone, ssl=mae).initial_weights == "ssl"
        assert recipe(backbone=backbone, ssl=mae, init="identity").initial_weights == "ssl_identity"
    assert recipe(backbone="no_such_net", ssl=mae).timm == "no_such_net", "refused later, with the nearest names"
    assert recipe(backbone="resnet", ssl={"method": "moco"}).initial_weights == "ssl"


def test_contradictions_are_refused() -> None:
    with pytest.raises(ConfigError, match="`weights` to name a file exactly when"):
        recipe(init="face")
    with pytest.raises(ConfigError, match="`weights` to name a file exactly when"):
        recipe(weights="a.safetensors")
    with pytest.raises(
        ConfigError, match=r"exactly when .* face, or, .* imagenet; got init 'identity' and weights 'a'"
    ):
        recipe(init="identity", weights="a")
    for changes in (
        {"init": "imagenet"},
        {"init": "imagenet", "weights": "a.safetensors"},
        {"init": "face", "weights": "a.safetensors"},
    ):
        assert recipe(**changes).initial_weights is None
        with pytest.raises(ConfigError, match="both give first weights"):
            recipe(**changes, ssl={"method": "byol"})


def test_initial_weights_are_named() -> None:
    byol = {"method": "byol"}
    assert recipe().initial_weights is None
    assert recipe(ssl=byol).initial_weights == "ssl"
    assert recipe(init="identity").initial_weights == "identity"
    assert recipe(init="identity", ssl=byol).initial_weights == "ssl_identity"


def test_what_fits_into_memory_is_said_to_clips_too() -> None:
    changes = {"temporal": "lstm", "micro_batch": 16, "compile": True, "grad_checkpointing": True}
    made = resolve(merged(asdict(PARAMS.choices), changes), PARAMS.active_profile, PARAMS.seed, clips=True)
    assert (made.micro_batch, made.compile, made.grad_checkpointing) == (16, True, True)


def test_a_recipe_survives_its_file(tmp_path: Path) -> None:
    from fer_core.files import read_yaml, write_yaml

    before = recipe(backbone="vit", ssl={"method": "byol"})
    write_yaml(tmp_path / "recipe.yaml", before.to_dict())
    assert Recipe.from_dict(read_yaml(tmp_path / "recipe.yaml")) == before
    with pytest.raises(ConfigError, match=r"recipe\.lr"):
        Recipe.from_dict({key: value for key, value in before.to_dict().items() if key != "lr"})


def test_what_the_data_lack_is_said() -> None:
    assert missing_for(recipe(au_weight=0.5, init="identity"), CARD) is None
    assert missing_for(recipe(au_weight=0.5), CARD | {"aus": False}) == "no AU labels"
    guided = recipe(attention="au_guided")
    assert missing_for(guided, CARD) is None
    assert missing_for(guided, CARD | {"aus": False}) == "no AU labels"
    assert "weak" in str(missing_for(guided, CARD | {"weak_aus": True}))
    alone = recipe(attention="au_guided", attention_weight=0.0)  # is taught nothing, so needs no AUs
    assert missing_for(alone, CARD | {"aus": False}) is None
    assert missing_for(recipe(au_weight=0.5), CARD | {"weak_aus": True}) is None
    assert missing_for(recipe(init="identity"), CARD | {"identities": False}) == "no identities"
    assert missing_for(recipe(), CARD | {"aus": False, "identities": False}) is None
    assert missing_for(recipe(au_weight="uncertainty"), CARD | {"aus": False}) == "no AU labels"
    assert missing_for(recipe(few_shot_below=6), CARD) == "no class with 2 to 5 train pictures"
    assert missing_for(recipe(few_shot_below=7), CARD) is None
    lonely = CARD | {"train_counts": [582, 1]}
    for episodes in ({"few_shot_below": 600}, {"meta": "maml"}):
        assert missing_for(recipe(**episodes), lonely) == "fewer than two classes with two train pictures"
    assert missing_for(recipe(target="votes"), CARD | {"votes": False}) == "no votes"
    basic = CARD | {"classes": ["anger", "fear"]}
    assert missing_for(recipe(target="compound"), basic) == "its classes are not pairs of basic emotions"
    assert missing_for(recipe(target="compound"), CARD | {"votes": False, "vote_names": None}) is None


def test_a_prototype_head_is_refused_where_it_cannot_learn() -> None:
    for changes in ({"meta": "meta_weight"}, {"meta": "maml"}, {"target": "compound"}):
        with pytest.raises(ConfigError, match="`head: prototype`"):
            recipe(head="prototype", **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"batch_size": 1}, "`batch_size` to be a whole number from 2 on, or auto"),
        ({"lr": float("nan")}, "`lr` to be above 0 and finite"),
        ({"lr": float("inf")}, "`lr` to be above 0 and finite"),
        ({"weight_decay": -1.0}, "`weight_decay` to be at least 0"),
        ({"warmup_epochs": -5}, "`warmup_epochs` to be at least 0"),
        ({"sam": float("inf")}, "`sam` to be at least 0 and finite"),
        ({"few_shot_weight": float("nan")}, "`few_shot_weight` to be at least 0 and finite"),
        ({"au_weight": -0.1}, "`au_weight` to be a number from 0 on, or uncertainty"),
        ({"au_weight": "learned"}, "`au_weight` to be a number from 0 on, or uncertainty"),
        ({"curriculum_start": 0.0, "sampler": "curriculum"}, "`curriculum_start` to be between 0.01 and 1"),
        ({"drw": 1.5}, "`drw` to be between 0 and 1"),
        ({"drop_path": 0.95}, "`drop_path` to be between 0 and 0.9; got 0.95"),
        ({"drop_path": -0.1}, "`drop_path` to be between 0 and 0.9"),
        ({"drop_path": True}, "`drop_path` to be a number"),
        ({"drw": 0.97, "epochs": 10}, "`drw` to leave one of 10 epochs"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_their_key(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        recipe(**changes)


def test_one_cycle_has_no_other_warm_up() -> None:
    assert recipe(schedule="one_cycle", warmup_epochs=5) == recipe(schedule="one_cycle", warmup_epochs=2)
    assert recipe(drw=0.9, epochs=10).drw == 0.9
