"""A run's recipe: the flat choices of params.yaml, completed by the profile, with every name checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from fer_core.config import Choices, ModelConfig, ProfileConfig, SslConfig, build
from fer_core.errors import ConfigError, unknown_name

# Names only, so that checking a recipe does not import torch; tests compare them with the registries.
NAMES = {
    "init": ("scratch", "imagenet", "identity", "face"),
    "attention": ("none", "cbam"),
    "loss": ("ce", "focal", "cb"),
    "sampler": ("none", "weighted"),
    "augment": ("none", "generic", "face_aware"),
    "mix": ("none", "mixup"),
    "precision": ("auto", "fp32", "bf16"),
}
SSL_METHODS = ("none", "byol")
_FROM_PROFILE = ("epochs", "batch_size", "lr", "weight_decay", "warmup_epochs")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run's result, given its data, code and initial weights."""

    backbone: str
    timm: str
    model_args: dict[str, Any]
    size: int
    init: str
    weights: str | None
    attention: str
    au_weight: float
    loss: str
    focal_gamma: float
    cb_beta: float
    label_smoothing: float
    sampler: str
    augment: str
    mix: str
    mix_alpha: float
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    warmup_epochs: int
    precision: str
    ssl: SslConfig
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


def resolve(choices: Mapping[str, Any], profile: ProfileConfig, seed: int) -> Recipe:
    """Complete the choices with the profile's sizes.

    Keys that do nothing in this recipe (`cb_beta` without `loss: cb`) are set to 0, so that changing them
    changes no run.

    Raises:
        ConfigError: a key or a name is unknown, or choices contradict each other.
    """
    typed = build(Choices, choices, "")
    for key, names in NAMES.items():
        if getattr(typed, key) not in names:
            raise unknown_name(key, getattr(typed, key), names)
    if typed.ssl.method not in SSL_METHODS:
        raise unknown_name("ssl.method", typed.ssl.method, SSL_METHODS)
    if (typed.init == "face") != (typed.weights is not None):
        raise ConfigError(
            f"Expected `weights` to name a file exactly when `init` is face; got init {typed.init!r} "
            f"and weights {typed.weights!r}."
        )
    if typed.ssl.method != "none" and typed.init in ("imagenet", "face"):
        raise ConfigError(
            f"`init: {typed.init}` and `ssl.method: {typed.ssl.method}` both give first weights: choose one."
        )
    model = profile.models.get(typed.backbone, ModelConfig(timm=typed.backbone))
    sizes = {}
    for key in _FROM_PROFILE:
        candidates = (getattr(typed, key), getattr(model, key), getattr(profile.train, key))
        sizes[key] = next(value for value in candidates if value is not None)
    ssl = replace(typed.ssl, epochs=typed.ssl.epochs or profile.ssl_epochs)
    if ssl.method == "none":
        ssl = SslConfig("none", epochs=0, lr=0.0, batch_size=0, momentum=0.0, projection=0, hidden=0)
    given = {key: getattr(typed, key) for key in asdict(typed) if key not in (*_FROM_PROFILE, "ssl")}
    for key, used in {
        "focal_gamma": typed.loss == "focal",
        "cb_beta": typed.loss == "cb",
        "mix_alpha": typed.mix != "none",
    }.items():
        given[key] = given[key] if used else 0.0
    return Recipe(**given, **sizes, ssl=ssl, timm=model.timm, model_args=model.args, size=profile.size, seed=seed)


def missing_for(recipe: Recipe, card: Mapping[str, Any]) -> str | None:
    """Return what the data set lacks for this recipe ("no AU labels"), or None when it has everything."""
    if recipe.au_weight > 0 and not card["aus"]:
        return "no AU labels"
    if recipe.init == "identity" and not card["identities"]:
        return "no identities"
    return None
