"""The clip track as data: the recipe of a model of clips, and one plan a run. Pure, as `fer_core.roadmap` is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fer_core.choices import AUTO
from fer_core.config import ProfileConfig, build
from fer_core.errors import ConfigError, Contradiction
from fer_core.recipe import Recipe, merged, resolve

CLIPS, CLIP_BASELINE, TEMPORAL = "clips", "baseline", "temporal_"  # folder, run and the beginning of a row's name
_ENCODER = ("backbone", "timm", "model_args", "attention")  # what the stills' weights belong to


def clip_recipe(choices: Mapping[str, Any], baseline: Mapping[str, Any], profile: ProfileConfig, seed: int) -> Recipe:
    """Resolve the recipe of a model of clips; keys that do nothing for it are set as `resolve` sets idle ones.

    Args:
        choices: those of the run.
        baseline: those of the stills' baseline, whose encoder most models begin with.
        profile: its `clip_epochs` count where `choices` name no epochs.
        seed: of the training.

    Raises:
        Contradiction: the choices do not suit clips: `drw` leaves none of their epochs, or they begin with the
            baseline's encoder and want another one.
    """
    epochs, drw = choices["epochs"] or profile.clip_epochs, choices["drw"]
    if drw is not None and drw * epochs > epochs - 1:
        raise Contradiction(
            f"`drw: {drw:g}` leaves less than one of the clips' {epochs} epochs (profiles.<profile>.clip_epochs)."
        )
    recipe = resolve(choices, profile, seed, clips=True)
    # a quarter: a warm-up that suits the stills' epochs may be longer than all of the clips'
    recipe = replace(recipe, warmup_epochs=min(recipe.warmup_epochs, recipe.epochs // 4))
    if recipe.augment != "none":  # one draw a clip, always of the generic one
        recipe = replace(recipe, augment="generic")
    if recipe.temporal == "conv3d":
        return _of_its_own(recipe, choices, profile)
    if recipe.temporal == "none" or recipe.temporal_start == "scratch":
        return recipe
    still = resolve(baseline, profile, seed)
    other = [key for key in _ENCODER if getattr(recipe, key) != getattr(still, key)]
    if other:
        raise Contradiction(
            f"`temporal_start: still` begins with the baseline's encoder, whose {' and '.join(other)} this one does "
            "not share: take scratch."
        )
    return recipe


def _of_its_own(recipe: Recipe, choices: Mapping[str, Any], profile: ProfileConfig) -> Recipe:
    """Leave out the backbone, which conv3d has not, and with it the backbone's own sizes."""
    sizes = {}
    for key in ("batch_size", "lr", "weight_decay"):
        sizes[key] = getattr(profile.train, key) if choices[key] in (None, AUTO) else choices[key]
    idle: dict[str, Any] = {"backbone": "conv3d", "timm": "", "model_args": {}, "attention": "none"}
    return replace(recipe, **idle, drop_path=0.0, layer_decay=1.0, **sizes)


def clip_plans(road: Mapping[str, Any]) -> dict[str, Any]:
    """Plan the clip track: its baseline, with the recipe's own `temporal`, and every row of kind temporal.

    Returns:
        run -> plan, as `fer_core.roadmap.plans_from` has them. The baseline is not applicable where no row needs it;
        where it does not suit the data, neither does any other.

    Raises:
        ConfigError: `clip_runs` has a run without a row, or rows but no baseline.
    """
    profile = build(ProfileConfig, road["settings"], "settings")
    rows = {name.removeprefix(TEMPORAL): t for name, t in road["techniques"].items() if t["kind"] == "temporal"}
    runs = road["clip_runs"]
    if runs and CLIP_BASELINE not in runs:
        raise ConfigError(f"`clip_runs` in params.yaml lacks {CLIP_BASELINE}, which every other run is compared with.")
    for run in runs:
        if run != CLIP_BASELINE and run not in rows:
            raise ConfigError(f"`clip_runs` in params.yaml has {run!r}, but `roadmap` has no {TEMPORAL}{run}.")

    def recipe_of(change: Mapping[str, Any]) -> dict[str, Any]:
        choices = merged(road["baseline"], change)
        return clip_recipe(choices, road["baseline"], profile, road["seed"]).to_dict()

    reasons = [t["reason"] for t in rows.values()]
    reason = None if None in reasons else next(iter(reasons), "no row of the roadmap is temporal")
    baseline = None
    if reason is None:
        try:
            baseline = recipe_of({})
        except Contradiction as error:
            reason = str(error).rstrip(".")
    plans = {}
    for run in runs:
        why, recipe = reason, baseline
        if run != CLIP_BASELINE:
            why = reason or rows[run]["reason"]
            recipe = None if why else recipe_of(rows[run]["set"])
        plans[run] = {"run": run, "applicable": why is None, "reason": why, "recipe": recipe if why is None else None}
    return plans
