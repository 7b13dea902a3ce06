"""A recipe's clip model, its first weights from a trained still-image model, and its parameter groups."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn

from fer_core.errors import ConfigError
from fer_core.models import build_encoder
from fer_core.models.cpu import prepare_cpu
from fer_core.pretraining.weights import read_tensors
from fer_core.recipe import Recipe
from fer_core.temporal import ClipModel, build_clip_model
from fer_core.temporal.mean import Mean
from fer_core.training.device import derived_seed
from fer_core.training.optim import layer_groups
from fer_core.training.recompute import checkpoint_activations

Initial = Mapping[str, Tensor] | Path  # a still-image model's state dict, or the file of it
_ENCODER = "encoder."


def new_clip_model(recipe: Recipe, channels: int, classes: int) -> nn.Module:
    """Build the recipe's `temporal` model with random weights drawn from its seed.

    The encoder is the recipe's: `backbone` and `attention`, without heads. `init` does nothing: an encoder's first
    weights are those of a still-image model, see `load_still`.

    Raises:
        ConfigError: a name is unknown, a size out of its range, or the encoder cannot do `grad_checkpointing`.
    """
    prepare_cpu()
    torch.manual_seed(derived_seed(recipe.seed, 0))
    encoder = None
    if recipe.temporal != "conv3d":
        encoder = build_encoder(
            timm_name=recipe.timm,
            model_args=dict(recipe.model_args),
            in_chans=channels,
            size=recipe.size,
            attention=recipe.attention,
            drop_path=recipe.drop_path,
        ).to(memory_format=torch.channels_last)
    model = build_clip_model(
        recipe.temporal,
        encoder,
        classes,
        hidden=recipe.temporal_hidden,
        layers=recipe.temporal_layers,
        dropout=recipe.temporal_dropout,
        channels=channels,
    )
    if recipe.grad_checkpointing:
        checkpoint_activations(model if encoder is None else encoder.backbone, recipe.timm or recipe.temporal)
    return model


def load_still(model: nn.Module, initial: Initial) -> str:
    """Load a trained still-image model's encoder, or refuse and change nothing; return what was loaded.

    All of the encoder must fit. `mean` also takes the emotion head where that is linear and has as many classes.
    `conv3d` takes nothing: it has no encoder, and kernels of pictures are not inflated in time (Carreira & Zisserman,
    CVPR 2017, do so).

    Args:
        model: of `build_clip_model`.
        initial: tensors named as `save_run` writes them, `encoder.*` and `head.*`, or the file of them.

    Raises:
        ConfigError: no such file or none of tensors; one of the encoder's tensors is missing, has another shape, is
            not finite, or has no place in it.
    """
    if not isinstance(model, ClipModel):
        return "nothing: it has no encoder of single frames"
    where = str(initial) if isinstance(initial, Path) else "the given weights"
    tensors = read_tensors(initial) if isinstance(initial, Path) else initial
    found = {name.removeprefix(_ENCODER): value for name, value in tensors.items() if name.startswith(_ENCODER)}
    wanted = model.encoder.state_dict()
    for name, tensor in wanted.items():
        if name not in found:
            raise ConfigError(
                f"Expected {where} to hold {_ENCODER}{name}, as a model of this recipe does; it does not."
            )
        if found[name].shape != tensor.shape:
            raise ConfigError(
                f"Expected {_ENCODER}{name} in {where} to be {tuple(tensor.shape)}; got {tuple(found[name].shape)}."
            )
        if not found[name].isfinite().all():
            raise ConfigError(f"{where} holds numbers in {_ENCODER}{name} that are not finite.")
    if idle := next((name for name in found if name not in wanted), None):
        raise ConfigError(f"{where} holds {_ENCODER}{idle}, which the encoder of this recipe has no place for.")
    model.encoder.load_state_dict(found)
    if not isinstance(model.temporal, Mean):
        return "the encoder"
    head = {name.removeprefix("head."): value for name, value in tensors.items() if name.startswith("head.")}
    shapes = {name: value.shape for name, value in head.items()}
    if shapes != {name: value.shape for name, value in model.temporal.head.state_dict().items()}:
        return "the encoder; the head starts at random, as the other is not linear or has other classes"
    model.temporal.head.load_state_dict(head)
    return "the encoder and the emotion head"


def parameter_groups(model: nn.Module, recipe: Recipe, encoder_scale: float) -> list[dict[str, Any]]:
    """Return parameter groups for `build_optimizer`: no decay on biases and norms, `lr_scale` on the encoder's.

    `layer_decay` of the recipe lowers the rates further within the encoder; `conv3d` has no layer groups and ignores
    it.

    Raises:
        ConfigError: `encoder_scale` is out of 0..1, or the backbone has no layer groups for `layer_decay`.
    """
    if not 0 <= encoder_scale <= 1:
        raise ConfigError(f"Expected `temporal_encoder_lr` to be between 0 and 1; got {encoder_scale!r}.")
    if not isinstance(model, ClipModel):
        return list(param_groups_weight_decay(model, recipe.weight_decay))
    if recipe.layer_decay < 1:
        groups = layer_groups(model, recipe.weight_decay, recipe.layer_decay)
    else:
        groups = param_groups_weight_decay(model, recipe.weight_decay)
    inside = {id(item) for item in model.encoder.parameters()}
    parted = []
    for group in groups:
        for of_encoder, scale in ((True, encoder_scale), (False, 1.0)):
            if params := [item for item in group["params"] if (id(item) in inside) == of_encoder]:
                parted.append({**group, "params": params, "lr_scale": group.get("lr_scale", 1.0) * scale})
    return parted
