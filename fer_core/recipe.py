"""A run's recipe: the flat choices of params.yaml, completed by the profile, with every name checked."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any

from fer_core.choices import AUTO, SSL_TEMPERATURES, Choices, SslConfig, Technique, check_choices
from fer_core.config import ModelConfig, ProfileConfig, build
from fer_core.errors import ConfigError, Contradiction
from fer_core.labels import why_not
from fer_core.synthesis.config import sides_of

_FROM_PROFILE = ("epochs", "batch_size", "lr", "weight_decay", "warmup_epochs")

# When a key does something. Where it does not, it is set to `_IDLE` or 0, so that changing it changes no run.
_USED: dict[str, Callable[[Technique], bool]] = {
    "attention_weight": lambda c: c.attention == "au_guided",
    "head_scale": lambda c: c.head == "cosine",
    "au_loss": lambda c: c.has_au_head,
    "au_head": lambda c: c.has_au_head,
    "au_intensity": lambda c: c.has_au_head,
    "asl_gamma_pos": lambda c: c.has_au_head and c.au_loss == "asymmetric",
    "asl_gamma_neg": lambda c: c.has_au_head and c.au_loss == "asymmetric",
    "asl_clip": lambda c: c.has_au_head and c.au_loss == "asymmetric",
    "focal_gamma": lambda c: c.loss in ("focal", "cb_focal"),
    "cb_beta": lambda c: c.has_class_weights,
    "ldam_margin": lambda c: c.loss == "ldam",
    "logit_tau": lambda c: c.loss == "logit_adjusted",
    "curriculum_start": lambda c: c.sampler == "curriculum",
    "curriculum_end": lambda c: c.sampler == "curriculum",
    "few_shot_weight": lambda c: c.few_shot_below > 0,
    "meta_per_class": lambda c: c.meta == "meta_weight",
    "meta_lr": lambda c: c.meta == "meta_weight",
    "meta_step": lambda c: c.meta == "meta_weight",
    "meta_scope": lambda c: c.meta == "meta_weight",
    "maml_lr": lambda c: c.meta == "maml",
    "maml_steps": lambda c: c.meta == "maml",
    "maml_weight": lambda c: c.meta == "maml",
    "episode_ways": lambda c: c.has_episodes,
    "episode_shots": lambda c: c.has_episodes,
    "episode_queries": lambda c: c.has_episodes,
    "mix_alpha": lambda c: c.mix in ("mixup", "cutmix"),
    "temporal_hidden": lambda c: c.temporal not in ("none", "mean"),
    "temporal_layers": lambda c: c.temporal in ("lstm", "tcn", "transformer"),
    "temporal_dropout": lambda c: c.temporal not in ("none", "mean"),
    "temporal_start": lambda c: c.temporal not in ("none", "conv3d"),
    "temporal_encoder_lr": lambda c: c.temporal not in ("none", "conv3d"),
}
# Of stills alone: what a model of clips does not do, whatever the baseline's stills are trained with.
_NOT_OF_CLIPS: dict[str, Any] = {
    "au_weight": 0.0,
    "target": "hard",
    "few_shot_below": 0,
    "meta": "none",
    "mix": "none",
    "synthesis": "none",
    "attention_weight": 0.0,
}
_IDLE: dict[str, Any] = {
    "au_loss": "bce",
    "au_head": "linear",
    "meta_scope": "head",
    "temporal_start": "still",
    **dict.fromkeys(("meta_per_class", "maml_steps", "episode_ways", "episode_shots", "episode_queries"), 0),
    **dict.fromkeys(("temporal_hidden", "temporal_layers"), 0),
}


@dataclass(frozen=True)
class Recipe(Technique):
    """Everything that decides a training run's result, given its data, code and initial weights."""

    timm: str
    model_args: dict[str, Any]
    size: int
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    warmup_epochs: int
    seed: int

    @property
    def initial_weights(self) -> str | None:
        """The pretrained file's stem that the run starts from: ssl, identity, ssl_identity or None."""
        has_ssl = self.ssl.method != "none"
        if self.init == "identity":
            return "ssl_identity" if has_ssl else "identity"
        return "ssl" if has_ssl else None

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, for YAML and for the fingerprint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """Read back what `to_dict` wrote; raises ConfigError for an unknown or missing key."""
        return build(cls, values, "recipe")


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `changes` over `base`, nested mappings key by key.

    Example:
        >>> merged({"loss": "ce", "ssl": {"method": "none", "lr": 0.1}}, {"ssl": {"method": "byol"}})
        {'loss': 'ce', 'ssl': {'method': 'byol', 'lr': 0.1}}
    """
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def resolve(choices: Mapping[str, Any], profile: ProfileConfig, seed: int, *, clips: bool = False) -> Recipe:
    """Complete the choices with the profile's sizes, for a model of stills or, with `clips`, of clips.

    Keys that do nothing in this recipe (`cb_beta` without `loss: cb`) are set to 0, so that changing them
    changes no run.

    Raises:
        ConfigError: a key or a name is unknown, or choices contradict each other.
    """
    typed = build(Choices, choices, "")
    check_choices(typed)
    _refuse_contradictions(typed)
    typed = _of_clips(typed) if clips else replace(typed, temporal="none")
    model = profile.models.get(typed.backbone, ModelConfig(timm=typed.backbone))
    sizes = {}
    for key in _FROM_PROFILE:
        candidates = (getattr(typed, key), getattr(model, key), getattr(profile.train, key))
        sizes[key] = next(value for value in candidates if value not in (None, AUTO))
    if clips and typed.epochs is None:  # clips begin where the stills' baseline ended
        sizes["epochs"] = profile.clip_epochs
    _check_sizes(sizes)
    if typed.schedule == "one_cycle":  # its own warm-up
        sizes["warmup_epochs"] = 0
    if typed.drw is not None and typed.drw * sizes["epochs"] > sizes["epochs"] - 1:
        raise ConfigError(
            f"Expected `drw` to leave one of {sizes['epochs']} epochs or more for class weights; got {typed.drw:g}."
        )
    if why := no_pretraining(typed.ssl.method, typed.backbone, model.timm):
        raise Contradiction(why)
    if typed.synthesis == "gan":
        _check_side(profile.size)
    ssl = _used_ssl(typed.ssl, profile.ssl_epochs)
    given = {key: getattr(typed, key) for key in asdict(typed) if key not in (*_FROM_PROFILE, "ssl")}
    for key in (key for key, used in _USED.items() if not used(typed)):
        given[key] = _IDLE.get(key, 0.0)
    return Recipe(**given, **sizes, ssl=ssl, timm=model.timm, model_args=model.args, size=profile.size, seed=seed)


def _of_clips(typed: Choices) -> Choices:
    """Leave out what only stills are trained with; clips begin with the baseline's own weights, made from stills."""
    if typed.head != "linear":
        typed = replace(typed, head="linear")
    ssl = replace(typed.ssl, method="none")
    return replace(typed, **_NOT_OF_CLIPS, init="scratch", weights=None, ssl=ssl)


def _used_ssl(ssl: SslConfig, epochs: int) -> SslConfig:
    """Complete `ssl` with the profile's epochs and the method's temperature, and set what does nothing to 0."""
    idle = SslConfig(
        "none",
        epochs=0,
        lr=0.0,
        batch_size=0,
        momentum=0.0,
        projection=0,
        hidden=0,
        temperature=0.0,
        queue=0,
        mask_ratio=0.0,
        decoder_dim=0,
        decoder_depth=0,
    )
    if ssl.method == "none":
        return idle
    if ssl.temperature is None:
        ssl = replace(ssl, temperature=SSL_TEMPERATURES.get(ssl.method))
    epochs = ssl.epochs or epochs
    return replace(idle, method=ssl.method, epochs=epochs, lr=ssl.lr, batch_size=ssl.batch_size, **ssl.settings())


def no_pretraining(method: str, backbone: str, timm_name: str) -> str | None:
    """Return why the self-supervised `method` cannot pretrain a timm network, or None where it can.

    A masked autoencoder hides patches from a transformer; a convolution would see the holes. (timm is asked only for
    `mae`, so that other recipes are checked without importing torch. A name that timm does not know is refused
    later, with the nearest ones.)
    """
    if method != "mae":
        return None
    models = import_module("timm.models")
    if not models.is_model(timm_name) or models.is_model_in_modules(timm_name, ["vision_transformer", "deit"]):
        return None
    return (
        f"`ssl.method: mae` hides patches of a vision transformer, and `backbone: {backbone}` ({timm_name}) is none: "
        "choose backbone vit, or ssl.method simclr, moco or byol."
    )


def _check_side(size: int) -> None:
    try:
        sides_of(size)
    except ConfigError as error:
        raise Contradiction(f"`synthesis: gan`: {error}") from None


def _check_sizes(sizes: Mapping[str, float]) -> None:
    least = {"epochs": 1, "batch_size": 2, "warmup_epochs": 0, "weight_decay": 0}  # batch norm needs two pictures
    for key, low in least.items():
        if not low <= sizes[key] < float("inf"):
            raise ConfigError(f"Expected `{key}` to be at least {low} and finite; got {sizes[key]}.")
    if not 0 < sizes["lr"] < float("inf"):
        raise ConfigError(f"Expected `lr` to be above 0 and finite; got {sizes['lr']}.")


def _refuse_contradictions(typed: Choices) -> None:
    allowed = typed.init in ("imagenet", "face") if typed.weights is not None else typed.init != "face"
    if not allowed:  # imagenet does without: timm has weights of its own
        raise Contradiction(
            f"Expected `weights` to name a file exactly when `init` is face, or, in the place of timm's own weights, "
            f"imagenet; got init {typed.init!r} and weights {typed.weights!r}."
        )
    if typed.ssl.method != "none" and typed.init in ("imagenet", "face"):
        raise Contradiction(
            f"`init: {typed.init}` and `ssl.method: {typed.ssl.method}` both give first weights: choose one."
        )
    if typed.head == "prototype" and typed.meta != "none":
        raise Contradiction(
            f"`head: prototype` has no weights that `meta: {typed.meta}` could learn through: take head linear or "
            "cosine."
        )
    if typed.head == "prototype" and typed.target == "compound":
        raise Contradiction("`head: prototype` needs one class a face, `target: compound` mixes two: choose one.")


def missing_for(recipe: Recipe, card: Mapping[str, Any]) -> str | None:
    """Return what the data set lacks for this recipe ("no AU labels"), or None when it has everything."""
    if (recipe.has_au_head or recipe.is_guided) and not card["aus"]:
        return "no AU labels"
    if recipe.is_guided and card.get("weak_aus"):
        return "no AU labels but weak ones, whose places would only repeat the class"
    if recipe.init == "identity" and not card["identities"]:
        return "no identities"
    if recipe.has_episodes and sum(n > 1 for n in card["train_counts"]) < 2:
        return "fewer than two classes with two train pictures"
    if recipe.few_shot_below > 0 and not any(1 < n < recipe.few_shot_below for n in card["train_counts"]):
        return f"no class with 2 to {recipe.few_shot_below - 1} train pictures"
    if recipe.synthesis == "gan" and not any(0 < n < card["gan_per_class"] for n in card["train_counts"]):
        return f"no class with 1 to {card['gan_per_class'] - 1} train pictures to make faces for"
    return why_not(recipe.target, card)
