"""Predictions of a trained model, in batches."""

import torch
from torch import Tensor

from fer_core.models import FerModel
from fer_core.training.faces import FaceSet


@torch.inference_mode()
def pooled_features(model: FerModel, faces: FaceSet, batch_size: int = 256) -> Tensor:
    """Return the pooled features (N, D), float32 on the faces' device, in evaluation mode."""
    model.eval()
    index = torch.arange(len(faces), device=faces.pixels.device)
    return torch.cat([model.features(faces.images(part)).float() for part in index.split(batch_size)])


@torch.inference_mode()
def predict(model: FerModel, faces: FaceSet, batch_size: int = 256) -> tuple[Tensor, Tensor | None]:
    """Return log-probabilities (N, K) and AU probabilities (N, A), float32 on the CPU, in evaluation mode."""
    model.eval()
    emotions, aus = [], []
    for index in torch.arange(len(faces), device=faces.pixels.device).split(batch_size):
        output = model(faces.images(index))
        emotions.append(output.logits.float().log_softmax(1).cpu())
        if output.au_logits is not None:
            aus.append(output.au_logits.float().sigmoid().cpu())
    return torch.cat(emotions), torch.cat(aus) if aus else None
