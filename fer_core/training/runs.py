"""A trained run saved and loaded, and its predictions under test-time augmentation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from fer_core.files import replacing
from fer_core.labels import LabelSet
from fer_core.models import FerModel
from fer_core.recipe import Recipe
from fer_core.training.device import pick_device
from fer_core.training.faces import FaceSet
from fer_core.training.feed import feed
from fer_core.training.loop import new_model
from fer_core.tta import predict_views

PICTURES = 1024  # that are in memory as numbers at once


def save_run(model: FerModel, path: Path) -> None:
    """Write every tensor of the model, heads included, as safetensors; the file is whole or absent."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def load_run(recipe: Recipe, weights: Path, channels: int, labels: LabelSet, aus: int) -> FerModel:
    """Build the recipe's model and load its trained weights, all of them."""
    model = new_model(recipe, channels, labels, aus, initial=None, pretrained=False)
    model.load_state_dict(load_file(weights))
    return model.to(pick_device(), memory_format=torch.channels_last)  # type: ignore[call-overload]


def predict_with_views(model: FerModel, faces: FaceSet, names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return every view's log-probabilities, (V, N, K), of the views `names`; `fer_core.views` joins them."""
    faces = faces.to(next(model.parameters()).device)
    rows = torch.arange(len(faces), device=faces.device).split(PICTURES)
    parts = [predict_views(model, images, list(names), batch_size=256) for _, images in feed(faces, rows)]
    return torch.cat(parts, dim=1).numpy().astype(np.float64)
