"""What is made once for many runs, as data: pretrained weights of each backbone, and synthetic faces.

Pure, as `fer_core.roadmap` is: from the road to plans.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fer_core.choices import IDENTITY_MARGINS
from fer_core.config import ProfileConfig, build
from fer_core.errors import ConfigError, Contradiction
from fer_core.recipe import Recipe, merged, no_pretraining, resolve


def pretraining_plan(backbone: str, road: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """Say which pretrained weights of `backbone` any run may ask for, and how they are made.

    Returns:
        a mapping with `kinds` (of ssl, identity, ssl_identity, in the order they are made) and, if there are
        any, `model` (backbone, timm, model_args, size, precision), `ssl`, `identity` and `seed`.

    Raises:
        ConfigError: techniques ask for different self-supervised settings, of which there can be one.
    """
    profile = build(ProfileConfig, road["settings"], "settings")
    techniques = [t for t in road["techniques"].values() if t["applicable"]]
    changes = ({}, *(t["set"] for t in techniques))
    recipes = [recipe for change in changes if (recipe := _resolved(change, profile, road)) is not None]
    methods = {recipe.ssl for recipe in recipes if recipe.ssl.method != "none"}
    if len(methods) > 1:
        raise ConfigError(
            f"Expected one self-supervised setting in all of params.yaml; got {len(methods)}: "
            + "; ".join(sorted(str(method) for method in methods))
        )
    stacked = any(t["kind"] == "ensemble" for t in techniques)
    members = [change for change in road["members"].values() if change is not None] if stacked else []
    others = [recipe for change in members if (recipe := _resolved(change, profile, road)) is not None]
    used = {recipe.backbone for recipe in (*recipes, *others)}
    wants_identity = any(recipe.init == "identity" for recipe in recipes)
    kinds = ["ssl"] if methods else []
    if wants_identity and recipes[0].ssl.method == "none":
        kinds.append("identity")
    if wants_identity and methods:
        kinds.append("ssl_identity")
    if not kinds or backbone not in used or backbone not in profile.models:
        return {"backbone": backbone, "kinds": []}
    # what the method cannot pretrain is left out: runs that would start from it are not applicable
    alone = {"backbone": backbone, "init": "scratch", "weights": None, "ssl": {"method": "none"}}
    plain = resolve(merged(road["baseline"], alone), profile, road["seed"]).to_dict()
    if methods and no_pretraining(next(iter(methods)).method, backbone, plain["timm"]):
        kinds = [kind for kind in kinds if kind == "identity"]
        methods = set()
    if not kinds:
        return {"backbone": backbone, "kinds": []}
    return {
        "backbone": backbone,
        "kinds": kinds,
        "model": {key: plain[key] for key in ("backbone", "timm", "model_args", "size", "precision")},
        "ssl": asdict(next(iter(methods))) if methods else None,
        "identity": {
            **identity,
            "epochs": identity["epochs"] or profile.identity_epochs,
            "margin": IDENTITY_MARGINS[identity["loss"]] if identity["margin"] is None else identity["margin"],
        },
        "seed": road["seed"],
    }


def synthesis_plan(road: Mapping[str, Any], gan: Mapping[str, Any]) -> dict[str, Any]:
    """Say whether any run may ask for synthetic faces, and how they are made.

    Returns:
        a mapping with `wanted` and, if so, `gan` (the settings, complete) and `seed`.
    """
    profile = build(ProfileConfig, road["settings"], "settings")
    techniques = [t for t in road["techniques"].values() if t["applicable"]]
    stacked = any(t["kind"] == "ensemble" for t in techniques)
    members = [change for change in road["members"].values() if change is not None] if stacked else []
    changes = ({}, *(t["set"] for t in techniques), *members)
    recipes = [recipe for change in changes if (recipe := _resolved(change, profile, road)) is not None]
    if not any(recipe.synthesis == "gan" for recipe in recipes):
        return {"wanted": False}
    return {"wanted": True, "gan": {**gan, "steps": gan["steps"] or profile.gan_steps}, "seed": road["seed"]}


def _resolved(change: Mapping[str, Any], profile: ProfileConfig, road: Mapping[str, Any]) -> Recipe | None:
    """Return the baseline's recipe with `change`, or None where the two contradict: that run is not applicable."""
    try:
        return resolve(merged(road["baseline"], change), profile, road["seed"])
    except Contradiction:
        return None
