"""A trained run, loaded from its folder, and its predictions under test-time augmentation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from fer_core.models import FerModel
from fer_core.recipe import Recipe
from fer_core.training.device import pick_device
from fer_core.training.faces import FaceSet
from fer_core.training.loop import new_model
from fer_core.tta import average, predict_views


def load_run(recipe: Recipe, weights: Path, channels: int, classes: int, aus: int) -> FerModel:
    """Build the recipe's model and load its trained weights, all of them."""
    model = new_model(recipe, channels, classes, aus, initial=None, pretrained=False)
    model.load_state_dict(load_file(weights))
    return model.to(pick_device(), memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def predict_with_views(model: FerModel, faces: FaceSet, names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return log-probabilities (N, K): the log of the mean probability over the views `names`."""
    device = next(model.parameters()).device
    images = faces.to(device).images(torch.arange(len(faces), device=device))
    logs = predict_views(model, images, list(names), batch_size=256)
    return np.asarray(average(torch.as_tensor(logs)), dtype=np.float64)
