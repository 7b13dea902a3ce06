"""The roadmap as plans: one for every run, or the reason why not; changing a key changes what it concerns."""

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer_core import labels
from fer_core.choices import NAMES
from fer_core.clip_track import clip_plans
from fer_core.config import Params, load_params
from fer_core.errors import ConfigError
from fer_core.labels import BASIC_EMOTIONS, RAFCE
from fer_core.recipe import Recipe, merged
from fer_core.roadmap import make_road, plans_from, without_plans
from fer_core.shared_work import pretraining_plan, synthesis_plan

RAW: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
# only the wiring is at stake here, so the plan of the full road under a profile that leaves nothing out
RAW["profile"] = "demo"
STANDIN = {
    "aus": True,
    "identities": True,
    "intensities": True,
    "clips": False,
    "votes": True,
    "vote_names": list(BASIC_EMOTIONS),
    "classes": list(RAFCE.classes),
    "counts": {"train": dict.fromkeys(RAFCE.classes, 30)},
    "notes": ["generated faces, not people"],
}
LACKING: dict[str, Any] = {
    "aus": False,
    "intensities": False,
    "identities": False,
    "clips": False,
    "votes": False,
    "vote_names": None,
}
FER2013 = {
    **LACKING,
    "classes": list(labels.FER2013.classes),
    "counts": {"train": dict.fromkeys(labels.FER2013.classes, 436)},
    "notes": [],
}
TECHNIQUES = [
    "au_multitask",
    "attention",
    "face_pretraining",
    "vit",
    "augmentation",
    "mixing",
    "synthesis",
    "imbalance",
    "few_shot",
    "votes",
    "optimisation",
    "ensemble",
    "tta",
    "self_supervised",
    "au_guided",
    "no_sampler",
    "meta_learning",
    "curriculum",
    "compound",
    "library",
]
TEMPORAL = ["temporal_still", "temporal_lstm", "temporal_tcn", "temporal_transformer", "temporal_conv3d"]
TECHNIQUES += TEMPORAL
NO_CLIPS = dict.fromkeys(TEMPORAL, "no clips")
Plans = dict[str, dict[str, Any]]


def params(edit: Callable[[dict[str, Any]], None] | None = None, **changes: Any) -> Params:
    raw = merged(copy.deepcopy(RAW), changes)
    if edit:
        edit(raw)
    return load_params(raw)


def road(card: dict[str, Any] = STANDIN, loaded: Params | None = None, **changes: Any) -> dict[str, Any]:
    """As `plan` writes it and `select` reads it: through YAML."""
    made = make_road(loaded or params(**changes), card)
    found: dict[str, Any] = yaml.safe_load(yaml.safe_dump(made, sort_keys=False))
    return found


def all_plans(layout: dict[str, Any], **kept: bool) -> Plans:
    """The plans of a ladder on which no rung was kept."""
    sources = dict.fromkeys(layout["runs"].values())
    found: Plans = {}
    for source in sources:
        made = plans_from(source, layout, layout["baseline"], **kept)
        assert not set(made) & set(found), "a run has one source"
        found |= made
    return found


def reasons(layout: dict[str, Any]) -> dict[str, str | None]:
    return {name: technique["reason"] for name, technique in layout["techniques"].items()}


def pretraining(layout: dict[str, Any], loaded: Params | None = None) -> dict[str, list[str]]:
    loaded = loaded or params()
    return {name: pretraining_plan(name, layout, asdict(loaded.identity))["kinds"] for name in loaded.backbones}


def test_every_run_has_one_plan_and_every_technique_its_place() -> None:
    layout = road()
    plans = all_plans(layout)
    assert set(plans) == set(RAW["runs"])
    assert all(plan["applicable"] and plan["reason"] is None for plan in plans.values())
    assert list(layout["techniques"]) == TECHNIQUES
    assert reasons(layout) == dict.fromkeys(TECHNIQUES) | NO_CLIPS
    for name, technique in layout["techniques"].items():
        assert technique["reference_alone"] == ("clips/baseline" if name in TEMPORAL else "train/baseline")
        assert technique["candidate"] == RAW["ladder"].get(name, {}).get("candidate")
    alone = {name: technique["alone"] for name, technique in layout["techniques"].items()}
    assert alone["vit"] == "train/alone-vit"
    assert (alone["ensemble"], alone["tta"], alone["library"]) == ("stack/alone", "tta/baseline", "stack/library")
    assert alone["temporal_lstm"] == "clips/lstm"
    assert layout["notes"] == ["generated faces, not people"]


def test_the_claims_are_those_of_the_document() -> None:
    layout = road()
    claims = {name: technique["claimed"] for name, technique in layout["techniques"].items()}
    assert claims == {
        "au_multitask": [10, 20],
        "attention": [3, 8],
        "face_pretraining": [5, 10],
        "vit": [5, 12],
        "au_guided": [3, 8],
        "augmentation": [2, 5],
        "mixing": [2, 5],
        "synthesis": [2, 5],
        "imbalance": [5, 10],
        "few_shot": [5, 10],
        "meta_learning": [5, 10],
        "curriculum": [5, 10],
        "no_sampler": None,
        "votes": None,
        "compound": None,
        "optimisation": None,
        "ensemble": [3, 7],
        "tta": [1, 3],
        "self_supervised": [5, 10],
        "library": [3, 7],
        **{name: [10, 20] for name in TEMPORAL},
        "temporal_still": None,
    }
    phases = {name: technique["phase"] for name, technique in layout["techniques"].items()}
    assert [name for name in TECHNIQUES if phases[name] == 1] == [*TECHNIQUES[:3], "au_guided"]
    assert [name for name in TECHNIQUES if phases[name] == 2] == [*TECHNIQUES[3:9], "meta_learning", "curriculum"]
    assert [name for name in TECHNIQUES if phases[name] == 3] == ["ensemble", "tta", "self_supervised"]
    assert {name for name in TECHNIQUES if phases[name] == "beyond"} == {"votes", "compound", "optimisation"}
    assert all(claims[name] is None for name in TECHNIQUES if phases[name] == "beyond"), "ours carry no claim"
    assert {phases[name] for name in (*TEMPORAL, "library", "no_sampler")} == {None}
    spans = {number: (phase["from"], phase["to"]) for number, phase in layout["phases"].items()}
    assert spans == {"1": (55, 65), "2": (65, 75), "beyond": (None, None), "3": (75, 80)}


def test_a_technique_alone_changes_the_baseline_by_its_own_keys_only() -> None:
    layout = road()
    plans = all_plans(layout)
    baseline = plans["baseline"]["recipe"]
    expected = {
        "au_multitask": {"au_weight"},
        "attention": {"attention"},
        "face_pretraining": {"init"},
        "au_guided": {"attention", "attention_weight"},
        "augmentation": {"augment"},
        "mixing": {"mix", "mix_alpha"},
        "synthesis": {"synthesis"},
        "imbalance": {"loss", "sampler", "logit_tau"},
        "meta_learning": {"meta", "sampler", "meta_per_class", "meta_lr", "meta_step"},
        "curriculum": {"sampler", "curriculum_start", "curriculum_end"},
        "votes": {"target"},
        "compound": {"target"},
        "self_supervised": {"ssl"},
    }
    for name, keys in expected.items():
        recipe = plans[f"alone-{name}"]["recipe"]
        assert {key for key in recipe if recipe[key] != baseline[key]} == keys, name
    vit = plans["alone-vit"]["recipe"]
    assert {"backbone", "timm"} <= {key for key in vit if vit[key] != baseline[key]}


def test_data_without_aus_identities_and_clips_say_so_row_by_row() -> None:
    layout = road(FER2013)
    expected = {"au_multitask": "no AU labels", "face_pretraining": "no identities", **NO_CLIPS}
    expected |= {"au_guided": "no AU labels", "synthesis": "no class with 1 to 99 train pictures to make faces for"}
    expected["few_shot"] = "no class with 2 to 49 train pictures"
    expected |= {"votes": "no votes", "compound": "its classes are not pairs of basic emotions"}
    assert reasons(layout) == dict.fromkeys(TECHNIQUES) | expected
    plans = all_plans(layout)
    expected["resnet"] = "no AU labels"  # the multi-task member: `current` is the same network without AUs
    for run, plan in plans.items():
        name = run.partition("-")[2]
        assert plan["reason"] == expected.get(name), run
        assert plan["applicable"] is (name not in expected)
        assert (plan["recipe"] is None) is (name in expected)
    assert pretraining(layout) == {name: ["ssl"] for name in RAW["backbones"]}


def test_a_baseline_that_the_data_cannot_train_is_refused() -> None:
    with pytest.raises(ConfigError, match="baseline cannot be trained on data 'fer2013': no AU labels"):
        road(FER2013, data="fer2013", au_weight=0.5)


def test_a_technique_switched_off_says_so() -> None:
    layout = road(roadmap={"attention": {"enabled": False}})
    assert reasons(layout)["attention"] == "switched off in params.yaml"
    assert all_plans(layout)["ladder-attention"]["reason"] == "switched off in params.yaml"


def test_the_smoke_profile_leaves_techniques_and_members_out() -> None:
    layout = road(profile="smoke")
    kept = RAW["profiles"]["smoke"]["techniques"]
    left_out = dict.fromkeys(set(TECHNIQUES) - set(kept), "not in the smoke profile")
    assert reasons(layout) == left_out | dict.fromkeys(kept) | NO_CLIPS
    plans = all_plans(layout)
    members = RAW["profiles"]["smoke"]["members"]
    for name in RAW["stack"]["members"]:
        expected = None if name in members else "not in the smoke profile"
        assert plans[f"base-{name}"]["reason"] == plans[f"final-{name}"]["reason"] == expected


def test_no_clips_is_said_under_every_profile() -> None:
    for profile in RAW["profiles"]:
        assert reasons(road(profile=profile))["temporal_lstm"] == "no clips"


def mine(raw: dict[str, Any]) -> None:
    row = {"phase": None, "title": "Mine", "source": "my notebook", "set": {"loss": "focal", "lr": 0.123}}
    raw["roadmap"]["mine"] = row


def test_a_technique_of_ones_own_is_a_row_and_a_run() -> None:
    def edit(raw: dict[str, Any]) -> None:
        mine(raw)
        raw["runs"]["alone-mine"] = {"source": "plans"}

    layout = road(loaded=params(edit))
    assert list(layout["techniques"]) == [*TECHNIQUES, "mine"]
    found = layout["techniques"]["mine"]
    assert (found["applicable"], found["alone"], found["candidate"]) == (True, "train/alone-mine", None)
    recipe = plans_from("plans", layout, layout["baseline"])["alone-mine"]["recipe"]
    assert (recipe["loss"], recipe["lr"]) == ("focal", 0.123)


def test_a_technique_without_a_run_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"`roadmap\.mine` has no run: add `alone-mine"):
        road(loaded=params(mine))


def _run_without_technique(raw: dict[str, Any]) -> None:
    raw["runs"]["alone-mine"] = {"source": "plans"}


def _rung_without_technique(raw: dict[str, Any]) -> None:
    raw["ladder"]["mine"] = {"after": "data/select/vit", "candidate": "train/ladder-mine"}


def _member_unknown(raw: dict[str, Any]) -> None:
    raw["runs"]["base-mine"] = {"source": "plans"}


def _empty_set(raw: dict[str, Any]) -> None:
    raw["roadmap"]["vit"]["set"] = {}


def _unknown_kind(raw: dict[str, Any]) -> None:
    raw["roadmap"]["vit"]["kind"] = "recipes"


def _typo_in_set(raw: dict[str, Any]) -> None:
    raw["roadmap"]["imbalance"]["set"] = {"los": "cb"}


def _typo_in_value(raw: dict[str, Any]) -> None:
    raw["roadmap"]["imbalance"]["set"] = {"loss": "focl"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_run_without_technique, "'alone-mine', but `roadmap` has no 'mine'"),
        (_rung_without_technique, "the rung 'mine', which `roadmap` lacks"),
        (_member_unknown, "'base-mine', but `stack.members` has no 'mine'"),
        (_empty_set, "`roadmap.vit.set` is empty"),
        (_unknown_kind, "`roadmap.vit.kind` to be one of recipe, ensemble, library, tta, temporal"),
        (_typo_in_set, "Did you mean 'loss'"),
        (_typo_in_value, "Did you mean 'focal'"),
    ],
)
def test_wiring_faults_are_refused_by_name(edit: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        all_plans(road(loaded=params(edit)))


def test_the_ladder_carries_what_was_kept_to_the_next_rung() -> None:
    layout = road()
    kept = merged(layout["baseline"], layout["techniques"]["au_multitask"]["set"])
    plans = plans_from("data/select/au_multitask", layout, kept)
    assert list(plans) == ["ladder-attention"]
    recipe = plans["ladder-attention"]["recipe"]
    assert (recipe["au_weight"], recipe["attention"]) == (0.5, "cbam")
    without = plans_from("data/select/au_multitask", layout, layout["baseline"])["ladder-attention"]["recipe"]
    assert (without["au_weight"], without["attention"]) == (0.0, "cbam")


def test_a_rung_on_the_bare_baseline_is_that_technique_alone() -> None:
    plans = all_plans(road())
    for name in TECHNIQUES[:8]:
        assert plans[f"ladder-{name}"]["recipe"] == plans[f"alone-{name}"]["recipe"]
    assert plans["base-current"]["recipe"] == plans["baseline"]["recipe"]


def test_the_last_rung_retrains_one_model_where_the_ensemble_was_not_kept() -> None:
    layout = road()
    final = [f"final-{name}" for name in ("current", "resnet", "vit", "efficientnet")]
    with_ensemble = plans_from("data/select/tta", layout, layout["baseline"], ensemble=True)
    assert list(with_ensemble) == final
    assert all(plan["recipe"]["ssl"]["method"] == "simclr" for plan in with_ensemble.values())
    assert [with_ensemble[run]["recipe"]["backbone"] for run in final[1:]] == ["resnet", "vit", "efficientnet"]
    single = plans_from("data/select/tta", layout, layout["baseline"], ensemble=False)
    assert single["final-current"]["applicable"]
    assert {single[run]["reason"] for run in final[1:]} == {"the ensemble was not kept"}


def test_without_the_ensemble_only_the_ladders_own_model_is_a_member() -> None:
    layout = road(roadmap={"ensemble": {"enabled": False}})
    plans = all_plans(layout, ensemble=False)
    needed = [run for run, plan in plans.items() if run.split("-")[0] in ("base", "member") and plan["applicable"]]
    assert needed == ["member-current"], "what TTA's rung works on"


def test_without_self_supervision_the_last_rung_trains_nothing() -> None:
    plans = all_plans(road(roadmap={"self_supervised": {"enabled": False}}))
    assert {plan["reason"] for run, plan in plans.items() if run.startswith("final-")} == {
        "switched off in params.yaml"
    }


def off(*names: str) -> dict[str, Any]:
    return {name: {"enabled": False} for name in names}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"roadmap": off("face_pretraining", "self_supervised")}, []),
        ({"roadmap": off("face_pretraining")}, ["ssl"]),
        ({"roadmap": off("self_supervised")}, ["identity"]),
        ({}, ["ssl", "identity", "ssl_identity"]),
        ({"ssl": {"method": "simclr"}}, ["ssl", "ssl_identity"]),
        ({"ssl": {"method": "simclr"}, "roadmap": off("face_pretraining", "self_supervised")}, ["ssl"]),
        ({"init": "identity", "roadmap": off("face_pretraining", "self_supervised")}, ["identity"]),
    ],
)
def test_pretraining_makes_what_some_run_asks_for(changes: dict[str, Any], kinds: list[str]) -> None:
    assert pretraining(road(**changes)) == dict.fromkeys(RAW["backbones"], kinds)


@pytest.mark.parametrize("profile", ["demo", "smoke"])
@pytest.mark.parametrize("kept", [(), ("face_pretraining",), ("vit", "face_pretraining"), tuple(TECHNIQUES)])
def test_every_weight_that_any_run_starts_from_is_made(kept: tuple[str, ...], profile: str) -> None:
    """Whatever the ladder keeps, no run asks for weights that `pretrain` does not make."""
    layout, loaded = road(profile=profile), params(profile=profile)
    made = {(name, kind) for name, kinds in pretraining(layout, loaded).items() for kind in kinds}
    choices = layout["baseline"]
    asked = set()
    for source in dict.fromkeys(layout["runs"].values()):
        rung = source.removeprefix("data/select/")
        if rung in kept and layout["techniques"][rung]["applicable"]:
            choices = merged(choices, layout["techniques"][rung]["set"])
        for plan in plans_from(source, layout, choices).values():
            if plan["applicable"] and (kind := Recipe.from_dict(plan["recipe"]).initial_weights):
                asked.add((plan["recipe"]["backbone"], kind))
    assert asked and asked <= made


def test_synthetic_faces_are_made_where_some_run_asks_for_them() -> None:
    loaded = params(seed=5)
    plan = synthesis_plan(road(loaded=loaded), asdict(loaded.gan))
    assert plan["wanted"] and plan["seed"] == 5
    assert plan["gan"]["steps"] == RAW["profiles"]["demo"]["gan_steps"]
    assert synthesis_plan(road(), asdict(params(gan={"steps": 7}).gan))["gan"]["steps"] == 7
    without: dict[str, Any] = {"roadmap": off("synthesis")}
    assert synthesis_plan(road(**without), asdict(loaded.gan)) == {"wanted": False}
    assert synthesis_plan(road(**without, synthesis="gan"), asdict(loaded.gan))["wanted"], "the baseline itself"
    members: dict[str, Any] = {"stack": {"members": {"vit": {"backbone": "vit", "synthesis": "gan"}}}}
    assert synthesis_plan(road(**without, **members), asdict(loaded.gan))["wanted"], "a member of the ensemble"


def test_pictures_that_suit_no_gan_are_a_row_that_does_not_apply() -> None:
    told = reasons(road(profiles={"demo": {"size": 100}}))["synthesis"]
    assert told is not None and "4 to 7 times 2, 4, 8 ... px; got 100" in told


def test_a_backbone_that_no_run_uses_is_not_pretrained() -> None:
    layout = road(roadmap=off("ensemble", "vit"))
    assert pretraining(layout) == {"resnet": ["ssl", "identity", "ssl_identity"], "vit": [], "efficientnet": []}


def test_a_pretraining_plan_says_how() -> None:
    plan = pretraining_plan("vit", road(seed=5), asdict(params().identity))
    profile = RAW["profiles"]["demo"]
    assert plan["seed"] == 5
    assert plan["model"]["timm"] == profile["models"]["vit"]["timm"] and plan["model"]["size"] == profile["size"]
    assert (plan["ssl"]["method"], plan["ssl"]["epochs"]) == ("simclr", profile["ssl_epochs"])
    assert plan["identity"]["epochs"] == profile["identity_epochs"]
    assert set(plan["model"]) == {"backbone", "timm", "model_args", "size", "precision"}


def test_two_self_supervised_settings_are_refused() -> None:
    layout = road(ssl={"method": "byol"}, roadmap={"self_supervised": {"set": {"ssl": {"lr": 0.5}}}})
    with pytest.raises(ConfigError, match=r"one self-supervised setting in all of params\.yaml; got 2"):
        pretraining(layout)


def test_a_masked_autoencoder_is_not_applicable_to_convolutions_and_pretrains_transformers() -> None:
    mae = {"ssl": {"method": "mae"}}
    layout = road(roadmap={"self_supervised": {"set": mae}})
    assert reasons(layout)["self_supervised"].startswith("`ssl.method: mae` hides patches of a vision transformer")
    assert all(kinds in (["identity"], []) for kinds in pretraining(layout).values())
    # the row takes a transformer with it: alone, and as the last rung of every member that is one
    layout = road(roadmap={"self_supervised": {"set": mae | {"backbone": "vit"}}})
    assert layout["techniques"]["self_supervised"]["applicable"]
    kinds = pretraining(layout)
    assert "ssl" in kinds["vit"] and "ssl" not in kinds["resnet"] + kinds["efficientnet"]
    assert "identity" in kinds["resnet"]
    assert pretraining_plan("resnet", layout, asdict(params().identity))["ssl"] is None
    plans = plans_from("data/select/tta", layout, layout["baseline"])
    assert {run: plan["applicable"] for run, plan in plans.items()} == {
        "final-current": True,
        "final-resnet": False,
        "final-vit": True,
        "final-efficientnet": False,
    }
    assert "`backbone: resnet` (test_resnet) is none" in plans["final-resnet"]["reason"]


def test_a_masked_autoencoder_in_the_baseline_leaves_rows_of_other_backbones_out() -> None:
    layout = road(backbone="vit", ssl={"method": "mae"}, roadmap=off("self_supervised"))
    plans = all_plans(layout)
    assert plans["baseline"]["applicable"] and plans["base-vit"]["applicable"]
    assert not plans["base-resnet"]["applicable"] and "hides patches" in plans["base-resnet"]["reason"]
    kinds = pretraining(layout)
    assert kinds["vit"] == ["ssl", "ssl_identity"] and kinds["resnet"] == kinds["efficientnet"] == []
    with pytest.raises(ConfigError, match="hides patches"):
        road(ssl={"method": "mae"})


def test_pretrained_weights_for_a_backbone_that_is_not_pretrained_are_told() -> None:
    told = reasons(road(backbone="resnet18"))
    assert told["face_pretraining"] == told["self_supervised"] == "no pretrained weights for backbone resnet18"
    with pytest.raises(ConfigError, match="for backbone 'resnet18', but only resnet, vit, efficientnet are pretrained"):
        road(backbone="resnet18", init="identity")
    told = reasons(road(loaded=params(lambda raw: raw["backbones"].remove("resnet"))))
    assert told["face_pretraining"] == "no pretrained weights for backbone resnet"
    layout = road(backbone="resnet18", roadmap=off("face_pretraining", "self_supervised"))
    assert all_plans(layout)["baseline"]["recipe"]["timm"] == "resnet18"


def snapshot(**changes: Any) -> tuple[Plans, dict[str, Any]]:
    """Every plan, and every pretraining plan, under changed parameters."""
    loaded = params(**changes)
    layout = road(loaded=loaded)
    plans = {name: pretraining_plan(name, layout, asdict(loaded.identity)) for name in loaded.backbones}
    return all_plans(layout), plans


def differing(before: Plans, after: Plans) -> set[str]:
    assert set(before) == set(after)
    return {run for run in before if before[run] != after[run]}


def test_another_loss_on_the_baseline_retrains_what_does_not_set_it_and_no_pretraining() -> None:
    before, pretrained_before = snapshot()
    after, pretrained_after = snapshot(loss="cb")
    assert set(before) - differing(before, after) == {"alone-imbalance", "ladder-imbalance"}
    assert pretrained_before == pretrained_after


def test_another_loss_of_one_technique_changes_that_technique_alone() -> None:
    before, pretrained_before = snapshot()
    after, pretrained_after = snapshot(roadmap={"imbalance": {"set": {"loss": "focal"}}})
    assert differing(before, after) == {"alone-imbalance", "ladder-imbalance"}
    assert after["alone-imbalance"]["recipe"]["loss"] == "focal"
    assert pretrained_before == pretrained_after


@pytest.mark.parametrize("changes", [{"episode_shots": 2}, {"mix_alpha": 0.4}, {"focal_gamma": 1.0}])
def test_a_key_that_few_runs_use_changes_those_few(changes: dict[str, Any]) -> None:
    before, pretrained_before = snapshot()
    after, pretrained_after = snapshot(**changes)
    users = {"episode_shots": "few_shot", "mix_alpha": "mixing", "focal_gamma": None}[next(iter(changes))]
    assert differing(before, after) == ({f"alone-{users}", f"ladder-{users}"} if users else set())
    assert pretrained_before == pretrained_after


def test_pretraining_settings_change_pretraining_and_no_other_recipe() -> None:
    before, pretrained_before = snapshot()
    after, pretrained_after = snapshot(identity={"margin": 0.3})
    assert before == after
    assert differing(pretrained_before, pretrained_after) == set(RAW["backbones"])


def test_the_seed_changes_everything() -> None:
    before, pretrained_before = snapshot()
    after, pretrained_after = snapshot(seed=1)
    assert differing(before, after) == set(before)
    assert differing(pretrained_before, pretrained_after) == set(RAW["backbones"])


def test_weights_for_every_backbone_kept_by_the_ladder_are_planned_or_refused() -> None:
    """A technique's timm backbone, once kept, meets the last rung's self-supervised weights, which it has not."""
    layout = road(roadmap={"vit": {"set": {"backbone": "vit_tiny_patch16_224"}}})
    kept = merged(layout["baseline"], layout["techniques"]["vit"]["set"])
    plan = plans_from("data/select/tta", layout, kept)["final-current"]
    assert not plan["applicable"]
    assert plan["reason"] == "no pretrained weights for backbone vit_tiny_patch16_224"


def test_a_file_of_weights_belongs_to_one_backbone() -> None:
    """What would start another backbone from it is a row, not a crash; a row may bring both."""
    layout = road(init="face", weights="face.safetensors", backbone="iresnet18")
    told = "`weights: face.safetensors` are for backbone iresnet18, not"
    assert reasons(layout)["vit"] == f"{told} vit"
    plans = all_plans(layout)
    assert plans["baseline"]["applicable"] and plans["alone-attention"]["applicable"]
    for run in ("alone-vit", "ladder-vit", "base-resnet", "base-vit", "member-efficientnet"):
        assert not plans[run]["applicable"] and plans[run]["reason"].startswith(told), run
    change = {"init": "face", "weights": "face.safetensors", "backbone": "iresnet18"}
    layout = road(roadmap={"face_pretraining": {"set": change}})
    assert layout["techniques"]["face_pretraining"]["applicable"] and layout["techniques"]["vit"]["applicable"]
    kept = merged(layout["baseline"], change)
    assert plans_from("data/select/face_pretraining", layout, kept)["ladder-vit"]["reason"].startswith(told)


def test_first_weights_from_a_file_are_not_replaced_by_the_last_rung() -> None:
    """`face_pretraining` from a local file, once kept, contradicts self-supervision: a row, not a crash."""
    change = {"init": "face", "weights": "face.safetensors"}
    layout = road(roadmap={"face_pretraining": {"set": change}})
    kept = merged(layout["baseline"], change)
    plan = plans_from("data/select/tta", layout, kept)["final-current"]
    assert not plan["applicable"] and plan["recipe"] is None
    assert plan["reason"] == "`init: face` and `ssl.method: simclr` both give first weights: choose one"


def test_the_clip_track_has_a_baseline_and_a_run_for_every_row() -> None:
    layout = road(STANDIN | {"clips": True})
    assert reasons(layout) == dict.fromkeys(TECHNIQUES)
    plans = clip_plans(layout)
    assert list(plans) == RAW["clip_runs"] and all(plan["applicable"] for plan in plans.values())
    recipes = {run: plan["recipe"] for run, plan in plans.items()}
    assert {run: recipe["temporal"] for run, recipe in recipes.items()} == {
        "baseline": "mean",
        "still": "none",
        **{run: run for run in ("lstm", "tcn", "transformer", "conv3d")},
    }
    assert all(Recipe.from_dict(recipe).to_dict() == recipe for recipe in recipes.values())
    differ = {key for key in recipes["lstm"] if recipes["lstm"][key] != recipes["tcn"][key]}
    assert differ == {"temporal"}, "nothing but the model of the frames"
    assert recipes["baseline"]["temporal_hidden"] == 0 and recipes["lstm"]["temporal_hidden"] == 64


def test_the_clip_tracks_baseline_takes_the_recipes_own_temporal() -> None:
    plans = clip_plans(road(STANDIN | {"clips": True}, temporal="tcn", temporal_layers=3))
    assert plans["baseline"]["recipe"] == plans["tcn"]["recipe"]
    assert plans["baseline"]["recipe"]["temporal_layers"] == 3


def test_what_stills_alone_are_trained_with_changes_no_run_of_clips() -> None:
    card = STANDIN | {"clips": True}
    plain = clip_plans(road(card))
    stills: dict[str, Any] = {"au_weight": 0.5, "mix": "mixup", "head": "cosine", "ssl": {"method": "simclr"}}
    assert clip_plans(road(card, **stills, target="votes", init="identity", few_shot_below=31)) == plain
    assert clip_plans(road(card, sampler="curriculum", ema=0.99))["lstm"]["recipe"]["sampler"] == "curriculum"
    assert clip_plans(road(card, loss="focal")) != plain


def test_clips_that_choices_do_not_suit_are_rows_that_do_not_apply() -> None:
    card = STANDIN | {"clips": True}
    late = road(card, drw=0.95)  # one of the stills' 20 epochs, none of the clips' 12
    assert reasons(late)["vit"] is None and "`drw: 0.95` leaves less than one" in str(reasons(late)["temporal_lstm"])
    assert not any(plan["applicable"] for plan in clip_plans(late).values())
    row: dict[str, Any] = {"temporal_lstm": {"set": {"attention": "cbam"}}}
    other = road(card, roadmap=row)
    assert "the baseline's encoder, whose attention this one does not share" in str(reasons(other)["temporal_lstm"])
    assert [run for run, plan in clip_plans(other).items() if not plan["applicable"]] == ["lstm"]
    row["temporal_lstm"]["set"]["temporal_start"] = "scratch"
    assert reasons(road(card, roadmap=row))["temporal_lstm"] is None


def test_the_3d_network_has_no_backbone_and_sizes_of_its_own() -> None:
    card = STANDIN | {"clips": True}
    plain = clip_plans(road(card))["conv3d"]["recipe"]
    assert (plain["backbone"], plain["timm"], plain["lr"]) == ("conv3d", "", 0.002)
    other = road(card, backbone="vit", attention="cbam", drop_path=0.1, layer_decay=0.7)
    assert clip_plans(other)["conv3d"]["recipe"] == plain
    assert clip_plans(other)["lstm"]["recipe"]["lr"] == 0.001
    assert clip_plans(road(card, lr=0.5))["conv3d"]["recipe"]["lr"] == 0.5


def test_a_warm_up_that_suits_the_stills_does_not_fill_the_clips_epochs() -> None:
    recipe = clip_plans(road(STANDIN | {"clips": True}, warmup_epochs=10))["lstm"]["recipe"]
    assert (recipe["epochs"], recipe["warmup_epochs"]) == (12, 3)
    assert clip_plans(road(STANDIN | {"clips": True}, augment="trivial"))["lstm"]["recipe"]["augment"] == "generic"


def test_members_without_runs_and_impossible_ones_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`stack\.members\.swin` has no run base-swin, member-swin, final-swin"):
        road(stack={"members": {"swin": {"backbone": "swin"}}})
    with pytest.raises(ConfigError, match="names `current`, which is always the recipe itself"):
        road(stack={"members": {"current": {"backbone": "vit"}}})
    with pytest.raises(ConfigError, match=r"key of stack\.members\.vit.*Did you mean 'backbone'"):
        road(stack={"members": {"vit": {"backbon": "vit"}}})


def test_temporal_changes_no_run_of_stills() -> None:
    assert all_plans(road(temporal="lstm", temporal_hidden=8)) == all_plans(road())


def test_the_clip_track_without_a_row_that_needs_it_says_why() -> None:
    layout = road(STANDIN | {"clips": True}, roadmap=off(*TEMPORAL))
    assert {plan["reason"] for plan in clip_plans(layout).values()} == {"switched off in params.yaml"}
    assert {plan["reason"] for plan in clip_plans(road()).values()} == {"no clips"}
    only = road(STANDIN | {"clips": True}, roadmap=off(*TEMPORAL[1:]))
    plans = clip_plans(only)
    assert [run for run, plan in plans.items() if plan["applicable"]] == ["baseline", "still"]


def test_rows_and_runs_of_the_clip_track_belong_together() -> None:
    row = {"phase": None, "title": "Mine", "source": "my notebook", "kind": "temporal", "set": {"temporal": "lstm"}}
    for name in ("mine", "temporal_mine"):
        with pytest.raises(ConfigError, match=f"`roadmap.{name}` has no run: call it temporal_<run>"):
            road(roadmap={name: row})
    with pytest.raises(
        ConfigError, match=r"`clip_runs` in params\.yaml has 'mine', but `roadmap` has no temporal_mine"
    ):
        clip_plans(road(clip_runs=["baseline", "mine", *RAW["clip_runs"][1:]]))
    with pytest.raises(ConfigError, match=r"`clip_runs` in params\.yaml lacks baseline"):
        clip_plans(road(clip_runs=RAW["clip_runs"][1:]))
    with pytest.raises(ConfigError, match=r"`roadmap\.temporal_baseline` has no run"):
        road(roadmap={"temporal_baseline": row})
    with pytest.raises(ConfigError, match="Did you mean 'lstm'"):
        road(STANDIN | {"clips": True}, roadmap={"temporal_lstm": {"set": {"temporal": "lstn"}}})


def test_weak_au_labels_make_aus_of_every_set_and_a_note() -> None:
    from fer_core.aus.join import WEAK

    layout = road(FER2013, au_labels="prototypes")
    assert layout["techniques"]["au_multitask"]["applicable"]
    assert layout["notes"] == [WEAK]
    assert road(STANDIN)["notes"] == STANDIN["notes"]


def test_intensities_that_a_set_lacks_are_told() -> None:
    change = {"roadmap": {"au_multitask": {"set": {"au_intensity": 0.5}}}}
    assert road(STANDIN, **change)["techniques"]["au_multitask"]["reason"] is None
    lacking = road(STANDIN | {"intensities": False}, **change)
    assert lacking["techniques"]["au_multitask"]["reason"] == "no AU intensities"
    assert all_plans(lacking)["ladder-au_multitask"]["reason"] == "no AU intensities"
    weak = road(STANDIN, **change, au_labels="prototypes")
    assert weak["techniques"]["au_multitask"]["reason"] == "no AU intensities", "prototypes have none"


def test_a_phase_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`roadmap\.vit\.phase` to be one of 1, 2, beyond, 3, or null; got 4"):
        road(loaded=params(lambda raw: raw["roadmap"]["vit"].update(phase=4)))


def test_weak_au_labels_guide_no_attention() -> None:
    guided: dict[str, Any] = {"roadmap": {"attention": {"set": {"attention": "au_guided"}}}}
    assert road(STANDIN, **guided)["techniques"]["attention"]["applicable"]
    weak = road(STANDIN, **guided, au_labels="prototypes")["techniques"]["attention"]
    assert not weak["applicable"] and weak["reason"].startswith("no AU labels but weak ones")
    members: dict[str, Any] = {"stack": {"members": {"vit": {"backbone": "vit", "attention": "au_guided"}}}}
    plans = all_plans(road(STANDIN, **members, au_labels="prototypes"))
    assert plans["base-vit"]["reason"].startswith("no AU labels but weak ones"), "nor that of a member"


@pytest.mark.parametrize("change", [{"au_labels": "guessed"}, {"au_labels": "prototype"}])
def test_unknown_au_labels_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="`au_labels` to be one of annotated, openface, prototypes, pyfeat"):
        params(**change)


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, names in NAMES.items() for name in names])
def test_every_name_may_be_the_baselines(key: str, name: str) -> None:
    """What it contradicts is a row that does not apply, with the reason, never a road that cannot be planned."""
    more = {"weights": "face.safetensors"} if name == "face" else {}
    layout = road(**{key: name, **more})
    contradicted = {
        ("head", "prototype"): {"meta_learning", "compound"},
        ("init", "imagenet"): {"self_supervised"},
        ("init", "face"): {"face_pretraining", "self_supervised", "vit"},
    }.get((key, name), set())
    assert {row for row, reason in reasons(layout).items() if reason} - set(TEMPORAL) == contradicted
    assert all_plans(layout)["baseline"]["applicable"]


def test_a_row_that_is_switched_off_may_contradict_the_baseline() -> None:
    layout = road(head="prototype", roadmap=off("meta_learning", "compound"))
    assert reasons(layout)["compound"] == "switched off in params.yaml"


def test_without_one_of_two_techniques_that_set_the_same_key_the_other_stays() -> None:
    layout = road()
    layout["techniques"]["mine"] = {**layout["techniques"]["imbalance"], "set": {"loss": "focal"}}
    whole = {**layout["baseline"], "loss": "focal", "logit_tau": 0.5, "sampler": "none"}
    plans = without_plans(layout, ["baseline", "imbalance", "mine", "ensemble"], whole)
    assert set(plans) == {"imbalance", "mine"}, "the others change no recipe"
    assert plans["mine"]["recipe"]["loss"] == "logit_adjusted"
    assert plans["imbalance"]["recipe"]["loss"] == "focal" and plans["imbalance"]["recipe"]["sampler"] == "weighted"


def test_a_technique_that_a_later_one_undoes_is_not_left_out() -> None:
    layout = road()
    same = {**layout["techniques"]["optimisation"], "set": {"ema": 0.99}}
    layout["techniques"]["mine"] = same
    assert without_plans(layout, ["optimisation", "mine"], {**layout["baseline"], "ema": 0.99}) == {}
