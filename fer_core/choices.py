"""The recipe as written at the top level of params.yaml: its keys, their types, names and ranges."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fer_core.errors import ConfigError, unknown_name

# Names only, so that checking a recipe does not import torch; tests compare them with the registries.
NAMES = {
    "init": ("scratch", "imagenet", "identity", "face"),
    "attention": ("none", "se", "cbam", "spatial", "au_guided"),
    "head": ("linear", "cosine", "prototype"),
    "target": ("hard", "votes", "compound"),
    "au_loss": ("bce", "weighted_bce", "asymmetric"),
    "au_head": ("linear", "mlp"),
    "loss": ("ce", "focal", "cb", "cb_focal", "ldam", "balanced_softmax", "logit_adjusted"),
    "sampler": ("none", "weighted", "balanced", "square_root", "curriculum"),
    "meta": ("none", "meta_weight", "maml"),
    "meta_scope": ("head", "all"),
    "augment": ("none", "generic", "face_aware", "expression_preserving", "trivial"),
    "mix": ("none", "mixup", "cutmix", "face_cutmix"),
    "synthesis": ("none", "gan"),
    "optimizer": ("adamw", "adam", "sgd", "lamb", "lion"),
    "schedule": ("cosine", "linear", "step", "constant", "one_cycle"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
    "temporal": ("none", "mean", "lstm", "tcn", "conv3d", "transformer"),
    "temporal_start": ("still", "scratch"),
}
# Self-supervised methods and the keys of `ssl` that each uses beside method, epochs, lr and batch_size
SSL_KEYS: dict[str, tuple[str, ...]] = {
    "simclr": ("projection", "hidden", "temperature"),
    "moco": ("projection", "hidden", "momentum", "temperature", "queue"),
    "byol": ("projection", "hidden", "momentum"),
    "mae": ("mask_ratio", "decoder_dim", "decoder_depth"),
}
SSL_METHODS = ("none", *SSL_KEYS)
SSL_TEMPERATURES = {"simclr": 0.5, "moco": 0.2}  # for `temperature: None`
# not part of a recipe: all runs train on the same AUs. Several may be joined by +, but prototypes stand alone
AU_LABELS = ("annotated", "openface", "prototypes", "pyfeat")
AU_SIDES = ("folded", "kept")
LEAKAGE = ("refuse", "report", "drop")  # nor is what ingest does about pictures that stand in two splits
IDENTITY_MARGINS = {"arcface": 0.5, "cosface": 0.35}  # identity.loss: what its own paper takes as margin
AUTO = "auto"  # batch_size: the profile's; micro_batch: as many as fit
UNCERTAINTY = "uncertainty"  # au_weight: the weights are learned


@dataclass(frozen=True)
class SslConfig:
    """Self-supervised pretraining; `epochs: None` takes the profile's, `temperature: None` the method's."""

    method: str
    epochs: int | None
    lr: float
    batch_size: int
    momentum: float
    projection: int
    hidden: int
    temperature: float | None
    queue: int
    mask_ratio: float
    decoder_dim: int
    decoder_depth: int

    def settings(self) -> dict[str, Any]:
        """Return the method's own keys with their values; none for `method: none`."""
        return {key: getattr(self, key) for key in SSL_KEYS.get(self.method, ())}


@dataclass(frozen=True)
class Technique:
    """The keys that say what a run does, whatever its sizes. params.yaml documents each where it stands."""

    backbone: str
    init: str
    weights: str | None
    attention: str
    attention_weight: float
    head: str
    head_scale: float
    target: str
    au_weight: float | str
    au_loss: str
    au_head: str
    au_intensity: float
    asl_gamma_pos: float
    asl_gamma_neg: float
    asl_clip: float
    loss: str
    focal_gamma: float
    cb_beta: float
    ldam_margin: float
    logit_tau: float
    label_smoothing: float
    drw: float | None
    sampler: str
    curriculum_start: float
    curriculum_end: float
    few_shot_below: int
    few_shot_weight: float
    meta: str
    meta_per_class: int
    meta_lr: float
    meta_step: float
    meta_scope: str
    maml_lr: float
    maml_steps: int
    maml_weight: float
    episode_ways: int
    episode_shots: int
    episode_queries: int
    augment: str
    mix: str
    mix_alpha: float
    synthesis: str
    optimizer: str
    schedule: str
    sam: float
    ema: float
    clip_grad: float
    layer_decay: float
    drop_path: float
    precision: str
    micro_batch: int | str
    compile: bool
    grad_checkpointing: bool
    temporal: str
    temporal_start: str
    temporal_hidden: int
    temporal_layers: int
    temporal_dropout: float
    temporal_encoder_lr: float
    ssl: SslConfig

    @property
    def has_au_head(self) -> bool:
        """Whether the model predicts AUs."""
        return self.au_weight == UNCERTAINTY or float(self.au_weight) > 0

    @property
    def is_guided(self) -> bool:
        """Whether the attention is taught where the active AUs are."""
        return self.attention == "au_guided" and self.attention_weight > 0

    @property
    def has_class_weights(self) -> bool:
        """Whether effective-number weights stand in the emotion loss, from the first epoch or later."""
        return self.loss in ("cb", "cb_focal") or self.drw is not None

    @property
    def needs_whole_batch(self) -> str | None:
        """The key that compares the pictures of a batch with each other, so that no process may see a part; or None."""
        if self.meta == "meta_weight":
            return "meta: meta_weight"
        return "head: prototype" if self.head == "prototype" else None

    @property
    def has_episodes(self) -> bool:
        """Whether training draws episodes of a few pictures of a few classes."""
        return self.few_shot_below > 0 or self.meta == "maml"


@dataclass(frozen=True)
class Choices(Technique):
    """The recipe of params.yaml; None, and auto for the batch size, mean "what the profile says"."""

    epochs: int | None
    batch_size: int | str | None
    lr: float | None
    weight_decay: float | None
    warmup_epochs: int | None


def check_au_labels(value: object) -> tuple[str, ...]:
    """Return the sources that `au_labels` names, the one that counts first in front.

    Raises:
        ConfigError: a name is not known or stands twice, or prototypes do not stand alone.

    Example:
        >>> check_au_labels("annotated+openface")
        ('annotated', 'openface')
    """
    names = tuple(str(value).split("+"))
    for name in names:
        if name not in AU_LABELS:
            raise unknown_name("au_labels", name, AU_LABELS)
    if len(set(names)) < len(names):
        raise ConfigError(f"Expected each source once in `au_labels`; got {value!r}.")
    if "prototypes" in names and len(names) > 1:
        raise ConfigError(f"Expected prototypes to stand alone in `au_labels`; got {value!r}.")
    return names


def check_au_params(params: Mapping[str, Any]) -> tuple[tuple[str, ...], str, float]:
    """Return the sources, what is done about sides and OpenFace's least confidence; absent keys have their defaults.

    Raises:
        ConfigError: names the key, what was expected and what came.
    """
    sides, confidence = params.get("au_sides", AU_SIDES[0]), params.get("au_confidence", 0.8)
    if sides not in AU_SIDES:
        raise unknown_name("au_sides", sides, AU_SIDES)
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise ConfigError(f"Expected `au_confidence` to be between 0 and 1; got {confidence!r}.")
    return check_au_labels(params.get("au_labels", AU_LABELS[0])), sides, float(confidence)


_INFINITY = float("inf")
_RANGES: dict[str, tuple[float, float]] = {
    "attention_weight": (0, _INFINITY),
    "head_scale": (0.01, 1000),
    "au_intensity": (0, _INFINITY),
    "asl_gamma_pos": (0, _INFINITY),
    "asl_gamma_neg": (0, _INFINITY),
    "asl_clip": (0, 0.999),
    "focal_gamma": (0, _INFINITY),
    "cb_beta": (0, 0.9999999),
    "ldam_margin": (0, _INFINITY),
    "logit_tau": (0, _INFINITY),
    "label_smoothing": (0, 0.999),
    "drw": (0, 1),
    "curriculum_start": (0.01, 1),
    "curriculum_end": (0.01, 1),
    "few_shot_below": (0, _INFINITY),
    "few_shot_weight": (0, _INFINITY),
    "meta_per_class": (1, _INFINITY),
    "meta_lr": (1e-12, _INFINITY),
    "meta_step": (1e-12, _INFINITY),
    "maml_lr": (1e-12, _INFINITY),
    "maml_steps": (1, 100),
    "maml_weight": (0, _INFINITY),
    "episode_ways": (2, _INFINITY),
    "episode_shots": (1, _INFINITY),
    "episode_queries": (1, _INFINITY),
    "mix_alpha": (0, _INFINITY),
    "sam": (0, _INFINITY),
    "ema": (0, 0.99999),
    "clip_grad": (0, _INFINITY),
    "layer_decay": (0.01, 1),
    "drop_path": (0, 0.9),
    "temporal_hidden": (8, _INFINITY),
    "temporal_layers": (1, 100),
    "temporal_dropout": (0, 0.95),
    "temporal_encoder_lr": (0, 1),
}
_SSL_RANGES: dict[str, tuple[float, float]] = {
    "ssl.momentum": (0, 1),
    "ssl.temperature": (0.001, 100),
    "ssl.queue": (1, _INFINITY),
    "ssl.mask_ratio": (0.01, 0.99),
    "ssl.decoder_dim": (32, _INFINITY),
    "ssl.decoder_depth": (1, 100),
}


def check_choices(choices: Choices) -> None:
    """Check every name and range.

    Raises:
        ConfigError: names the key, what was expected and what came.
    """
    for key, names in NAMES.items():
        if getattr(choices, key) not in names:
            raise unknown_name(key, getattr(choices, key), names)
    if choices.ssl.method not in SSL_METHODS:
        raise unknown_name("ssl.method", choices.ssl.method, SSL_METHODS)
    values = {key: getattr(choices, key) for key in _RANGES}
    for key, (low, high) in (_RANGES | _SSL_RANGES).items():
        value = getattr(choices.ssl, key.removeprefix("ssl.")) if key in _SSL_RANGES else values[key]
        if value is not None and not (low <= value <= high and value < _INFINITY):
            expected = f"at least {low:g} and finite" if high == _INFINITY else f"between {low:g} and {high:g}"
            raise ConfigError(f"Expected `{key}` to be {expected}; got {value}.")
    if choices.ssl.decoder_dim % 32:  # heads of 32, fer_core.pretraining.mae
        raise ConfigError(f"Expected `ssl.decoder_dim` to be a multiple of 32; got {choices.ssl.decoder_dim}.")
    if choices.temporal_hidden % 8:  # the transformer's heads, and conv3d's first width
        raise ConfigError(f"Expected `temporal_hidden` to be a multiple of 8; got {choices.temporal_hidden}.")
    for key, least in (("batch_size", 2), ("micro_batch", 1)):
        size = getattr(choices, key)
        if not (size is None or size == AUTO or (isinstance(size, int) and size >= least)):
            raise ConfigError(f"Expected `{key}` to be a whole number from {least} on, or {AUTO}; got {size}.")
    weight = choices.au_weight
    if not (weight == UNCERTAINTY or (isinstance(weight, float) and 0 <= weight < _INFINITY)):
        raise ConfigError(f"Expected `au_weight` to be a number from 0 on, or {UNCERTAINTY}; got {weight}.")
