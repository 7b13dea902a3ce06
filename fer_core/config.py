"""params.yaml as frozen, typed objects: unknown keys are refused, and every error names its key."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from fer_core.choices import IDENTITY_MARGINS, LEAKAGE, Choices, check_au_params, check_choices
from fer_core.errors import ConfigError, unknown_name
from fer_core.synthesis.config import GanConfig

T = TypeVar("T")

# Names only, so that checking params.yaml imports neither torch nor scikit-learn; tests compare them with the
# registries `ensemble.METHODS`, `tta.VIEWS` and `views.WEIGHTINGS`.
STACK_METHODS = ("auto", "mean", "voting", "weighted", "greedy", "logistic")
TTA_WEIGHTS = ("mean", "learned")
TTA_VIEWS = (
    *("identity", "flip", "rotate_left", "brighter", "larger", "crop_top_left", "rotate_right", "crop_bottom_right"),
    *("darker", "smaller", "crop_top_right", "crop_bottom_left", "crop_centre", "flip_rotate_left"),
    "flip_rotate_right",
)


@dataclass(frozen=True)
class IdentityConfig:
    """Pretraining on identities; `epochs: None` takes the profile's, `margin: None` that of the loss's paper."""

    epochs: int | None
    lr: float
    batch_size: int
    loss: str
    scale: float
    margin: float | None


@dataclass(frozen=True)
class StackConfig:
    """The ensemble: what each member changes in the recipe, and how they vote."""

    members: dict[str, dict[str, Any]]
    method: str
    folds: int


@dataclass(frozen=True)
class TtaConfig:
    """Test-time augmentation: how many views, the picture itself included, or which, and how they weigh."""

    views: int | list[str]
    weights: str


@dataclass(frozen=True)
class TechniqueConfig:
    """A row of the roadmap: the keys that it sets, and the gain in points claimed for it."""

    title: str
    source: str
    phase: int | str | None
    claimed: list[float] | None = None
    set: dict[str, Any] = field(default_factory=dict)
    kind: str = "recipe"
    enabled: bool = True


@dataclass(frozen=True)
class ModelConfig:
    """A timm model with its constructor arguments; the other keys win over the profile's `train`."""

    timm: str
    args: dict[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    warmup_epochs: int | None = None


@dataclass(frozen=True)
class TrainDefaults:
    """What a profile says of training where neither the recipe nor the model entry does."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    warmup_epochs: int


@dataclass(frozen=True)
class ProfileConfig:
    """Everything that depends on the machine: picture size in px, models, epochs."""

    size: int
    standin: dict[str, Any]
    models: dict[str, ModelConfig]
    train: TrainDefaults
    ssl_epochs: int
    clip_epochs: int
    identity_epochs: int
    gan_steps: int
    techniques: list[str] | None = None
    members: list[str] | None = None


@dataclass(frozen=True)
class RunConfig:
    """Where a run's plan comes from: `plans`, or the folder of the rung that it builds on."""

    source: str


@dataclass(frozen=True)
class RungConfig:
    """What a rung of the ladder stands on, and the predictor that it offers, relative to data/."""

    after: str
    candidate: str


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml. `classes`, `sets`, `align` and `standin` are checked where they are used."""

    data: str
    classes: str | dict[str, list[str]]
    hold_out: float
    sets: dict[str, Any]
    limit: int | None
    profile: str
    seed: int
    seeds: int
    folds: int | None
    fold: int
    leakage: str
    leave_one_out: bool
    au_labels: str
    choices: Choices
    standin: dict[str, Any]
    align: dict[str, Any]
    identity: IdentityConfig
    gan: GanConfig
    stack: StackConfig
    tta: TtaConfig
    roadmap: dict[str, TechniqueConfig]
    profiles: dict[str, ProfileConfig]
    runs: dict[str, RunConfig]
    clip_runs: list[str]
    ladder: dict[str, RungConfig]
    backbones: list[str]
    au_sides: str = "folded"
    au_confidence: float = 0.8

    @property
    def active_profile(self) -> ProfileConfig:
        """The profile that `profile` names."""
        return self.profiles[self.profile]


CHOICE_KEYS = tuple(item.name for item in fields(Choices))


def load_params(params: Mapping[str, Any]) -> Params:
    """Check params.yaml as a whole.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of the wrong type or out of range.
    """
    own = [item.name for item in fields(Params) if item.name != "choices"]
    for key in params:
        if key not in own and key not in CHOICE_KEYS:
            raise unknown_name("key of params.yaml", key, [*own, *CHOICE_KEYS])
    grouped = {key: value for key, value in params.items() if key in own}
    grouped["choices"] = {key: value for key, value in params.items() if key in CHOICE_KEYS}
    loaded = build(Params, grouped, "")
    if loaded.profile not in loaded.profiles:
        raise unknown_name("profile", loaded.profile, loaded.profiles)
    check_au_params(vars(loaded))
    if loaded.leakage not in LEAKAGE:
        raise unknown_name("leakage", loaded.leakage, LEAKAGE)
    _check_ranges(loaded)
    return loaded


def build(cls: type[T], values: Any, where: str) -> T:
    """Build a dataclass from a mapping; `where` is the dotted key that errors name."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"Expected `{where or 'params.yaml'}` to be a mapping; got {values!r}.")
    hints = get_type_hints(cls)
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise unknown_name(f"key of {where}" if where else "key", key, known)
    made: dict[str, Any] = {}
    for name, item in known.items():
        dotted = f"{where}.{name}" if where else name
        dotted = dotted.removeprefix("choices.")
        if name in values:
            made[name] = _convert(hints[name], values[name], dotted)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ConfigError(f"The key `{dotted}` is missing from params.yaml.")
    return cls(**made)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(get_args(hint), value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"Expected `{where}` to be a mapping; got {value!r}.")
        inner = get_args(hint)[1]
        return {str(key): _convert(inner, item, f"{where}.{key}") for key, item in value.items()}
    if origin is list:
        if not isinstance(value, list):
            raise ConfigError(f"Expected `{where}` to be a list; got {value!r}.")
        return [_convert(get_args(hint)[0], item, f"{where}[{index}]") for index, item in enumerate(value)]
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"Expected `{where}` to be {_type_name(hint)}; got {value!r}.")
    return value


def _convert_union(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    kinds = [option for option in options if option is not type(None)]
    for kind in kinds[:-1]:
        try:
            return _convert(kind, value, where)
        except ConfigError:
            continue
    try:
        return _convert(kinds[-1], value, where)
    except ConfigError:
        if len(kinds) == 1:
            raise
        names = " or ".join(_type_name(kind) for kind in kinds)
        raise ConfigError(f"Expected `{where}` to be {names}; got {value!r}.") from None


def _type_name(hint: type) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", list[str]: "a list of names"}
    return names.get(hint, hint.__name__)


def check_stack(stack: StackConfig) -> None:
    """Check the way of voting and the number of folds; raises ConfigError."""
    if stack.method not in STACK_METHODS:
        raise unknown_name("stack.method", stack.method, STACK_METHODS)
    if not 2 <= stack.folds <= 20:
        raise ConfigError(f"Expected `stack.folds` to be between 2 and 20; got {stack.folds}.")


def check_tta(tta: TtaConfig) -> None:
    """Check the views and the way they weigh; raises ConfigError."""
    if tta.weights not in TTA_WEIGHTS:
        raise unknown_name("tta.weights", tta.weights, TTA_WEIGHTS)
    names = TTA_VIEWS[: tta.views] if isinstance(tta.views, int) else tta.views
    for name in names:
        if name not in TTA_VIEWS:
            raise unknown_name("tta.views", name, TTA_VIEWS)
    count = tta.views if isinstance(tta.views, int) else len(tta.views)
    if not 5 <= count <= 10:
        raise ConfigError(f"Expected `tta.views` to be between 5 and 10 views; got {tta.views}.")
    if names[0] != "identity":
        raise ConfigError(f"Expected `tta.views` to begin with identity; got {tta.views}.")
    if len(set(names)) < len(names):
        raise ConfigError(f"Expected `tta.views` to name each view once; got {tta.views}.")


def _check_ranges(params: Params) -> None:
    check_choices(params.choices)
    check_stack(params.stack)
    check_tta(params.tta)
    if params.identity.loss not in IDENTITY_MARGINS:
        raise unknown_name("identity.loss", params.identity.loss, IDENTITY_MARGINS)
    choices, profile = params.choices, params.active_profile
    positive = {
        "limit": params.limit,
        "seeds": params.seeds,
        "epochs": choices.epochs,
        "lr": choices.lr,
        "ssl.lr": choices.ssl.lr,
        "ssl.batch_size": choices.ssl.batch_size,
        "ssl.epochs": choices.ssl.epochs,
        "identity.lr": params.identity.lr,
        "identity.scale": params.identity.scale,
        "identity.epochs": params.identity.epochs,
        f"profiles.{params.profile}.size": profile.size,
        f"profiles.{params.profile}.clip_epochs": profile.clip_epochs,
        f"profiles.{params.profile}.gan_steps": profile.gan_steps,
        f"profiles.{params.profile}.train.epochs": profile.train.epochs,
        f"profiles.{params.profile}.train.batch_size": profile.train.batch_size,
    }
    for key, value in positive.items():
        if value is not None and value <= 0:
            raise ConfigError(f"Expected `{key}` to be above 0; got {value}.")
    unit = {
        "ssl.momentum": (choices.ssl.momentum, 0, 1),
        "identity.margin": (params.identity.margin, 0, 2),
    }
    for key, (number, low, high) in unit.items():
        if number is not None and not low <= number <= high:
            raise ConfigError(f"Expected `{key}` to be between {low} and {high}; got {number}.")
