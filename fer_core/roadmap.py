"""The roadmap as data: the baseline, every technique alone on it, and the ladder that keeps what helps.

Pure functions from params and the data set's card to plans; a plan is what one
training run does, or why it does nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from fer_core.choices import check_au_labels
from fer_core.clip_track import CLIP_BASELINE, CLIPS, TEMPORAL, clip_recipe
from fer_core.config import CHOICE_KEYS, Params, ProfileConfig, TechniqueConfig, build
from fer_core.errors import ConfigError, Contradiction, unknown_name
from fer_core.recipe import Recipe, merged, missing_for, resolve

BEYOND = "beyond"
_KNOWN = (
    "aus",
    "weak_aus",
    "intensities",
    "identities",
    "clips",
    "votes",
    "vote_names",
    "classes",
    "train_counts",
    "gan_per_class",
)  # what a recipe may need
WEAK_NOTE = "AU labels are weak: prototypes of the emotion (Du et al. 2014), not annotations"  # as aus.join says it
# In the order in which the ladder climbs them. The roadmap document has three; nothing is claimed for our own part.
PHASES: dict[str, dict[str, Any]] = {
    "1": {"title": "Phase 1: quick wins", "from": 55, "to": 65, "claimed": [10, 10]},
    "2": {"title": "Phase 2: advanced techniques", "from": 65, "to": 75, "claimed": [10, 10]},
    BEYOND: {"title": "Beyond the roadmap", "from": None, "to": None, "claimed": None},
    "3": {"title": "Phase 3: final optimizations", "from": 75, "to": 80, "claimed": [5, None]},
}
BASELINE_SEEDS = 3  # at least, whatever `seeds` says: how far luck alone goes is always known
KINDS = ("recipe", "ensemble", "library", "tta", "temporal")
_ALONE = {"ensemble": "stack/alone", "library": "stack/library", "tta": "tta/baseline"}


def make_road(params: Params, card: Mapping[str, Any]) -> dict[str, Any]:
    """Lay out the whole road.

    Args:
        params: params.yaml, checked.
        card: the data set's card (classes, what labels it has).

    Raises:
        ConfigError: the baseline cannot be trained on these data, or a technique has no run.
    """
    kinds = check_au_labels(params.au_labels)
    weak = "prototypes" in kinds  # of the emotion: every set has them
    counts = [card["counts"]["train"][name] for name in card["classes"]]
    own, estimated = "annotated" in kinds, bool({"openface", "pyfeat"} & set(kinds))
    # prototypes and Py-Feat say nothing of how strong an AU is
    strengths = (card["intensities"] and own) or "openface" in kinds
    aus = {"aus": (card["aus"] and own) or weak or estimated, "weak_aus": weak, "intensities": strengths}
    card = {**card, **aus, "train_counts": counts, "gan_per_class": params.gan.per_class}
    baseline = asdict(params.choices)
    recipe = resolve(baseline, params.active_profile, params.seed)
    if lack := _lack(recipe, card):
        raise ConfigError(f"The baseline cannot be trained on data {params.data!r}: {lack}.")
    techniques = {}
    ladder = [rung for rung in params.ladder if rung != "baseline"]
    order = [*ladder, *(name for name in params.roadmap if name not in ladder)]
    for name in order:
        if name not in params.roadmap:
            raise ConfigError(f"`ladder` in params.yaml has the rung {name!r}, which `roadmap` lacks.")
        techniques[name] = _technique(name, params, card)
    if recipe.initial_weights and recipe.backbone not in _pretrained(params):
        raise ConfigError(
            f"The baseline needs pretrained weights for backbone {recipe.backbone!r}, but only "
            f"{', '.join(_pretrained(params))} are pretrained: make it one of profiles.{params.profile}.models and of "
            "`backbones`."
        )
    return {
        "data": params.data,
        "profile": params.profile,
        "notes": [*card["notes"], WEAK_NOTE] if weak else card["notes"],
        "phases": PHASES,
        "ladder": ladder,
        "techniques": techniques,
        "members": _members(params),
        "backbones": _pretrained(params),
        "baseline": baseline,
        "settings": asdict(params.active_profile),
        "card": {key: card[key] for key in _KNOWN},
        "seed": params.seed,
        "seeds": params.seeds,
        "leave_one_out": params.leave_one_out,
        "runs": {run: item.source for run, item in params.runs.items()},
        "clip_runs": params.clip_runs,
    }


def _technique(name: str, params: Params, card: Mapping[str, Any]) -> dict[str, Any]:
    config: TechniqueConfig = params.roadmap[name]
    if config.kind not in KINDS:
        raise ConfigError(f"Expected `roadmap.{name}.kind` to be one of {', '.join(KINDS)}; got {config.kind!r}.")
    if config.phase is not None and str(config.phase) not in PHASES:
        known = ", ".join(PHASES)
        raise ConfigError(f"Expected `roadmap.{name}.phase` to be one of {known}, or null; got {config.phase!r}.")
    alone = _ALONE.get(config.kind)
    if config.kind == "recipe":
        if not config.set:
            raise ConfigError(f"`roadmap.{name}.set` is empty: a technique must change the recipe.")
        alone = f"train/alone-{name}"
        if f"alone-{name}" not in params.runs:
            raise ConfigError(
                f"`roadmap.{name}` has no run: add `alone-{name}: {{source: plans}}` to `runs` in params.yaml."
            )
    reference = "train/baseline"
    if config.kind == "temporal":
        run = name.removeprefix(TEMPORAL)
        if run in (name, CLIP_BASELINE) or run not in params.clip_runs:
            raise ConfigError(
                f"`roadmap.{name}` has no run: call it {TEMPORAL}<run> and add <run> to `clip_runs` in params.yaml."
            )
        alone, reference = f"{CLIPS}/{run}", f"{CLIPS}/{CLIP_BASELINE}"
    reason = _why_not(name, config, params, card)
    return {
        "phase": config.phase,
        "title": config.title,
        "kind": config.kind,
        "set": config.set,
        "claimed": config.claimed,
        "source": config.source,
        "applicable": reason is None,
        "reason": reason,
        "alone": alone,
        "reference_alone": reference,
        "candidate": params.ladder[name].candidate if name in params.ladder else None,
    }


def _why_not(name: str, config: TechniqueConfig, params: Params, card: Mapping[str, Any]) -> str | None:
    wanted = params.active_profile.techniques
    if not config.enabled:
        return "switched off in params.yaml"
    if config.kind == "temporal" and not card["clips"]:  # before the profile: no profile could have it
        return "no clips"
    if wanted is not None and name not in wanted:
        return f"not in the {params.profile} profile"
    try:
        changed = merged(asdict(params.choices), config.set)
        if config.kind == "temporal":
            clip_recipe(changed, asdict(params.choices), params.active_profile, params.seed)
            return None
        recipe = resolve(changed, params.active_profile, params.seed)
    except Contradiction as error:  # with the baseline's own choices, which the user may have changed
        return str(error).rstrip(".")
    if recipe.initial_weights and recipe.backbone not in _pretrained(params):
        return f"no pretrained weights for backbone {recipe.backbone}"
    changes = [*(technique.set for technique in params.roadmap.values()), *params.stack.members.values()]
    return _foreign_weights(recipe, asdict(params.choices), changes) or _lack(recipe, card)


def _foreign_weights(recipe: Recipe, baseline: Mapping[str, Any], changes: Iterable[Mapping[str, Any]]) -> str | None:
    """Tell a file of weights that belongs to another backbone: that of the choices which name the file."""
    if recipe.weights is None:
        return None
    places = [{}, *(change for change in changes if change.get("weights") == recipe.weights)]
    backbones = [
        place["backbone"] for change in places if (place := merged(baseline, change))["weights"] == recipe.weights
    ]
    if recipe.backbone in backbones:
        return None
    return (
        f"`weights: {recipe.weights}` are for backbone {' or '.join(dict.fromkeys(backbones))}, not {recipe.backbone}"
    )


def _lack(recipe: Recipe, card: Mapping[str, Any]) -> str | None:
    """Return what the data lack for a recipe, or None."""
    if recipe.au_intensity > 0 and not card["intensities"]:
        return "no AU intensities"
    return missing_for(recipe, card)


def _members(params: Params) -> dict[str, dict[str, Any] | None]:
    _check_members(params)
    wanted = params.active_profile.members
    members: dict[str, dict[str, Any] | None] = {"current": {}}
    for name, change in params.stack.members.items():
        members[name] = change if wanted is None or name in wanted else None
    return members


def _check_members(params: Params) -> None:
    groups = ("base", "member", "final")
    for name, change in params.stack.members.items():
        if name == "current":
            raise ConfigError("`stack.members` names `current`, which is always the recipe itself: call it otherwise.")
        for key in change:
            if key not in CHOICE_KEYS:
                raise unknown_name(f"key of stack.members.{name}", key, CHOICE_KEYS)
        lacking = [f"{group}-{name}" for group in groups if f"{group}-{name}" not in params.runs]
        if lacking:
            raise ConfigError(
                f"`stack.members.{name}` has no run {', '.join(lacking)}: add them to `runs` in params.yaml, beside "
                "those of the other members, and to the deps of the stages stack and tta in dvc.yaml."
            )


def _pretrained(params: Params) -> list[str]:
    """Return the backbones that the `pretrain` stages make weights for."""
    return [name for name in params.backbones if name in params.active_profile.models]


def _plan(run: str, choices: Mapping[str, Any], road: Mapping[str, Any], reason: str | None) -> dict[str, Any]:
    if reason:
        return {"run": run, "applicable": False, "reason": reason, "recipe": None}
    profile = build(ProfileConfig, road["settings"], "settings")
    recipe = None
    try:
        recipe = resolve(choices, profile, road["seed"])
        lack = _lack(recipe, road["card"])
        if recipe.initial_weights and recipe.backbone not in road["backbones"]:
            lack = lack or f"no pretrained weights for backbone {recipe.backbone}"
        changes = [*(technique["set"] for technique in road["techniques"].values()), *road["members"].values()]
        lack = lack or _foreign_weights(recipe, road["baseline"], (change for change in changes if change))
    except Contradiction as error:  # with what the ladder kept
        lack = str(error).rstrip(".")
    if lack or recipe is None:
        return {"run": run, "applicable": False, "reason": lack, "recipe": None}
    seeds = max(road["seeds"], BASELINE_SEEDS) if run == "baseline" else road["seeds"]
    return {"run": run, "applicable": True, "reason": None, "recipe": recipe.to_dict(), "seeds": seeds}


def plans_from(source: str, road: Mapping[str, Any], choices: Mapping[str, Any], **kept: bool) -> dict[str, Any]:
    """Plan every run that builds on `source`, given the recipe's `choices` there.

    Args:
        source: `plans` or `data/select/<rung>`.
        road: what `make_road` returned.
        choices: the recipe that stands at `source`, as flat choices.
        kept: `ensemble=False` when that rung was not kept: its other members are not needed.

    Returns:
        run -> plan, a mapping with `run`, `applicable`, `reason`, `recipe` (resolved, plain values) and, where it is
        applicable, `seeds`: how often it is trained, with the recipe's seed and those after it.
    """
    plans = {}
    techniques = road["techniques"]
    for run, origin in road["runs"].items():
        if origin != source:
            continue
        group, _, name = run.partition("-")
        if group == "baseline":
            plans[run] = _plan(run, choices, road, None)
        elif group in ("alone", "ladder"):
            if name not in techniques:
                raise ConfigError(f"`runs` in params.yaml has {run!r}, but `roadmap` has no {name!r}.")
            technique = techniques[name]
            plans[run] = _plan(run, merged(choices, technique["set"]), road, technique["reason"])
        else:
            plans[run] = _member_plan(run, group, name, road, choices, kept.get("ensemble", True))
    return plans


def without_plans(road: Mapping[str, Any], kept: Iterable[str], choices: Mapping[str, Any]) -> dict[str, Any]:
    """Plan the final recipe without one of its techniques, each in turn (leave-one-out).

    Args:
        road: what `make_road` returned.
        kept: the rungs of the ladder that were kept, in its order.
        choices: the recipe with all of them.

    Returns:
        technique -> plan, for the kept ones that change the recipe; a later rung's change of the same key stays.
    """
    rungs = [name for name in kept if road["techniques"].get(name, {}).get("set")]
    plans = {}
    for left_out in rungs:
        without = dict(road["baseline"])
        for name in rungs:
            if name != left_out:
                without = merged(without, road["techniques"][name]["set"])
        if without != dict(choices):
            plans[left_out] = _plan(f"without-{left_out}", without, road, None)
    return plans


def _member_plan(
    run: str, group: str, name: str, road: Mapping[str, Any], choices: Mapping[str, Any], ensemble: bool
) -> dict[str, Any]:
    if name not in road["members"]:
        raise ConfigError(f"`runs` in params.yaml has {run!r}, but `stack.members` has no {name!r}.")
    change, reason = road["members"][name], None
    if change is None:
        reason, change = f"not in the {road['profile']} profile", {}
    techniques = road["techniques"]
    stacked = techniques["ensemble"]["applicable"]
    if group == "final":
        rung = techniques["self_supervised"]
        reason = reason or rung["reason"]
        choices = merged(choices, rung["set"])
        if name != "current" and not ensemble:
            reason = reason or "the ensemble was not kept"
    elif not stacked and not (group == "member" and name == "current"):
        reason = reason or techniques["ensemble"]["reason"]
    return _plan(run, merged(choices, change), road, reason)
