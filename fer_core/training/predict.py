"""Predictions of a trained model, in batches."""

import torch
from torch import Tensor

from fer_core.models import FerModel
from fer_core.training.faces import FaceSet
from fer_core.training.feed import feed


@torch.inference_mode()
def pooled_features(model: FerModel, faces: FaceSet, batch_size: int = 256) -> Tensor:
    """Return the pooled features (N, D), float32 on the faces' device, in evaluation mode."""
    model.eval()
    return torch.cat([model.features(images).float() for _, images in feed(faces, _parts(faces, batch_size))])


@torch.inference_mode()
def predict(model: FerModel, faces: FaceSet, batch_size: int = 256) -> tuple[Tensor, Tensor | None]:
    """Return log-probabilities (N, K) and AU probabilities (N, A), float32 on the CPU, in evaluation mode.

    They leave the device once, at the end: a copy after each batch would let a GPU wait.
    """
    model.eval()
    emotions, aus = [], []
    for _, images in feed(faces, _parts(faces, batch_size)):
        output = model(images)
        emotions.append(output.logits.float().log_softmax(1))
        if output.au_logits is not None:
            aus.append(output.au_logits.float().sigmoid())
    return torch.cat(emotions).cpu(), torch.cat(aus).cpu() if aus else None


def _parts(faces: FaceSet, size: int) -> tuple[Tensor, ...]:
    """Return the rows of all faces in order, `size` at a time; no faces are one part without rows."""
    return torch.arange(len(faces), device=faces.device).split(size)
