"""A trained clip model saved and loaded, and a still-image model as one that reads clips."""

from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from fer_core.errors import ConfigError
from fer_core.files import replacing
from fer_core.labels import LabelSet
from fer_core.pretraining.weights import read_tensors
from fer_core.recipe import Recipe
from fer_core.temporal.build import new_clip_model
from fer_core.temporal.clips import ClipSet
from fer_core.temporal.predict import StillAverage
from fer_core.training.device import pick_device
from fer_core.training.loop import new_model


def save_clip_model(model: nn.Module, path: Path) -> None:
    """Write every tensor of the model as safetensors; the file is whole or absent."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def load_clip_model(recipe: Recipe, weights: Path, channels: int, classes: int) -> nn.Module:
    """Build the recipe's clip model and load its trained weights, all of them, on the first GPU or the CPU.

    Raises:
        ConfigError: `weights` does not exist, holds no tensors, or those of another model.
    """
    model = new_clip_model(recipe, channels, classes)
    _load(model, read_tensors(weights), weights)
    return model.to(pick_device())


def still_model(recipe: Recipe, weights: Path, clips: ClipSet, labels: LabelSet) -> StillAverage:
    """Return a trained still-image model, averaged over the frames of clips: `temporal: none`.

    Args:
        recipe: that the still-image model was trained by. Its AU head is left away.
        weights: what `save_run` wrote of it.
        clips: any that it is to read, for their channels.
        labels: the names of the K classes.

    Raises:
        ConfigError: `weights` does not exist, holds no tensors, or those of another model.
    """
    bare = replace(recipe, au_weight=0.0, au_intensity=0.0)
    model = new_model(bare, clips.pixels.shape[3], labels, aus=0, initial=None, pretrained=False)
    tensors = {name: value for name, value in read_tensors(weights).items() if not name.startswith("au_head.")}
    _load(model, tensors, weights)
    return StillAverage(model).to(pick_device())


def _load(model: nn.Module, tensors: dict[str, Tensor], weights: Path) -> None:
    wanted = model.state_dict()
    for name in [*wanted, *tensors]:
        got, expected = tensors.get(name), wanted.get(name)
        if got is None or expected is None or got.shape != expected.shape:
            shapes = ["none" if item is None else str(tuple(item.shape)) for item in (expected, got)]
            raise ConfigError(f"Expected {name} in {weights} to be {shapes[0]}; got {shapes[1]}.")
    model.load_state_dict(tensors)
